//! The barrier over a disk that may do anything.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail the test they help"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use barrier::{Barrier, Founding, OpenError};
use common::{Disk, THEN, apply, fresh, integrity, key, put, read, seal_record};
use framework::{Batch, Error, Page, Prefix, Secret, Store, Timestamp, Version};
use proptest::prelude::*;

#[test]
fn nothing_readable_lies_on_the_disk() {
    let (barrier, _, disk) = fresh();
    apply(&barrier, vec![put("logical/mount/users/alice", b"plain-value"), put("logical/mount/users", b"folder too")])
        .unwrap();
    assert_eq!(read(&barrier, "logical/mount/users/alice").unwrap().unwrap(), b"plain-value");
    assert_eq!(read(&barrier, "logical/mount/users/bob").unwrap(), None);
    let shown = disk.keys().join(" ") + &disk.keys().iter().map(|k| format!("{:?}", disk.raw(k))).collect::<String>();
    for secret in ["logical", "mount", "users", "alice", &format!("{:?}", b"plain-value")[1..30]] {
        assert!(!shown.contains(secret), "{secret}");
    }
    // The same name in another folder looks different: equal names tell nothing.
    let leaf = |name: &str| barrier.sealed_key(&key(name)).unwrap().split().1.to_owned();
    assert_ne!(leaf("a/x"), leaf("b/x"));
}

#[test]
fn sealed_means_every_call_is_refused() {
    let (barrier, root, _) = fresh();
    apply(&barrier, vec![put("a", b"1")]).unwrap();
    barrier.close();
    assert!(barrier.is_sealed() && barrier.is_initialised().unwrap());
    assert!(matches!(read(&barrier, "a"), Err(Error::Sealed)));
    assert!(matches!(barrier.list(&Prefix::root(), &Page::default()), Err(Error::Sealed)));
    assert!(matches!(apply(&barrier, vec![put("a", b"2")]), Err(Error::Sealed)));
    assert!(matches!(barrier.rotate(Timestamp::default()), Err(Error::Sealed)));
    assert!(matches!(barrier.derive("x"), Err(Error::Sealed)));
    assert!(matches!(barrier.put(seal_record("pin", b"x")), Err(Error::Sealed)));
    barrier.open(&root).unwrap();
    assert_eq!(read(&barrier, "a").unwrap().unwrap(), b"1");
}

#[test]
fn only_the_root_key_opens_and_only_once_is_it_made() {
    let (barrier, root, disk) = fresh();
    let again = barrier.initialise(&root, Founding::default(), Timestamp::default());
    assert!(matches!(again, Err(Error::Invalid { .. })));
    let other = Barrier::new(disk.clone());
    let wrong = other.open(&Secret::random(32).unwrap()).unwrap_err();
    assert!(matches!(wrong, OpenError::WrongRootKey));
    assert_eq!(wrong.to_string(), "root key does not open this keyring");
    assert!(other.open(&Secret::random(31).unwrap()).is_err() && other.is_sealed());
    let whole = disk.raw("_/keyring");
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        disk.set_raw("_/keyring", bent);
        assert!(other.open(&root).is_err(), "bit flip at {at}");
        disk.set_raw("_/keyring", whole[..at].to_vec());
        assert!(other.open(&root).is_err(), "cut at {at}");
    }
    assert!(other.is_sealed());
    let empty = Barrier::new(Arc::new(Disk::default()));
    assert!(matches!(empty.open(&root), Err(OpenError::Failed(Error::Uninitialized))));
}

#[test]
fn rotation_keeps_old_values_names_and_derived_keys() {
    let (barrier, root, disk) = fresh();
    apply(&barrier, vec![put("m/old", b"1")]).unwrap();
    let (place, derived) = (barrier.sealed_key(&key("m/old")).unwrap(), barrier.derive("tokens").unwrap());
    assert_eq!(barrier.rotate(Timestamp::from_secs(THEN + 9)).unwrap(), 2);
    apply(&barrier, vec![put("m/new", b"2")]).unwrap();
    let terms: Vec<_> = barrier.terms().unwrap().iter().map(|t| (t.term, t.installed.secs())).collect();
    assert_eq!(terms, [(1, THEN), (2, THEN + 9)]);
    let term_on_disk = |name: &str| disk.raw(barrier.sealed_key(&key(name)).unwrap().as_str())[4];
    assert_eq!((term_on_disk("m/old"), term_on_disk("m/new")), (1, 2));

    let restarted = Barrier::new(disk.clone());
    restarted.open(&root).unwrap();
    assert_eq!(read(&restarted, "m/old").unwrap().unwrap(), b"1");
    assert_eq!(read(&restarted, "m/new").unwrap().unwrap(), b"2");
    assert_eq!(restarted.sealed_key(&key("m/old")).unwrap(), place);
    assert_eq!(restarted.derive("tokens").unwrap(), derived);
    assert_ne!(restarted.derive("leases").unwrap(), derived);
}

/// Written with every few thousand batches, and ahead of the truth: after a kill the number is too high, never too low.
#[test]
fn encryptions_are_counted_across_kills_and_never_too_few() {
    let (mut barrier, root, disk) = fresh();
    let count = |barrier: &Barrier<Arc<Disk>>| barrier.terms().unwrap().last().unwrap().encryptions;
    let (mut truth, mut restarts) = (0, 0);
    for batch in 0..200_u64 {
        if batch % 7 == 3 {
            // Nobody closed it: a kill.
            barrier = Barrier::new(disk.clone());
            barrier.open(&root).unwrap();
            restarts += 1;
        }
        let size = batch * 13 % 400;
        apply(&barrier, (0..size).map(|at| put(&format!("x/{at}"), b"1")).collect()).unwrap();
        truth += size;
        assert!(count(&barrier) >= truth, "{} of {truth}", count(&barrier));
    }
    assert!(count(&barrier) < truth + (restarts + 1) * 10_000, "{} for {truth}", count(&barrier));
    barrier.rotate(Timestamp::from_secs(THEN)).unwrap();
    assert!(count(&barrier) < 5, "a new key was used for its own count alone");
    apply(&barrier, (0..300).map(|at| put(&format!("x/{at}"), b"1")).collect()).unwrap();
    // Made anew with the root key, the keyring goes on counting.
    let other = Secret::random(32).unwrap();
    barrier.change_root_key(&other, Founding::default()).unwrap();
    assert!((300..400).contains(&count(&barrier)));
    let restarted = Barrier::new(disk);
    restarted.open(&other).unwrap();
    assert!((300..10_000).contains(&count(&restarted)));
}

#[test]
fn a_changed_root_key_replaces_the_old_one() {
    let (barrier, old, disk) = fresh();
    apply(&barrier, vec![put("a", b"1")]).unwrap();
    let new = Secret::random(32).unwrap();
    let founding = Founding { seal_records: vec![("root", b"wrapped anew".to_vec())], records: vec![] };
    barrier.change_root_key(&new, founding).unwrap();
    barrier.rotate(Timestamp::default()).unwrap();
    let restarted = Barrier::new(disk);
    assert!(matches!(restarted.open(&old), Err(OpenError::WrongRootKey)));
    restarted.open(&new).unwrap();
    assert_eq!(read(&restarted, "a").unwrap().unwrap(), b"1");
    assert_eq!(restarted.seal_records().get("root").unwrap().unwrap().value, b"wrapped anew");
}

#[test]
fn two_servers_that_rotate_do_not_lose_a_key() {
    let (first, root, disk) = fresh();
    let second = Barrier::new(disk.clone());
    second.open(&root).unwrap();
    let race = || {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| second.rotate(Timestamp::default()));
            (first.rotate(Timestamp::default()), other.join().unwrap())
        })
    };
    for _ in 0..50 {
        let (mine, theirs) = race();
        apply(&first, vec![put("mine", b"1")]).unwrap();
        apply(&second, vec![put("theirs", b"2")]).unwrap();
        let restarted = Barrier::new(disk.clone());
        restarted.open(&root).unwrap();
        if mine.is_ok() {
            assert_eq!(read(&restarted, "mine").unwrap().unwrap(), b"1");
        }
        if theirs.is_ok() {
            assert_eq!(read(&restarted, "theirs").unwrap().unwrap(), b"2");
        }
        first.open(&root).unwrap();
        second.open(&root).unwrap();
    }
}

#[test]
fn seal_records_are_readable_sealed_and_vouched_for() {
    let disk = Arc::new(Disk::default());
    let barrier = Barrier::new(disk.clone());
    let root = Secret::random(32).unwrap();
    let founding = Founding {
        seal_records: vec![("config", b"5/3".to_vec()), ("pin", b"abc".to_vec())],
        records: vec![put("core/token", b"root token")],
    };
    barrier.initialise(&root, founding, Timestamp::default()).unwrap();
    assert!(barrier.is_sealed());
    assert_eq!(barrier.seal_records().get("config").unwrap().unwrap().value, b"5/3");
    assert!(barrier.seal_records().get("none").unwrap().is_none());
    assert!(barrier.seal_records().get("keyring").is_err() && barrier.seal_records().get("a/b").is_err());
    barrier.open(&root).unwrap();
    assert_eq!(read(&barrier, "core/token").unwrap().unwrap(), b"root token");
    barrier.put(seal_record("pin", b"xyz")).unwrap();
    // They are no records of the barrier, even by name.
    assert_eq!(read(&barrier, "_/pin").unwrap(), None);
    assert_eq!(barrier.list(&Prefix::root(), &Page::default()).unwrap(), ["core/"]);

    for (name, bytes) in [("_/config", disk.raw("_/pin")), ("_/new", disk.raw("_/pin")), ("_/pin", vec![3])] {
        let before = disk.0.lock().unwrap().1.clone();
        disk.set_raw(name, bytes);
        let restarted = Barrier::new(disk.clone());
        match restarted.open(&root) {
            Err(OpenError::Failed(error)) => drop(integrity::<()>(Err(error))),
            other => panic!("{name}: {other:?}"),
        }
        disk.0.lock().unwrap().1 = before;
    }
    Barrier::new(disk).open(&root).unwrap();
}

#[test]
fn a_batch_rests_on_what_was_read() {
    let (barrier, _, _) = fresh();
    apply(&barrier, vec![put("a", b"1")]).unwrap();
    let seen = barrier.get(&key("a")).unwrap().unwrap().version;
    apply(&barrier, vec![put("a", b"2")]).unwrap();
    let stale = Batch { reads: vec![(key("a"), seen)], writes: vec![put("b", b"3")] };
    assert!(matches!(barrier.apply(stale), Err(Error::Conflict)));
    let absent = Batch { reads: vec![(key("b"), Version(0))], writes: vec![put("b", b"3")] };
    barrier.apply(absent).unwrap();
    let mut gone = put("a", b"");
    gone.value = None;
    apply(&barrier, vec![gone]).unwrap();
    assert_eq!(read(&barrier, "a").unwrap(), None);
}

#[test]
fn swapped_records_are_detected() {
    let (barrier, _, disk) = fresh();
    apply(&barrier, vec![put("a/x", b"1"), put("a/y", b"2"), put("b/x", b"3")]).unwrap();
    let place = |name: &str| barrier.sealed_key(&key(name)).unwrap().as_str().to_owned();
    let raw = disk.raw(&place("a/x"));
    for other in ["a/y", "b/x"] {
        disk.set_raw(&place(other), raw.clone());
        integrity(read(&barrier, other));
    }
    // A record moved to a name that no key of ours made: listing shows it as damage.
    let moved = place("b/x").replace(place("b/x").split('/').next().unwrap(), place("a/x").split('/').next().unwrap());
    disk.set_raw(&moved, raw);
    integrity(barrier.list(&Prefix::new("a").unwrap(), &Page::default()));
}

#[test]
fn every_flipped_bit_and_every_cut_is_detected() {
    let (barrier, _, disk) = fresh();
    apply(&barrier, vec![put("a", b"value"), put("empty", b"")]).unwrap();
    assert_eq!(read(&barrier, "empty").unwrap().unwrap(), b"");
    let place = barrier.sealed_key(&key("a")).unwrap();
    let whole = disk.raw(place.as_str());
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            disk.set_raw(place.as_str(), bent);
            let cause = integrity(read(&barrier, "a"));
            assert!(cause.contains(place.as_str()), "says where: {cause}");
        }
        disk.set_raw(place.as_str(), whole[..at].to_vec());
        integrity(read(&barrier, "a"));
    }
    disk.set_raw(place.as_str(), [&whole[..], b"x"].concat());
    integrity(read(&barrier, "a"));
}

#[test]
fn paths_too_long_for_the_disk_are_refused_with_a_reason() {
    let (barrier, _, _) = fresh();
    let refused = apply(&barrier, vec![put("a/".repeat(200).trim_end_matches('/'), b"1")]);
    assert!(matches!(refused, Err(Error::Invalid { message, .. }) if message.contains("too long")));
    let long = "x".repeat(1400);
    apply(&barrier, vec![put(&long, b"1")]).unwrap();
    assert_eq!(read(&barrier, &long).unwrap().unwrap(), b"1");
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("_".to_owned()), "[^/\\p{Cc}]{1,12}"]
        .prop_filter("dots", |name| name != "." && name != "..")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a plain map: reads, listings and pages agree, cold and warm.
    #[test]
    fn behaves_like_a_map(
        records in proptest::collection::btree_map(proptest::collection::vec(segment(), 1..5), any::<Vec<u8>>(), 1..30),
        limit in 0usize..6,
    ) {
        let (barrier, root, _) = fresh();
        let named: Vec<(String, &Vec<u8>)> = records.iter().map(|(path, value)| (path.join("/"), value)).collect();
        apply(&barrier, named.iter().map(|(name, value)| put(name, value)).collect()).unwrap();
        for cold in [false, true] {
            if cold {
                barrier.close();
                barrier.open(&root).unwrap();
            }
            for (name, value) in &named {
                prop_assert_eq!(&read(&barrier, name).unwrap().unwrap(), *value);
            }
        }
        let folders: BTreeSet<&str> = named.iter().map(|(name, _)| name.rfind('/').map_or("", |at| &name[..=at])).collect();
        for folder in folders {
            let below = named.iter().filter_map(|(name, _)| name.strip_prefix(folder));
            let expected: BTreeSet<&str> = below.map(|rest| rest.split_inclusive('/').next().unwrap()).collect();
            let expected: Vec<&str> = expected.into_iter().collect();
            let prefix = Prefix::new(folder).unwrap();
            prop_assert_eq!(&barrier.list(&prefix, &Page::default()).unwrap(), &expected);
            let mut paged = Vec::new();
            loop {
                let page = Page { after: paged.last().cloned(), limit: Some(limit + 1) };
                let names = barrier.list(&prefix, &page).unwrap();
                prop_assert!(names.len() <= limit + 1);
                if names.is_empty() { break; }
                paged.extend(names);
            }
            prop_assert_eq!(&paged, &expected);
        }
    }
}
