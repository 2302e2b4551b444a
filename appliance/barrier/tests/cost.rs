//! What the barrier costs a request, in CPU time. Not a test: run it by hand, optimised:
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test -p barrier --test cost -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests fail the test they help"
)]

mod common;

use std::hint::black_box;
use std::sync::Arc;

use barrier::{SealSet, SealWrap};
use common::{Disk, TableSeal, apply, founded, key, put};
use framework::{Page, Prefix, Secret, Store, Write};

const ROUNDS: u32 = 20_000;

/// CPU time of this thread: a busy machine does not lengthen it.
fn cpu_micros() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    spent.split(' ').next().unwrap().parse::<f64>().unwrap() / 1000.0
}

fn measure(what: &str, mut work: impl FnMut(u32)) {
    (0..ROUNDS / 10).for_each(&mut work);
    let before = cpu_micros();
    (0..ROUNDS).for_each(&mut work);
    println!("{what:52} {:8.2} µs", (cpu_micros() - before) / f64::from(ROUNDS));
}

#[test]
#[ignore = "a measurement"]
fn cost() {
    let disk = Arc::new(Disk::default());
    let (barrier, _) = founded(SealWrap::new(disk.clone(), SealSet::of(Arc::new(TableSeal::default()))));
    let folder = "logical/3f2a9c51-77d0-4a1e-9a56-0c0f6f6d2b11/versions/team/app";
    let name = |at: u32| format!("{folder}/secret-{at}");
    for (bytes, wrap) in [(64, false), (1024, false), (1024, true)] {
        let value = vec![7; bytes];
        let tag = if wrap { "seal-wrapped" } else { "plain" };
        let write = |at: u32| Write { seal_wrap: wrap, ..put(&name(at % 1000), &value) };
        measure(&format!("put {bytes} B, {tag}"), |at| apply(&barrier, vec![write(at)]).unwrap());
        measure(&format!("get {bytes} B, {tag}"), |at| drop(barrier.get(&key(&name(at % 1000))).unwrap().unwrap()));
    }
    let place = barrier.sealed_key(&key(&name(0))).unwrap();
    measure("of which the disk of this test, get", |_| drop(black_box(disk.get(&place).unwrap())));
    let near = key(&name(0));
    measure("sealed path of 6 segments, folder known", |_| drop(black_box(barrier.sealed_key(&near).unwrap())));
    measure("sealed path of 6 segments, 2 of them new", |at| {
        drop(black_box(barrier.sealed_key(&key(&format!("{folder}/{at}/x"))).unwrap()));
    });
    let folder = Prefix::new(folder).unwrap();
    let before = cpu_micros();
    let listed: usize = (0..50).map(|_| barrier.list(&folder, &Page::default()).unwrap().len()).sum();
    println!("{:52} {:8.2} µs", "list of 1000, per name", (cpu_micros() - before) / listed as f64);
    measure("derive", |_| drop(black_box(barrier.derive("tokens").unwrap())));
    let secret = Secret::random(32).unwrap();
    measure("a locked key made and dropped", |_| drop(black_box(secret.try_clone().unwrap())));
    measure("wipe of the stack", |_| hardening::wipe_stack());
}
