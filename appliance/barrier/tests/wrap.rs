//! Seal wrap between the barrier and the disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test they help")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use barrier::{Barrier, Coverage, SealKeys, SealSet, SealWrap, inspect, seal_keys};
use common::{Disk, TableSeal, apply, founded, integrity, key, put, read};
use framework::{Error, KeyId, Secret, Write};

type Wrapping = Barrier<SealWrap<Arc<Disk>>>;

fn wrapped(name: &str, value: &[u8]) -> Write<Secret> {
    Write { seal_wrap: true, ..put(name, value) }
}

fn fresh() -> (Wrapping, Arc<Disk>, Arc<TableSeal>) {
    let (disk, seal) = (Arc::new(Disk::default()), Arc::new(TableSeal::default()));
    let (barrier, _) = founded(SealWrap::new(disk.clone(), SealSet::of(seal.clone())));
    (barrier, disk, seal)
}

fn wrapped_by(labels: &[&str]) -> Coverage {
    Coverage::Wrapped { key_ids: labels.iter().map(|label| KeyId((*label).into())).collect() }
}

fn place(barrier: &Wrapping, name: &str) -> String {
    barrier.sealed_key(&key(name)).unwrap().as_str().to_owned()
}

#[test]
fn what_asks_for_it_is_wrapped_and_says_so() {
    let (barrier, disk, _) = fresh();
    apply(&barrier, vec![wrapped("a", b"1"), put("b", b"2")]).unwrap();
    assert_eq!(read(&barrier, "a").unwrap().unwrap(), b"1");
    assert_eq!(read(&barrier, "b").unwrap().unwrap(), b"2");
    let coverage = |name: &str| inspect(&disk.raw(&place(&barrier, name))).unwrap();
    assert_eq!(coverage("a"), wrapped_by(&["table"]));
    assert_eq!(coverage("b"), Coverage::Unwrapped);
    assert_eq!(inspect(&disk.raw("_/keyring")).unwrap(), wrapped_by(&["table"]));
}

#[test]
fn hot_reads_need_no_hsm_until_keys_are_forgotten() {
    let (barrier, _, seal) = fresh();
    apply(&barrier, vec![wrapped("a", b"1"), put("b", b"2")]).unwrap();
    seal.broken.store(true, Ordering::SeqCst);
    assert_eq!(read(&barrier, "a").unwrap().unwrap(), b"1");
    // Its entry key, and the keyring's.
    assert_eq!(barrier.store().cached(), 2);
    barrier.store().forget();
    assert_eq!(barrier.store().cached(), 0);
    assert!(
        matches!(read(&barrier, "a"), Err(Error::HsmUnavailable { reason }) if reason.contains("CKR_DEVICE_ERROR"))
    );
    assert!(matches!(apply(&barrier, vec![wrapped("c", b"3")]), Err(Error::HsmUnavailable { .. })));
    assert_eq!(read(&barrier, "b").unwrap().unwrap(), b"2", "what needs no HSM still works");
    apply(&barrier, vec![put("d", b"4")]).unwrap();

    seal.broken.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(read(&barrier, "a").unwrap().unwrap(), b"1");
    }
    assert_eq!(seal.unwraps.load(Ordering::SeqCst), 1);
}

#[test]
fn a_new_value_is_not_read_under_the_old_key() {
    let (barrier, _, _) = fresh();
    for value in [b"1", b"2", b"3"] {
        apply(&barrier, vec![wrapped("a", value)]).unwrap();
        assert_eq!(read(&barrier, "a").unwrap().unwrap(), value);
    }
}

#[test]
fn swaps_bit_flips_and_cuts_are_detected_cold_and_warm() {
    let (barrier, disk, _) = fresh();
    apply(&barrier, vec![wrapped("a", b"1"), wrapped("b", b"2")]).unwrap();
    let (a, b) = (place(&barrier, "a"), place(&barrier, "b"));
    let (whole, other) = (disk.raw(&a), disk.raw(&b));
    for cold in [false, true] {
        let check = |bytes: Vec<u8>, what: &str| {
            if cold {
                barrier.store().forget();
            }
            disk.set_raw(&a, bytes);
            assert!(matches!(read(&barrier, "a"), Err(Error::Internal(_) | Error::HsmUnavailable { .. })), "{what}");
        };
        check(other.clone(), "swap");
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[at] ^= 1 << bit;
                check(bent, &format!("bit {bit} of byte {at}"));
            }
            check(whole[..at].to_vec(), &format!("cut at {at}"));
        }
        disk.set_raw(&a, whole.clone());
        assert_eq!(read(&barrier, "a").unwrap().unwrap(), b"1");
    }
    // The inner record of one place inside the wrapping of another: the wrapping's key is right, the barrier's place wrong.
    let mut body = whole.clone();
    *body.last_mut().unwrap() ^= 1;
    disk.set_raw(&a, body);
    assert!(integrity(read(&barrier, "a")).contains(&a));
}

#[test]
fn without_a_seal_values_are_stored_unwrapped_and_wrapped_ones_name_the_lack() {
    let (disk, seal) = (Arc::new(Disk::default()), Arc::new(TableSeal::default()));
    let (barrier, _) = founded(SealWrap::new(disk.clone(), SealSet::default()));
    apply(&barrier, vec![wrapped("a", b"1")]).unwrap();
    assert_eq!(inspect(&disk.raw(&place(&barrier, "a"))).unwrap(), Coverage::Unwrapped);
    barrier.store().set_seals(SealSet::of(seal));
    apply(&barrier, vec![wrapped("b", b"2")]).unwrap();
    assert_eq!(read(&barrier, "a").unwrap().unwrap(), b"1", "what was stored before the seal stays readable");
    barrier.store().set_seals(SealSet::default());
    barrier.store().forget();
    assert!(matches!(read(&barrier, "b"), Err(Error::HsmUnavailable { reason }) if reason.contains("seal key table")));
}

#[test]
fn several_seals_each_wrap_and_any_of_them_unwraps() {
    let disk = Arc::new(Disk::default());
    let seals = ["one", "two", "old"].map(|label| Arc::new(TableSeal::labelled(label)));
    let [one, two, old] = seals.clone();
    let (barrier, _) = founded(SealWrap::new(disk.clone(), SealSet::of(old.clone())));
    let switch = |at: usize, off: bool| seals[at].broken.store(off, Ordering::SeqCst);
    let coverage = |name: &str| inspect(&disk.raw(&place(&barrier, name))).unwrap();
    let reads = |name: &str| {
        barrier.store().forget();
        read(&barrier, name).is_ok()
    };
    apply(&barrier, vec![wrapped("before", b"0")]).unwrap();
    barrier.store().set_seals(SealSet { wrapping: vec![one, two], leaving: vec![old] });
    apply(&barrier, vec![wrapped("both", b"1")]).unwrap();
    switch(0, true);
    apply(&barrier, vec![wrapped("second", b"2")]).unwrap();
    assert_eq!((coverage("both"), coverage("second")), (wrapped_by(&["one", "two"]), wrapped_by(&["two"])));
    assert!(reads("before") && reads("both") && reads("second"), "by the one that is left over");
    switch(0, false);
    switch(1, true);
    assert!(reads("both") && !reads("second"));
    switch(0, true);
    assert!(!reads("both") && reads("before"));
    assert!(matches!(apply(&barrier, vec![wrapped("none", b"3")]), Err(Error::HsmUnavailable { .. })));
}

#[test]
fn the_cache_stays_within_its_bound() {
    let (barrier, _, _) = fresh();
    let before = hardening::arena::usage().slots;
    for at in 0..barrier::CACHED_ENTRY_KEYS + 500 {
        apply(&barrier, vec![wrapped(&format!("k{at}"), b"v")]).unwrap();
    }
    let cached = barrier.store().cached();
    assert!(cached <= barrier::CACHED_ENTRY_KEYS && cached > barrier::CACHED_ENTRY_KEYS / 3, "{cached}");
    barrier.store().forget();
    // Other tests of this process take slots too; but not thousands.
    assert!(hardening::arena::usage().slots < before + 200);
}

#[test]
fn after_a_new_key_records_are_renewed_one_by_one_and_counted() {
    let (barrier, disk, seal) = fresh();
    apply(&barrier, vec![wrapped("a", b"1"), wrapped("b/c", b"2"), wrapped("d", b"3"), put("e", b"4")]).unwrap();
    let keys = |wrapped: &[(&str, u64)], unwrapped| SealKeys {
        wrapped: wrapped.iter().map(|(key, count)| (KeyId((*key).to_owned()), *count)).collect(),
        unwrapped,
        unreadable: 0,
    };
    // The keyring too; and not wrapped, the count of encryptions.
    assert_eq!(seal_keys(&disk).unwrap(), keys(&[("table", 4)], 2));

    let next = Arc::new(TableSeal::labelled("table-1"));
    barrier.store().set_seals(SealSet { wrapping: vec![next], leaving: vec![seal] });
    apply(&barrier, vec![wrapped("d", b"3")]).unwrap();
    let all = |barrier: &Wrapping| {
        let (mut all, mut page) = (Vec::new(), barrier.survey(None).unwrap());
        while let Some(last) = page.last() {
            let after = last.record.key.clone();
            all.append(&mut page);
            page = barrier.survey(Some(&after)).unwrap();
        }
        all
    };
    let name = |found: &barrier::Surveyed| found.name.clone().unwrap().as_str().to_owned();
    let due =
        |found: &barrier::Surveyed| !["d", "e"].contains(&name(found).as_str()) && !name(found).starts_with("_/enc");
    let mut writes = Vec::new();
    for found in all(&barrier) {
        let write = barrier.renewed(&found, due(&found) || name(&found) == "d").unwrap();
        assert_eq!(write.is_some(), due(&found), "{}", name(&found));
        writes.extend(write.map(|write| (found.record.version, write)));
    }
    // Somebody writes one of them meanwhile: that write stays.
    apply(&barrier, vec![wrapped("a", b"later")]).unwrap();
    barrier.renew(writes).unwrap();
    assert_eq!(seal_keys(&disk).unwrap(), keys(&[("table-1", 4)], 2));
    barrier.store().forget();
    for (name, value) in [("a", &b"later"[..]), ("b/c", b"2"), ("d", b"3"), ("e", b"4")] {
        assert_eq!(read(&barrier, name).unwrap().unwrap(), value);
    }

    let plain = all(&barrier).into_iter().find(|found| name(found) == "d").unwrap();
    let write = barrier.renewed(&plain, false).unwrap().unwrap();
    barrier.renew(vec![(plain.record.version, write)]).unwrap();
    assert_eq!(seal_keys(&disk).unwrap(), keys(&[("table-1", 3)], 3));
    assert_eq!(read(&barrier, "d").unwrap().unwrap(), b"3");
}
