//! kill -9 while many clients write: nothing acknowledged is lost, nothing half-written is seen.
//!
//! `HOLDFAST_LONG=1` kills 200 times instead of ten.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use storage::{Kind, Storage};
use support::{Random, get, noise, put, rounds, write};

const CLIENTS: usize = 8;
const FOLDER: &str = "HOLDFAST_KILL_FOLDER";
const KIND: &str = "HOLDFAST_KILL_KIND";

fn value(number: u64, part: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(17) { 50_000 } else { 100 + number % 2000 };
    [number.to_le_bytes().as_slice(), &noise(number * 2 + part, length as usize)].concat()
}

/// The number both records of a client carry.
fn number(store: &Storage, client: usize) -> u64 {
    let numbers = [0, 1].map(|part| match get(store, &format!("{client}/{part}")) {
        None => 0,
        Some(found) => {
            let number = u64::from_le_bytes(found[..8].try_into().unwrap());
            assert!(found == value(number, part), "a wrong value");
            number
        }
    });
    assert_eq!(numbers[0], numbers[1], "half a batch");
    numbers[0]
}

/// Not a test of its own: what the tests below start and kill.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let kind = if std::env::var(KIND).unwrap() == "sled" { Kind::Sled } else { Kind::Redb };
    let store = support::open(kind, folder.as_ref());
    let out = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (store, out) = (&store, &out);
            scope.spawn(move || {
                for number in number(store, client) + 1.. {
                    let writes = [0, 1].map(|part| put(&format!("{client}/{part}"), &value(number, part)));
                    write(store, writes.into()).unwrap();
                    let mut out = out.lock().unwrap();
                    out.write_all(format!("\nack {client} {number}\n").as_bytes()).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

fn kill_many_times(kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = [0; CLIENTS];
    for round in 0..rounds(5, 100) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env(KIND, kind)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut left = Random::new(round).below(400);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut killed = false;
        // What it still said before it died counts.
        while let Some(Ok(line)) = lines.next() {
            if let Some((client, number)) = line.strip_prefix("ack ").and_then(|ack| ack.split_once(' ')) {
                acknowledged[client.parse::<usize>().unwrap()] = number.parse().unwrap();
                left = left.saturating_sub(1);
            }
            if left == 0 && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself");
        let kind = if kind == "sled" { Kind::Sled } else { Kind::Redb };
        // Every other time a copy is looked at, so that the next child finds what a killed process left.
        let copy = tempfile::tempdir().unwrap();
        let looked_at = if round % 2 == 0 { folder.path() } else { copy.path() };
        if round % 2 == 1 {
            let from = folder.path().join(".");
            assert!(Command::new("cp").arg("-r").arg(from).arg(looked_at).status().unwrap().success());
        }
        let store = support::open(kind, looked_at);
        for (client, acknowledged) in acknowledged.iter_mut().enumerate() {
            let found = number(&store, client);
            assert!(found == *acknowledged || found == *acknowledged + 1, "{found} found, {acknowledged} acknowledged");
            *acknowledged = found;
        }
    }
}

#[test]
fn killing_loses_nothing_on_redb() {
    kill_many_times("redb");
}

#[test]
fn killing_loses_nothing_on_sled() {
    kill_many_times("sled");
}
