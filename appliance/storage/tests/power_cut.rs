//! Power cuts, failing syncs and full disks, on a simulated disk.
//!
//! Clients write batches of several records that carry the same number. After each cut every client's records must carry
//! one number, not lower than the last that was acknowledged and not higher than the last that was tried.
//! `HOLDFAST_LONG=1` runs 200 cuts of each kind instead of a few.
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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use framework::Store;
use storage::{Kind, OpenError, Options, Storage, open_on};
use support::simulated::{Faults, SimulatedDisk};
use support::{Random, get, key, noise, put, rounds, write};

const CLIENTS: usize = 6;
const PARTS: [&str; 3] = ["a", "b", "c"];

/// What a client knows of its own records.
#[derive(Clone, Copy, Default)]
struct Known {
    acknowledged: u64,
    tried: u64,
}

fn value(client: usize, part: &str, number: u64) -> Vec<u8> {
    let mut random = Random::new(number * 31 + client as u64 * 7 + u64::from(part.as_bytes()[0]));
    let length = match random.below(20) {
        0 => 20_000 + random.below(180_000),
        1..4 => 2_000 + random.below(8_000),
        _ => 100 + random.below(900),
    };
    [number.to_le_bytes().as_slice(), &noise(random.next(), length as usize)].concat()
}

fn name(client: usize, part: &str) -> String {
    format!("client/{client}/{part}")
}

/// Lets all clients write until writes fail or each has written `limit` times.
fn work(store: &Storage, known: &mut [Known], limit: u64) {
    thread::scope(|scope| {
        for (client, known) in known.iter_mut().enumerate() {
            scope.spawn(move || {
                for _ in 0..limit {
                    known.tried += 1;
                    let put = |part: &&str| put(&name(client, part), &value(client, part, known.tried));
                    if write(store, PARTS.iter().map(put).collect()).is_err() {
                        return;
                    }
                    known.acknowledged = known.tried;
                }
            });
        }
    });
}

fn check(store: &Storage, known: &mut [Known]) -> Result<(), String> {
    for (client, known) in known.iter_mut().enumerate() {
        let mut numbers = Vec::new();
        for part in PARTS {
            let found = store.get(&key(&name(client, part))).map_err(|error| format!("{error:?}"))?;
            let number = match found {
                None => 0,
                Some(found) => {
                    let number = u64::from_le_bytes(found.value.0[..8].try_into().unwrap());
                    if found.value.0 != value(client, part, number) {
                        return Err(format!("client {client}: a wrong value"));
                    }
                    number
                }
            };
            numbers.push(number);
        }
        if numbers.iter().any(|number| *number != numbers[0]) {
            return Err(format!("client {client}: half a batch: {numbers:?}"));
        }
        if numbers[0] < known.acknowledged || numbers[0] > known.tried {
            let Known { acknowledged, tried } = known;
            return Err(format!("client {client}: {} found, {acknowledged} acknowledged, {tried} tried", numbers[0]));
        }
        // What is seen once must stay.
        *known = Known { acknowledged: numbers[0], tried: numbers[0].max(known.tried) };
    }
    Ok(())
}

/// Where sled keeps its files: a folder of the real disk that is mangled as a power cut may leave it, and worse.
struct SledFolder {
    root: tempfile::TempDir,
    life: u32,
}

impl SledFolder {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), life: 0 }
    }

    fn life(&self) -> PathBuf {
        self.root.path().join(self.life.to_string())
    }

    fn path(&self) -> PathBuf {
        fs::create_dir_all(self.life()).unwrap();
        self.life().join("index.sled")
    }

    /// Copies the folder as it is at this moment, with the server running.
    fn copy(&self) -> PathBuf {
        let to = self.root.path().join("copy");
        let _ = fs::remove_dir_all(&to);
        copy(&self.life(), &to);
        to
    }

    /// Begins the next life on a copy that has lost pages.
    fn mangle(&mut self, copied: &Path, random: &mut Random) {
        let old = self.life();
        self.life += 1;
        fs::rename(copied, self.life()).unwrap();
        let _ = fs::remove_dir_all(old);
        for name in ["db", "conf"] {
            let path = self.path().join(name);
            let Ok(mut bytes) = fs::read(&path) else { continue };
            if name == "conf" && random.chance(80) {
                continue;
            }
            for _ in 0..random.below(6) {
                let page = random.below(bytes.len() as u64 / 4096 + 1) as usize * 4096;
                let end = (page + 4096).min(bytes.len());
                bytes[page.min(end)..end].fill(0);
            }
            if random.chance(30) {
                bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            }
            fs::write(&path, bytes).unwrap();
        }
        if random.chance(30) && self.path().exists() {
            fs::write(self.path().join("snap.0000000000001234.generating"), [0; 100]).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            let _ = fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
}

fn open(kind: Kind, disk: &SimulatedDisk, sled: &SledFolder) -> Result<Arc<Storage>, OpenError> {
    open_on(kind, Arc::new(disk.clone()), Some(sled.path()), support::small())
}

/// Several lives on one disk, each but the last ended by a cut, at any time from the first operation of opening on.
fn lives(kind: Kind, seed: u64, faults: &Faults) -> Result<(), String> {
    let random = &mut Random::new(seed);
    let mut disk = SimulatedDisk::new();
    let mut sled = SledFolder::new();
    let mut known = vec![Known::default(); CLIENTS];
    for life in 0..3 {
        disk.set_faults(faults.clone());
        disk.cut_after(if random.chance(25) { random.below(40) } else { 40 + random.below(700) });
        let opened = open(kind, &disk, &sled);
        if let Ok(store) = &opened {
            // A check that the cut interrupts says nothing.
            match check(store, &mut known) {
                Err(why) if !disk.is_cut() => return Err(format!("life {life}: {why}")),
                _ => {}
            }
            work(store, &mut known, 400);
        }
        let copied = sled.copy();
        drop(opened);
        sled.mangle(&copied, random);
        disk = disk.after_cut(random);
    }
    let store = open(kind, &disk, &sled).map_err(|error| format!("does not open: {error}"))?;
    check(&store, &mut known)?;
    // And it is fit for use.
    let before = known.clone();
    work(&store, &mut known, 3);
    check(&store, &mut known)?;
    if known.iter().zip(&before).any(|(now, before)| now.acknowledged != before.tried + 3) {
        return Err("writes fail after the power is back".to_owned());
    }
    Ok(())
}

fn cuts(kind: Kind) {
    // Each run has three cuts.
    for seed in 0..rounds(7, 67) {
        if let Err(why) = lives(kind, seed, &Faults::default()) {
            panic!("{kind:?}, seed {seed}: {why}");
        }
    }
}

#[test]
fn power_cuts_lose_nothing_on_redb() {
    cuts(Kind::Redb);
}

#[test]
fn power_cuts_lose_nothing_on_sled() {
    cuts(Kind::Sled);
}

#[test]
fn a_sync_that_does_nothing_is_found_out() {
    let faults = Faults { lying_sync: true, ..Faults::default() };
    for kind in [Kind::Redb, Kind::Sled] {
        let failed = (0..5).filter(|seed| lives(kind, *seed, &faults).is_err()).count();
        assert!(failed >= 3, "only {failed} of 5 runs with a broken sync were found out");
    }
}

#[test]
fn after_a_failed_sync_writing_goes_on_and_nothing_acknowledged_is_lost() {
    for seed in 0..rounds(5, 50) {
        let random = &mut Random::new(seed);
        let disk = SimulatedDisk::new();
        let sled = SledFolder::new();
        let store = open(Kind::Redb, &disk, &sled).unwrap();
        let mut known = vec![Known::default(); CLIENTS];
        work(&store, &mut known, 5);
        for _ in 0..3 {
            disk.set_faults(Faults { failing_syncs: 1 + random.below(2) as u32, ..Faults::default() });
            // Every client writes once; some fail, and all is readable in the meantime.
            work(&store, &mut known, 1);
            check(&store, &mut known.clone()).unwrap();
            disk.set_faults(Faults::default());
            let before = known.clone();
            work(&store, &mut known, 5);
            assert!(known.iter().zip(&before).all(|(now, before)| now.acknowledged == before.tried + 5));
        }
        let disk = disk.after_cut(random);
        drop(store);
        let store = open(Kind::Redb, &disk, &sled).unwrap();
        check(&store, &mut known).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself() {
    for (seed, spare) in [(1, 0), (2, 10), (3, 100), (4, 1000), (5, 50_000)] {
        let disk = SimulatedDisk::new();
        let sled = SledFolder::new();
        let options = Options { snapshot_bytes: 1 << 30, ..support::small() };
        let open = || open_on(Kind::Redb, Arc::new(disk.clone()), Some(sled.path()), options.clone());
        let store = open().unwrap();
        write(&store, vec![put("before", b"1")]).unwrap();
        let used = store.stats().journal_bytes;
        disk.set_faults(Faults { capacity: Some(used + spare), ..Faults::default() });
        let error = loop {
            let round = store.stats().sequence;
            if let Err(error) = write(&store, vec![put("filler", &noise(round, 30_000))]) {
                break error;
            }
        };
        assert!(format!("{error:?}").contains("disk is full"), "{error:?}");
        assert_eq!(get(&store, "before").unwrap(), b"1");
        for _ in 0..3 {
            assert!(write(&store, vec![put("filler", &noise(seed, 60_000))]).is_err());
        }
        disk.set_faults(Faults::default());
        write(&store, vec![put("after", b"2")]).unwrap();
        assert_eq!(get(&store, "after").unwrap(), b"2");
        store.close();
        drop(store);
        let store = open().unwrap();
        assert_eq!(get(&store, "before").unwrap(), b"1");
        assert_eq!(get(&store, "after").unwrap(), b"2");
    }
}

#[test]
fn when_the_committer_dies_writers_get_an_error_and_readers_go_on() {
    let disk = SimulatedDisk::new();
    let sled = SledFolder::new();
    let store = open(Kind::Redb, &disk, &sled).unwrap();
    write(&store, vec![put("before", b"1")]).unwrap();
    disk.set_faults(Faults { panics: true, ..Faults::default() });
    let mut known = vec![Known::default(); CLIENTS];
    work(&store, &mut known, 3);
    assert!(known.iter().all(|known| known.acknowledged == 0 && known.tried == 1));
    assert_eq!(get(&store, "before").unwrap(), b"1");
    store.close();
    disk.set_faults(Faults::default());
    drop(store);
    let store = open(Kind::Redb, &disk, &sled).unwrap();
    assert_eq!(get(&store, "before").unwrap(), b"1");
    work(&store, &mut known, 1);
}
