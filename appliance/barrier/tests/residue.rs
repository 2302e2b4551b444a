//! No key leaves guarded memory, and none is left after closing: the process searches itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test they help")]

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Barrier as Rendezvous};

use aes_gcm_siv::aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, KeyInit};
use barrier::{Barrier, Founding, SealSet, SealWrap};
use common::{Disk, TableSeal, apply, key, put, read};
use framework::{Ciphertext, Page, Prefix, Secret, Store, Timestamp, Write};
use hardening::WipingAllocator;
use hardening::arena::{Backing, backing};

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

const MASK: u64 = 0x5bd1_e995_9e37_79b9;

/// The first half of every 16 bytes of `key`, masked: a key schedule begins with the key, and a round key is 16 bytes.
fn needles(key: &[u8]) -> Vec<u64> {
    key.as_chunks::<16>().0.iter().map(|part| u64::from_le_bytes(*part.first_chunk().unwrap()) ^ MASK).collect()
}

/// How often any of `needles` lies in memory that this process can read through the kernel.
fn hits(needles: &[u64]) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut page = vec![0; 1 << 16];
    let mut count = 0;
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let range = words.next().unwrap();
        if !words.next().unwrap().starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (mut at, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        while at < end {
            // Unreadable: memfd_secret, or gone since the list was read.
            let read = memory.read_at(&mut page[..(end - at).min(1 << 16) as usize], at).unwrap_or(0);
            if read == 0 {
                break;
            }
            let words = page[..read].windows(8).map(|word| u64::from_le_bytes(*word.first_chunk().unwrap()) ^ MASK);
            count += words.filter(|word| needles.contains(word)).count();
            at += read as u64;
        }
    }
    page.fill(0);
    count
}

/// Of the root key and of what it encrypts: the keyring, whose record is documented.
#[inline(never)] // so that its frame is below what is wiped after it
fn keyring_needles(disk: &impl Store<Ciphertext>, root: &Secret) -> Vec<u64> {
    let record = disk.get(&key("_/keyring")).unwrap().unwrap().value.0;
    let (header, rest) = record.split_at(10);
    let (nonce, body) = rest.split_at(12);
    let aad = [header, b"_/keyring"].concat();
    let cipher = Aes256GcmSiv::new_from_slice(root.expose()).unwrap();
    let plain = cipher.decrypt(nonce.try_into().unwrap(), Payload { msg: body, aad: &aad }).unwrap();
    let needles = [root.expose(), &plain[1..97], &plain[109..]].map(needles).concat();
    drop(Secret::transient(plain));
    needles
}

#[test]
fn keys_stay_in_guarded_memory_and_none_is_left_after_closing() {
    let disk = Arc::new(Disk::default());
    let barrier = Arc::new(Barrier::new(SealWrap::new(disk.clone(), SealSet::of(Arc::new(TableSeal::default())))));
    let root = Secret::random(32).unwrap();
    barrier.initialise(&root, Founding::default(), Timestamp::default()).unwrap();
    barrier.open(&root).unwrap();
    let wanted = keyring_needles(barrier.store(), &root);
    assert_eq!(wanted.len(), 2 + 4 + 2 + 2);
    hardening::wipe_stack();

    // Threads that work, and then keep their stacks while the search goes on.
    let (worked, searched) = (Arc::new(Rendezvous::new(5)), Arc::new(Rendezvous::new(5)));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (barrier, worked, searched) = (barrier.clone(), worked.clone(), searched.clone());
            std::thread::spawn(move || {
                barrier.list(&Prefix::new("mount").unwrap(), &Page::default()).unwrap();
                for at in 0..200 {
                    let name = format!("mount/{worker}/{at}");
                    let write = Write { seal_wrap: at % 2 == 0, ..put(&name, b"some value of a secret") };
                    apply(&barrier, vec![write]).unwrap();
                    read(&barrier, &name).unwrap().unwrap();
                    barrier.derive("tokens").unwrap();
                }
                // Each ends with another operation.
                match worker {
                    0 => drop(barrier.list(&Prefix::new("mount/0").unwrap(), &Page::default()).unwrap()),
                    1 => drop(barrier.derive("leases").unwrap()),
                    2 => drop(read(&barrier, "mount/2/1").unwrap()),
                    _ => apply(&barrier, vec![put("mount/3/1", &[1; 4096])]).unwrap(),
                }
                worked.wait();
                searched.wait();
            })
        })
        .collect();
    worked.wait();
    barrier.rotate(Timestamp::default()).unwrap();
    let while_open = hits(&wanted);
    barrier.close();
    barrier.store().forget();
    drop(root);
    let after = hits(&wanted);
    searched.wait();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(after, 0, "left after closing");
    // Other kinds of guarded memory can be read through the kernel, and then the keys in use are seen there.
    if backing() == Some(Backing::SecretMemory) {
        assert_eq!(while_open, 0, "outside guarded memory");
    } else {
        assert!(while_open > 0, "the search finds what is there");
    }
}
