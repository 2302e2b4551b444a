//! Prints what storage costs: `cargo run -p storage --example bench [folder]`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program that prints figures for a person"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framework::{Batch, Ciphertext, Class, Key, MountId, Page, Prefix, Store, Write};
use storage::{Kind, Options, Storage};

const RECORDS: u64 = 100_000;
const SIZE: usize = 1024;

fn key(number: u64) -> Key {
    let segment = "Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0";
    Key::new(format!("{segment}/{segment}/{segment}/{segment}/{segment}/{number:040}")).unwrap()
}

fn value(number: u64) -> Vec<u8> {
    let mut state = number | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..SIZE).map(|_| next()).collect()
}

fn write(number: u64) -> Write<Ciphertext> {
    let value = Some(Ciphertext(value(number)));
    Write { key: key(number), value, mount: MountId::default(), class: Class::Replicated, seal_wrap: false }
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn writes(store: &Storage, threads: u64, work: Duration, time: Duration) {
    let before = store.stats();
    let cpu_before = cpu();
    let next = AtomicU64::new(10 * RECORDS);
    let slowest = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < time {
                    let writes = vec![write(next.fetch_add(1, Ordering::Relaxed))];
                    let working = Instant::now();
                    while working.elapsed() < work {}
                    let began = Instant::now();
                    store.apply(Batch { reads: Vec::new(), writes }).unwrap();
                    slowest.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    let after = store.stats();
    let count = (after.transactions - before.transactions) as f64;
    println!(
        "  {threads:2} threads, {work:?} of other work: {:7.0} writes/s, {:.3} syncs/write, {:.1} us of cpu, {:.2} ms mean, {:.1} ms slowest",
        count / start.elapsed().as_secs_f64(),
        (after.syncs - before.syncs) as f64 / count,
        (cpu() - cpu_before).as_secs_f64() * 1e6 / count,
        start.elapsed().as_secs_f64() * 1000.0 * threads as f64 / count,
        slowest.load(Ordering::Relaxed) as f64 / 1000.0,
    );
}

fn reads(store: &Storage, threads: u64) {
    const TIMES: u64 = 100_000;
    let cpu_before = cpu();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for round in 0..TIMES {
                    let number = (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).wrapping_add(thread) % RECORDS;
                    assert!(store.get(&key(number)).unwrap().is_some());
                }
            });
        }
    });
    let each = start.elapsed().as_nanos() as u64 / TIMES;
    let cpu = (cpu() - cpu_before).as_nanos() as u64 / TIMES / threads;
    println!("  get, {threads} threads: {each} ns, {cpu} ns of cpu, {:.0}/s", threads as f64 * 1e9 / each as f64);
}

fn opening(kind: Kind, folder: &Path, how: &str) -> std::sync::Arc<Storage> {
    let cpu_before = cpu();
    let start = Instant::now();
    let store = storage::open(kind, Some(folder), Options::default()).unwrap();
    let opened = start.elapsed();
    assert!(store.get(&key(7)).unwrap().is_some());
    let cpu = cpu() - cpu_before;
    println!("  open to first read, {how}: {:?} (open {opened:?}, {cpu:?} of cpu)", start.elapsed());
    store
}

fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| std::env::temp_dir().display().to_string());
    for kind in [Kind::Redb, Kind::Sled] {
        let folder = Path::new(&root).join(format!("holdfast-bench-{}-{kind:?}", std::process::id()));
        println!("{kind:?}");
        let store = storage::open(kind, Some(&folder), Options::default()).unwrap();
        let start = Instant::now();
        for first in (0..RECORDS).step_by(100) {
            store.apply(Batch { reads: Vec::new(), writes: (first..first + 100).map(write).collect() }).unwrap();
        }
        println!("  loaded {RECORDS} records of {SIZE} bytes in {:?}", start.elapsed());
        for threads in [1, 2] {
            reads(&store, threads);
        }
        let start = Instant::now();
        let page = Page { after: None, limit: Some(10_000) };
        let mut folder_name = key(0).as_str().to_owned();
        folder_name.truncate(folder_name.rfind('/').unwrap());
        let names = store.list(&Prefix::new(folder_name).unwrap(), &page).unwrap();
        println!("  list of {}: {:?}", names.len(), start.elapsed());
        store.close();
        let store = opening(kind, &folder, "after an orderly end");
        // What a crash leaves is what lies there while the server runs.
        store.apply(Batch { reads: Vec::new(), writes: (0..5000).map(write).collect() }).unwrap();
        let crashed = folder.with_extension("crashed");
        let status = std::process::Command::new("cp").arg("-r").arg(&folder).arg(&crashed).status();
        assert!(status.unwrap().success());
        drop(opening(kind, &crashed, "after a crash"));
        std::fs::remove_dir_all(&crashed).unwrap();
        for (threads, work) in [(1, 0), (16, 0), (16, 100), (64, 0)] {
            writes(&store, threads, Duration::from_micros(work), Duration::from_secs(4));
        }
        store.close();
        for index in ["index.redb", "index.sled"] {
            let _ = std::fs::remove_dir_all(folder.join(index));
            let _ = std::fs::remove_file(folder.join(index));
        }
        drop(opening(kind, &folder, "with the index lost"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
