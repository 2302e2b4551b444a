//! Snapshots that leave the machine: of one moment though writers go on, refused when damaged, and put in place so that
//! a power cut at any step leaves the old data or the new.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use framework::Error;
use storage::archive::{Contents, inspect};
use storage::{Kind, Storage, open_on};
use support::simulated::SimulatedDisk;
use support::{Random, get, list, noise, open, put, rounds, small, write};

const KINDS: [Kind; 2] = [Kind::Sled, Kind::Redb];

fn everything_is_fine(_: &framework::Key, _: &[u8]) -> Result<(), Error> {
    Ok(())
}

fn save(store: &Storage) -> Vec<u8> {
    let mut archive = Vec::new();
    let export = store.export(&everything_is_fine).unwrap();
    export.into_archive(b"sealed".to_vec()).unwrap().read_to_end(&mut archive).unwrap();
    archive
}

/// Receives and promotes; the caller starts again.
fn restore(store: &Storage, archive: &[u8]) -> Result<Contents, Error> {
    let (contents, candidate) = store.receive(&mut &*archive)?;
    candidate.promote().map_err(Error::internal)?;
    Ok(contents)
}

/// A store that was closed, opened again by `kind`, in which `number` was written everywhere.
fn store_of(kind: Kind, path: &Path, number: u64) -> Arc<Storage> {
    let store = open(kind, path);
    fill(&store, number);
    store
}

fn fill(store: &Storage, number: u64) {
    for record in 0..20 {
        let name = format!("a/{record}");
        write(store, vec![put(&name, &noise(number, 100 + record * 400))]).unwrap();
    }
}

#[track_caller]
fn holds(store: &Storage, number: u64) {
    assert_eq!(list(store, "a/").len(), 20);
    for record in 0..20 {
        assert!(get(store, &format!("a/{record}")) == Some(noise(number, 100 + record * 400)), "record {record}");
    }
}

#[test]
fn a_snapshot_is_of_one_moment_though_writers_go_on() {
    for (kind, other) in KINDS.into_iter().zip(KINDS.into_iter().rev()) {
        let (folder, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = open(kind, folder.path());
        let stop = AtomicBool::new(false);
        let (archive, before) = std::thread::scope(|scope| {
            for client in 0..4_u64 {
                let (store, stop) = (&store, &stop);
                scope.spawn(move || {
                    for number in 1_u64.. {
                        let parts = ["a", "m", "z"].map(|part| {
                            let value = [number.to_le_bytes().as_slice(), &noise(number, 2000)].concat();
                            put(&format!("{part}/{client}"), &value)
                        });
                        write(store, parts.into_iter().collect()).unwrap();
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            // Writers go on until the snapshot has met journal files that came and went.
            while store.stats().sequence < 500 {
                std::thread::yield_now();
            }
            let before = store.stats().sequence;
            let archive = save(&store);
            stop.store(true, Ordering::Relaxed);
            (archive, before)
        });
        let contents = inspect(&mut archive.as_slice()).unwrap();
        assert!(contents.position.sequence >= before && contents.sealed == b"sealed");
        assert!(!folder.path().join("spool").exists());

        let live = store_of(other, target.path(), 7);
        restore(&live, &archive).unwrap();
        drop(live);
        let restored = open(other, target.path());
        assert_eq!(restored.stats().sequence, contents.position.sequence);
        assert_eq!(list(&restored, ""), ["a/", "m/", "z/"]);
        for client in 0..4 {
            let values = ["a", "m", "z"].map(|part| get(&restored, &format!("{part}/{client}")).unwrap());
            assert!(values[0] == values[1] && values[1] == values[2], "half a transaction of client {client}");
        }
        write(&restored, vec![put("b", b"goes on")]).unwrap();
        assert_eq!(restored.stats().sequence, contents.position.sequence + 1);
    }
}

#[test]
fn one_at_a_time_and_not_without_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(Kind::Redb, folder.path(), 1);
    let first = store.export(&everything_is_fine).unwrap();
    assert!(matches!(store.export(&everything_is_fine), Err(Error::Busy { .. })));
    drop(first);
    drop(store.export(&everything_is_fine).unwrap());
    let memory = storage::open(Kind::Memory, None, small()).unwrap();
    assert!(matches!(memory.export(&everything_is_fine), Err(Error::Invalid { .. })));
}

#[test]
fn a_record_that_is_not_as_it_was_written_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(Kind::Redb, folder.path(), 1);
    let picky = |key: &framework::Key, value: &[u8]| {
        if key.as_str() == "a/7" && value == noise(1, 100 + 7 * 400) {
            return Err(Error::internal("forged"));
        }
        Ok(())
    };
    assert!(matches!(store.export(&picky), Err(Error::Internal(incident)) if incident.cause.contains("forged")));
    assert!(store.check(&picky).is_err() && store.check(&everything_is_fine).is_ok());
    assert!(!folder.path().join("spool").exists());
}

#[test]
fn what_is_damaged_is_refused_and_nothing_is_changed() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = store_of(Kind::Redb, folder.path(), 1);
    let archive = save(&store);
    let foreign = save(&store_of(Kind::Redb, other.path(), 2));
    fill(&store, 3);

    let refused = |archive: &[u8], what: &str| {
        match store.receive(&mut &*archive) {
            Err(Error::Invalid { message, .. }) => assert!(message.contains(what), "{what:?} is not in {message:?}"),
            other => panic!("{what}: {:?}", other.map(|(contents, _)| contents)),
        }
        assert!(!folder.path().join("incoming").exists() && !folder.path().join("restore").exists());
    };
    for length in [0, 5, 100, 1000, archive.len() / 2, archive.len() - 20, archive.len() - 1] {
        refused(&archive[..length], "cut short");
    }
    refused(&[archive.as_slice(), b"more"].concat(), "behind its end");
    refused(b"this is no snapshot", "");
    // What is changed in the files, with all of gzip and tar made right again.
    let edited = |edit: &dyn Fn(&mut Files)| repack(&archive, edit);
    let theirs = files(&foreign);
    let replace =
        |name: &'static str, bytes: Vec<u8>| edited(&move |files| drop(files.insert(name.to_owned(), bytes.clone())));
    refused(&replace("journal.bin", theirs["journal.bin"].clone()), "does not follow the records");
    refused(&replace("state.bin", theirs["state.bin"].clone()), "does not follow the records");
    refused(&replace("SHA256SUMS", theirs["SHA256SUMS"].clone()), "SHA256SUMS");
    let meta = String::from_utf8(files(&archive)["meta.json"].clone()).unwrap();
    refused(&replace("meta.json", meta.replace("\"Version\":1", "\"Version\":2").into()), "another version");
    refused(&replace("meta.json", meta.replace("holdfast-", "bolt-").into()), "another product");
    refused(&replace("meta.json", meta.replace("\"Index\":20", "\"Index\":19").into()), "belongs to another one");
    refused(&edited(&|files| drop(files.remove("SHA256SUMS.sealed"))), "SHA256SUMS.sealed is missing");
    holds(&store, 3);
    restore(&store, &archive).unwrap();
    drop(store);
    holds(&open(Kind::Redb, folder.path()), 1);
}

#[test]
fn no_flipped_bit_is_taken_for_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let archive = save(&store_of(Kind::Redb, folder.path(), 1));
    let sums = inspect(&mut archive.as_slice()).unwrap().sums;
    let mut random = Random::new(5);
    let mut refused = 0;
    let flips = rounds(400, 4000);
    for _ in 0..flips {
        let mut damaged = archive.clone();
        damaged[random.below(archive.len() as u64) as usize] ^= 1 << random.below(8);
        // Some bits of gzip's own headers mean nothing.
        match inspect(&mut damaged.as_slice()) {
            Ok(contents) => assert_eq!(contents.sums, sums),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > flips * 95 / 100, "{refused} of {flips}");
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(archive: &[u8]) -> Files {
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let (mut files, mut at) = (BTreeMap::new(), 0);
    while tar[at] != 0 {
        let name = String::from_utf8(tar[at..at + 100].split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&tar[at + 124..at + 135]).unwrap(), 8).unwrap();
        files.insert(name, tar[at + 512..at + 512 + size].to_vec());
        at += 512 + size.next_multiple_of(512);
    }
    files
}

/// The archive with its files edited, in their order, under headers that are right.
fn repack(archive: &[u8], edit: &dyn Fn(&mut Files)) -> Vec<u8> {
    let mut files = files(archive);
    edit(&mut files);
    let mut tar = Vec::new();
    for name in ["meta.json", "state.bin", "journal.bin", "SHA256SUMS", "SHA256SUMS.sealed"] {
        let Some(bytes) = files.get(name) else { continue };
        let mut header = vec![0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(tar.as_slice(), flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

/// Cuts the power at every operation of a restore in turn, and sometimes again while the next start finishes it.
#[test]
fn a_power_cut_at_any_step_leaves_the_old_data_or_the_new() {
    let source = tempfile::tempdir().unwrap();
    let archive = save(&store_of(Kind::Redb, source.path(), 2));
    let mut random = Random::new(11);
    let (mut old, mut new) = (0, 0);
    for operation in 1.. {
        let mut disk = SimulatedDisk::new();
        let open = |disk: &SimulatedDisk| open_on(Kind::Redb, Arc::new(disk.clone()), None, small());
        fill(&open(&disk).unwrap(), 1);
        let store = open(&disk).unwrap();
        disk.cut_after(operation);
        let restored = restore(&store, &archive);
        let decided = restored.is_ok();
        drop(store);
        // The start that finishes it is cut off too, as often as not.
        let mut finished = None;
        while finished.is_none() {
            disk = disk.after_cut(&mut random);
            if random.chance(50) {
                disk.cut_after(1 + random.below(20));
            }
            finished = open(&disk).ok().filter(|_| !disk.is_cut());
        }
        let store = finished.unwrap();
        disk.cut_after(u64::MAX / 2);
        let is_new = get(&store, "a/0") == Some(noise(2, 100));
        holds(&store, if is_new { 2 } else { 1 });
        assert!(is_new || !decided, "what was restored is gone, cut at operation {operation}");
        if is_new {
            new += 1
        } else {
            old += 1
        };
        write(&store, vec![put("more", b"works")]).unwrap();
        // Whoever was told that it is done must find it; a few more cuts come while the old store is closed.
        if decided && new > 20 {
            break;
        }
    }
    println!("{old} cuts left the old data, {new} the new");
    assert!(old > 20 && new > 20);
}
