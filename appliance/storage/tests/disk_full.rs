//! A file system that fills up, for real: both indexes do their own I/O on it.
//!
//! Needs the right to mount a tmpfs; where that lacks, the test says so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use storage::{Kind, Options, Storage};
use support::{get, noise, put, write};

struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(folder))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn fill(path: &Path) {
    let mut size = 1 << 20;
    let mut number = 0;
    while size >= 512 {
        match fs::write(path.join(format!("ballast-{number}")), vec![1; size]) {
            Ok(()) => number += 1,
            Err(_) => size /= 2,
        }
    }
}

fn make_room(path: &Path) {
    for entry in fs::read_dir(path).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("ballast") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn all_there(store: &Storage, acknowledged: &[u64]) {
    for number in acknowledged {
        assert!(get(store, &format!("r/{number}")).unwrap() == noise(*number, 3000), "record {number}");
    }
}

fn check(kind: Kind) {
    let Some(mounted) = Mounted::new(48) else {
        println!("SKIP: no right to mount a tmpfs");
        return;
    };
    let path = mounted.0.path();
    let data = path.join("data");
    let options = Options { checkpoint_bytes: 256 << 10, ..Options::default() };
    let store = storage::open(kind, Some(&data), options.clone()).unwrap();
    let mut acknowledged = Vec::new();
    let mut next = 0;
    let mut put_next = |store: &Storage, acknowledged: &mut Vec<u64>| {
        let result = write(store, vec![put(&format!("r/{next}"), &noise(next, 3000))]);
        if result.is_ok() {
            acknowledged.push(next);
        }
        next += 1;
        result
    };
    for round in 0..3 {
        for _ in 0..200 {
            put_next(&store, &mut acknowledged).unwrap();
        }
        fill(path);
        let mut refused = 0;
        while refused < 50 {
            if put_next(&store, &mut acknowledged).is_err() {
                refused += 1;
            }
        }
        all_there(&store, &acknowledged);
        make_room(path);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while put_next(&store, &mut acknowledged).is_err() {
            assert!(std::time::Instant::now() < deadline, "round {round}: it does not recover");
        }
    }
    all_there(&store, &acknowledged);
    // And once more, with the server stopped while the disk is full.
    fill(path);
    let _ = put_next(&store, &mut acknowledged);
    store.close();
    drop(store);
    make_room(path);
    let store = storage::open(kind, Some(&data), options).unwrap();
    all_there(&store, &acknowledged);
}

#[test]
fn a_full_file_system_refuses_and_recovers_on_redb() {
    check(Kind::Redb);
}

#[test]
fn a_full_file_system_refuses_and_recovers_on_sled() {
    check(Kind::Sled);
}
