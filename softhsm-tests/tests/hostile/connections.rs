//! Connections that nobody uses.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use crate::target::Target;
use crate::wire::request;

const MANY: usize = 10_000;

/// Lets this process have so many open files, if it may.
fn raise_file_limit(files: usize) -> usize {
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &own, &format!("--nofile={files}:{files}")]).status();
    if raised.is_ok_and(|status| status.success()) {
        return files;
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

/// So many that the server has no place for all: those that say nothing lose theirs, and others are served meanwhile.
pub fn idle(target: &Target) {
    let possible = raise_file_limit(MANY + 1000) - 500;
    if possible < MANY {
        eprintln!("SKIP: only {possible} of {MANY} connections, for want of the right to open more files");
    }
    let connections: Vec<TcpStream> =
        (0..possible.min(MANY)).filter_map(|_| TcpStream::connect(target.tls).ok()).collect();
    eprintln!("{} idle connections", connections.len());
    target.is_well("idle connections, while they last");
    drop(connections);
    // The same with a request behind each: the places are used over and over.
    let mut used = Vec::new();
    for number in 0..300 {
        let mut wire = target.connect();
        assert_eq!(wire.ask(&request("GET /v1/sys/health", &[], b"")).unwrap().status, 200, "connection {number}");
        used.push(wire);
    }
    target.is_well("connections that wait for their next request");
}

/// Handshakes that stop in the middle.
pub fn handshakes(target: &Target) {
    // The record and handshake header of a ClientHello that announces 512 bytes.
    let begin = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let connections: Vec<TcpStream> = (0..1000)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(target.tls).ok()?;
            stream.write_all(begin).ok()?;
            Some(stream)
        })
        .collect();
    assert_eq!(connections.len(), 1000);
    target.is_well("half handshakes, while they last");
}
