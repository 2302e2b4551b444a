//! Whatever is done to the files while no server runs: it is noticed and said, or mended, and never a wrong value is served.
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
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::{Kind, OpenError, Options, Storage};
use support::{Random, get, noise, put, rounds, write};

const RECORDS: u64 = 300;

fn options() -> Options {
    Options { snapshot_bytes: 1 << 30, ..support::small() }
}

fn open(kind: Kind, folder: &Path) -> Result<Arc<Storage>, OpenError> {
    storage::open(kind, Some(folder), options())
}

/// A data directory that a server has left, with several journal files.
struct Left(tempfile::TempDir);

impl Left {
    fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(kind, folder.path()).unwrap();
        for number in 0..RECORDS {
            write(&store, vec![put(&format!("r/{number}"), &noise(number, 1000))]).unwrap();
        }
        store.close();
        Self(folder)
    }

    fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("cp").arg("-r").arg(self.path().join(".")).arg(folder.path()).status();
        assert!(status.unwrap().success());
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut segments: Vec<_> =
            fs::read_dir(self.path().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.sort();
        segments
    }

    /// The message with which opening fails.
    fn complaint(&self, kind: Kind) -> String {
        match open(kind, self.path()) {
            Ok(_) => panic!("opened as if nothing had been done to it"),
            Err(error) => error.to_string(),
        }
    }

    fn is_whole(&self, kind: Kind) {
        let store = match open(kind, self.path()) {
            // sled can hang over a damaged file; the next start does without that file.
            Err(OpenError::Index { what }) if what.contains("start again") => open(kind, self.path()).unwrap(),
            opened => opened.unwrap(),
        };
        for number in 0..RECORDS {
            assert!(get(&store, &format!("r/{number}")).unwrap() == noise(number, 1000), "record {number}");
        }
        assert_eq!(store.stats().records, RECORDS);
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn one_flipped_bit_anywhere_in_the_journal_is_noticed() {
    for orderly in [true, false] {
        let left = Left::new(Kind::Redb);
        if !orderly {
            // As after a kill: nothing says where the journal ended.
            fs::remove_file(left.path().join("end")).unwrap();
            fs::remove_file(left.path().join("index.redb")).unwrap();
        }
        let random = &mut Random::new(5);
        for _ in 0..rounds(25, 300) {
            let harmed = left.copy();
            let segments = harmed.segments();
            let path = &segments[random.below(segments.len() as u64) as usize];
            let mut place = 0;
            change(path, |bytes| {
                place = random.below(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << random.below(8);
            });
            let complaint = harmed.complaint(Kind::Redb);
            let file = path.file_name().unwrap().to_str().unwrap();
            assert!(complaint.contains(file) && complaint.contains("damaged at byte"), "byte {place}: {complaint}");
            assert!(complaint.contains("restore"), "what to do: {complaint}");
        }
        left.is_whole(Kind::Redb);
    }
}

#[test]
fn a_shortened_journal_is_noticed() {
    let left = Left::new(Kind::Redb);
    let last = |left: &Left| left.segments().pop().unwrap();
    let length = fs::metadata(last(&left)).unwrap().len();
    for cut in [1, 100, 1000, length / 2, length - 64, length] {
        let harmed = left.copy();
        change(&last(&harmed), |bytes| bytes.truncate((length - cut) as usize));
        let complaint = harmed.complaint(Kind::Redb);
        assert!(complaint.contains("the journal ends at record") || complaint.contains("header"), "{complaint}");
    }
    let harmed = left.copy();
    change(&harmed.segments()[1], |bytes| bytes.truncate(bytes.len() - 10));
    assert!(harmed.complaint(Kind::Redb).contains("damaged at byte"));
    // With the mark of an orderly end gone too, the index still knows.
    let harmed = left.copy();
    fs::remove_file(harmed.path().join("end")).unwrap();
    fs::remove_file(last(&harmed)).unwrap();
    assert!(harmed.complaint(Kind::Redb).contains("index has seen"));
}

#[test]
fn missing_swapped_and_foreign_journal_files_are_noticed() {
    let left = Left::new(Kind::Sled);
    let count = left.segments().len();
    assert!(count >= 4);
    for missing in 0..count {
        let harmed = left.copy();
        fs::remove_file(&harmed.segments()[missing]).unwrap();
        let complaint = harmed.complaint(Kind::Sled);
        assert!(complaint.contains("journal"), "{complaint}");
    }
    let harmed = left.copy();
    let [one, two] = [1, 2].map(|number| harmed.segments()[number].clone());
    let aside = harmed.path().join("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    assert!(harmed.complaint(Kind::Sled).contains("is named for record"));
    // The same writes on another server make files of the same names and lengths.
    let other = Left::new(Kind::Sled);
    for (number, expected) in [(0, "another data directory"), (2, "does not follow")] {
        let harmed = left.copy();
        fs::copy(&other.segments()[number], &harmed.segments()[number]).unwrap();
        let complaint = harmed.complaint(Kind::Sled);
        assert!(complaint.contains(expected), "{complaint}");
    }
    let harmed = left.copy();
    for segment in harmed.segments() {
        fs::remove_file(segment).unwrap();
    }
    assert!(harmed.complaint(Kind::Sled).contains("journal"));
    left.is_whole(Kind::Sled);
}

#[test]
fn a_record_copied_over_another_is_noticed() {
    let left = Left::new(Kind::Redb);
    let segment = left.segments()[1].clone();
    let bytes = fs::read(&segment).unwrap();
    let starts: Vec<_> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"\xc6HF1")).collect();
    let frame = starts[2] - starts[1];
    assert_eq!(frame, starts[6] - starts[5], "records of one size");
    let harmed = left.copy();
    change(&harmed.segments()[1], |bytes| bytes.copy_within(starts[5]..starts[6], starts[1]));
    assert!(harmed.complaint(Kind::Redb).contains("another record stands where"));
    let harmed = left.copy();
    change(&harmed.segments()[1], |bytes| drop(bytes.drain(starts[1]..starts[2])));
    assert!(harmed.complaint(Kind::Redb).contains("another record stands where"));
}

#[test]
fn a_torn_tail_is_cut_and_what_was_acknowledged_stays() {
    let left = Left::new(Kind::Redb);
    // A server that was cut while it appended: half a record at the end.
    let torn = left.copy();
    let last = torn.segments().pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    let start = (0..bytes.len() - 4).rfind(|at| bytes[*at..].starts_with(b"\xc6HF1")).unwrap();
    let half = bytes[start..start + 600].to_vec();
    change(&last, |bytes| bytes.extend_from_slice(&half));
    torn.is_whole(Kind::Redb);
    assert_eq!(fs::read(&last).unwrap(), bytes);
    torn.is_whole(Kind::Redb);
}

#[test]
fn a_damaged_index_is_made_again() {
    for (kind, file) in [(Kind::Redb, "index.redb"), (Kind::Sled, "index.sled/db"), (Kind::Sled, "index.sled/conf")] {
        let left = Left::new(kind);
        let random = &mut Random::new(9);
        for round in 0..rounds(8, 100) {
            let harmed = left.copy();
            change(&harmed.path().join(file), |bytes| match round % 4 {
                0 => bytes.clear(),
                1 => bytes.truncate(bytes.len() / 2),
                _ => {
                    for _ in 0..20 {
                        let place = random.below(bytes.len() as u64) as usize;
                        bytes[place] ^= 1 << random.below(8);
                    }
                }
            });
            harmed.is_whole(kind);
            harmed.is_whole(kind);
        }
    }
}

#[test]
fn sled_files_left_by_a_power_cut_or_a_failed_start_are_not_opened() {
    let left = Left::new(Kind::Sled);
    for note in ["open since another start of the machine", "opening", ""] {
        fs::write(left.path().join("index.state"), note).unwrap();
        let before = fs::read(left.path().join("index.sled/conf")).unwrap();
        fs::write(left.path().join("index.sled/conf"), "what sled would not survive").unwrap();
        left.is_whole(Kind::Sled);
        assert_eq!(fs::read(left.path().join("index.sled/conf")).unwrap(), before);
        assert!(!left.path().join("index.sled.broken").exists());
    }
}

#[test]
fn an_index_damaged_while_it_is_used_is_made_again_and_never_gives_a_wrong_value() {
    let left = Left::new(Kind::Redb);
    // Next to no cache, so that reads come from the file.
    let options = Options { cache_bytes: 4096, ..options() };
    let store = storage::open(Kind::Redb, Some(left.path()), options).unwrap();
    let path = left.path().join("index.redb");
    let mut bytes = fs::read(&path).unwrap();
    for sector in bytes.chunks_mut(512).skip(16) {
        sector[100] ^= 1;
    }
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    for number in 0..RECORDS {
        assert!(get(&store, &format!("r/{number}")).unwrap() == noise(number, 1000), "record {number}");
    }
    assert!(left.path().join("index.redb.broken").exists(), "the damage was not met");
    write(&store, vec![put("new", b"1")]).unwrap();
}

#[test]
fn two_servers_on_one_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(Kind::Redb, folder.path()).unwrap();
    let Err(error) = open(Kind::Redb, folder.path()) else { panic!("opened twice") };
    assert!(matches!(error, OpenError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()) && text.contains("stop it first"), "{text}");
    store.close();
    open(Kind::Redb, folder.path()).unwrap();
}

#[test]
fn a_directory_of_another_version_or_of_somebody_else_is_refused_untouched() {
    let left = Left::new(Kind::Redb);
    let format = left.path().join("format");
    let own = fs::read(&format).unwrap();
    fs::write(&format, "holdfast data 2\nwhatever\n").unwrap();
    let complaint = left.complaint(Kind::Redb);
    assert!(complaint.contains("holdfast data 2") && complaint.contains("holdfast data 1"), "{complaint}");
    fs::remove_file(&format).unwrap();
    assert!(left.complaint(Kind::Redb).contains("no file \"format\""));
    fs::write(&format, own).unwrap();
    left.is_whole(Kind::Redb);
}

#[test]
fn the_directory_is_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/data");
    drop(open(Kind::Redb, &folder).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("journal")), 0o700);
    for file in ["format", "lock", "end", "index.redb"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
}
