//! The store made again as it was, at any record and any time for which journal and snapshots are kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use framework::{Clock, Timestamp};
use storage::{Kind, Moment, OpenError, Options, Storage, Target, rewind, span, undo};
use support::{get, noise, put, small, write};

/// A clock that the test turns on.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// Record *n* is written at second *n* and changes one of ten names.
const RECORDS: u64 = 800;
const SIZE: usize = 4000;

fn name(number: u64) -> String {
    format!("r/{}", number % 10)
}

fn options(clock: &Arc<Hand>, retention: u64) -> Options {
    Options { journal_retention: Duration::from_secs(retention), clock: clock.clone(), ..small() }
}

fn written(kind: Kind, folder: &Path, retention: u64) -> Arc<Hand> {
    let clock = Arc::new(Hand::default());
    let store = storage::open(kind, Some(folder), options(&clock, retention)).unwrap();
    for number in 1..=RECORDS {
        clock.0.store(number as i64, Ordering::Relaxed);
        write(&store, vec![put(&name(number), &noise(number, SIZE))]).unwrap();
    }
    clock
}

#[track_caller]
fn is_as_after(store: &Storage, sequence: u64) {
    assert_eq!(store.stats().sequence, sequence);
    for number in sequence.saturating_sub(9).max(1)..=sequence {
        assert!(get(store, &name(number)) == Some(noise(number, SIZE)), "record {number} at {sequence}");
    }
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to.path()).status().unwrap();
    assert!(copied.success());
    to
}

#[test]
fn any_record_and_any_second_can_be_had_again() {
    for kind in [Kind::Sled, Kind::Redb] {
        let folder = tempfile::tempdir().unwrap();
        let clock = written(kind, folder.path(), 1 << 20);
        assert!(std::fs::read_dir(folder.path().join("history")).unwrap().count() > 2, "the journal never moved on");
        let known = span(folder.path()).unwrap();
        assert_eq!((known.first.sequence, known.last.sequence), (0, RECORDS));
        assert_eq!(known.last.time, Some(Timestamp::from_secs(RECORDS as i64)));
        for (target, sequence) in [
            (Target::Sequence(RECORDS), RECORDS),
            (Target::Sequence(1), 1),
            (Target::Sequence(0), 0),
            (Target::Sequence(333), 333),
            (Target::Time(Timestamp::from_nanos(777_500_000_000)), 777),
            (Target::Time(Timestamp::from_secs(1 << 30)), RECORDS),
        ] {
            let again = copy(folder.path());
            let moment = rewind(kind, again.path(), options(&clock, 1 << 20), target).unwrap();
            assert_eq!(moment.sequence, sequence);
            is_as_after(&support::open(kind, again.path()), sequence);
            // What was there is not gone, and neither is this.
            for sequence in [RECORDS, sequence] {
                assert!(undo(again.path()).unwrap());
                is_as_after(&support::open(kind, again.path()), sequence);
            }
        }
        assert!(!undo(folder.path()).unwrap());
    }
}

#[test]
fn history_is_kept_for_as_long_as_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let clock = written(Kind::Redb, folder.path(), 300);
    // The last start tidies too.
    drop(storage::open(Kind::Redb, Some(folder.path()), options(&clock, 300)).unwrap());
    let known = span(folder.path()).unwrap();
    let oldest = known.first.time.map_or(0, |time| time.secs());
    assert!(oldest <= 500, "300 of 800 seconds are not there: {oldest}");
    assert!(oldest > 0, "nothing was removed");
    let again = copy(folder.path());
    let target = Target::Time(Timestamp::from_secs(500));
    assert_eq!(rewind(Kind::Redb, again.path(), options(&clock, 300), target).unwrap().sequence, 500);
    is_as_after(&support::open(Kind::Redb, again.path()), 500);
    let before = Target::Sequence(known.first.sequence - 1);
    let refused = rewind(Kind::Redb, folder.path(), options(&clock, 300), before).unwrap_err().to_string();
    assert!(refused.contains(&format!("record {} (1970-01-01T", known.first.sequence)), "{refused}");

    drop(support::open(Kind::Redb, folder.path()));
    assert!(!folder.path().join("history").exists(), "without retention nothing is kept");
    let known = span(folder.path()).unwrap();
    assert!(known.first.sequence > 500 && known.last == Moment { sequence: RECORDS, time: known.last.time });
}

#[test]
fn damaged_history_stops_it_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = written(Kind::Redb, folder.path(), 1 << 20);
    let first = folder.path().join("history/00000000000000000001-0000.log");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[9000] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let target = Target::Sequence(12);
    let refused = rewind(Kind::Redb, folder.path(), options(&clock, 1 << 20), target);
    assert!(matches!(refused, Err(OpenError::Journal(_))), "{refused:?}");
    let store = storage::open(Kind::Redb, Some(folder.path()), options(&clock, 1 << 20)).unwrap();
    is_as_after(&store, RECORDS);
    assert!(matches!(span(folder.path()), Err(OpenError::InUse { .. })));
}
