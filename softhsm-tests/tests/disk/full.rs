//! A disk without room.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use softhsm_tests::{Seal, Server, Setup, eventually};

/// A file system of its own in memory; unmounted at the end.
struct Small(PathBuf);

impl Small {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(at)
            .output()
            .unwrap();
        if output.status.success() {
            return Some(Self(at.to_owned()));
        }
        eprintln!("SKIP: no file system can be mounted here: {}", String::from_utf8_lossy(&output.stderr));
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes are refused, reads go on; when there is room again, writes work; nothing that was acknowledged is lost.
fn a_full_disk(storage: &'static str) {
    let mut server = Server::prepare(Setup::new(Seal::Shamir, storage));
    let Some(_small) = Small::mount(&server.data(), "48m") else { return };
    server.run();
    server.initialise();
    server.mount("kv", false);
    let client = server.client();
    let ballast = server.data().join("ballast");
    std::fs::write(&ballast, vec![1; 24 << 20]).unwrap();
    let value = |n: usize| format!("{n}-{}", "x".repeat(60_000));
    let mut acknowledged = 0;
    let refused = loop {
        let answer = client.post(&format!("kv/data/s{acknowledged}"), json!({"data": {"value": value(acknowledged)}}));
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 1000, "the disk never fills");
    };
    assert!((500..=599).contains(&refused.status), "{} {}", refused.status, refused.json);
    assert!(acknowledged > 10, "{acknowledged}");
    let all_there = |server: &Server| {
        for n in 0..acknowledged {
            assert_eq!(
                server.client().get(&format!("kv/data/s{n}")).ok()["data"]["data"]["value"],
                value(n),
                "{storage} s{n}"
            );
        }
    };
    all_there(&server);
    assert_eq!(client.get("sys/health").status, 200);
    std::fs::remove_file(&ballast).unwrap();
    eventually("writes work again", || client.put("kv/data/after", "room").then_some(()));
    all_there(&server);
    server.kill();
    server.run();
    server.unseal();
    all_there(&server);
    assert_eq!(client.get("kv/data/after").ok()["data"]["data"]["value"], "room");
}

#[test]
fn a_full_disk_under_sled() {
    a_full_disk("sled");
}

#[test]
fn a_full_disk_under_redb() {
    a_full_disk("redb");
}

/// What cannot be recorded is not done, and not told either.
#[test]
fn an_audit_log_that_takes_nothing_stops_everything() {
    let mut server = Server::start(Setup::new(Seal::Shamir, "redb"));
    server.mount("kv", false);
    let client = server.client();
    assert!(client.put("kv/data/a", "before"));
    assert_eq!(server.stop(), 0);
    let log = server.audit_log().display().to_string();
    server.edit_config(&log, "/dev/full");
    server.run();
    server.unseal();
    for (method, path) in [
        ("GET", "kv/data/a"),
        ("POST", "kv/data/a"),
        ("DELETE", "kv/metadata/a"),
        ("GET", "no/such"),
        ("POST", "sys/seal"),
    ] {
        let answer = client.call(method, path, Some(&json!({"data": {"value": "after"}})));
        assert!(
            answer.status == 500 && answer.json["data"].is_null(),
            "{method} {path}: {} {}",
            answer.status,
            answer.json
        );
    }
    assert_eq!(client.get("sys/health").status, 200);
    assert_eq!(server.stop(), 0);
    // With a second device that takes records, requests are served.
    server.edit_config("listener", &format!("audit \"file\" \"second\" {{ path = \"{log}\" }}\nlistener"));
    server.run();
    server.unseal();
    let found = client.get("kv/data/a").ok()["data"].clone();
    assert_eq!((&found["data"]["value"], &found["metadata"]["version"]), (&json!("before"), &json!(1)));
    assert!(server.server_log().contains("audit device takes no records"));
}

/// The same for a log whose disk fills up while the server runs, in the middle of a line if it comes to that.
#[test]
fn an_audit_log_on_a_disk_that_fills_up() {
    let mut server = Server::prepare(Setup::new(Seal::Shamir, "redb"));
    let folder = server.audit_log().parent().unwrap().to_owned();
    let Some(_small) = Small::mount(&folder, "256k") else { return };
    server.run();
    server.initialise();
    server.mount("kv", false);
    let client = server.client();
    let mut acknowledged = 0;
    let refused = loop {
        let answer = client.post("kv/data/a", json!({"data": {"n": acknowledged + 1}}));
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 2000, "the disk never fills");
    };
    assert_eq!(refused.status, 500, "{}", refused.json);
    assert_eq!(client.get("kv/data/a").status, 500, "reads are refused too");
    let rotated = std::fs::read(server.audit_log()).unwrap();
    std::fs::write(server.audit_log(), "").unwrap();
    let found =
        eventually("it goes on", || Some(client.get("kv/data/a")).filter(|answer| answer.status == 200)).json["data"]
            .clone();
    let version = found["metadata"]["version"].as_u64().unwrap();
    assert_eq!(found["data"]["n"], version, "a version and its value belong together");
    // The last one may have been done when its answer could not be recorded; it was not acknowledged.
    assert!(version == acknowledged || version == acknowledged + 1, "{version} {acknowledged}");
    assert!(rotated.len() > 100_000);
}
