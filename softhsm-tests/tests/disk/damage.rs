//! A journal that was changed is noticed: the server refuses to start rather than give a wrong value.

use std::path::PathBuf;

use softhsm_tests::{Seal, Server, Setup};

use crate::refuses;

/// A stopped server with some secrets, and its journal file.
fn stopped(storage: &'static str) -> (Server, PathBuf) {
    let mut server = Server::start(Setup::new(Seal::Shamir, storage));
    server.mount("kv", false);
    for n in 0..20 {
        assert!(server.client().put(&format!("kv/data/s{n}"), &format!("value {n}")));
    }
    assert_eq!(server.stop(), 0);
    let files = std::fs::read_dir(server.data().join("journal")).unwrap().flatten().map(|entry| entry.path());
    let journal = files.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    (server, journal)
}

fn works(mut server: Server) {
    server.run();
    server.unseal();
    for n in 0..20 {
        assert_eq!(server.client().get(&format!("kv/data/s{n}")).ok()["data"]["data"]["value"], format!("value {n}"));
    }
}

fn a_changed_journal_is_refused(storage: &'static str) {
    let (server, journal) = stopped(storage);
    let good = std::fs::read(&journal).unwrap();
    let (_other, foreign) = stopped(storage);
    let foreign = std::fs::read(&foreign).unwrap();
    let half = good.len() / 2;
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let without_a_part = [&good[..half], &good[half + 500..]].concat();
    let spliced = [&good[..half], &foreign[half.min(foreign.len())..]].concat();
    let swapped = [&good[..half], &good[half + 300..half + 600], &good[half..half + 300], &good[half + 600..]].concat();
    for (what, bytes) in [
        ("a bit flipped in the middle", flipped(half)),
        ("a bit flipped at the end", flipped(good.len() - 1)),
        ("a bit flipped in the header", flipped(9)),
        ("cut in the middle", good[..half].to_vec()),
        ("a part cut out", without_a_part),
        ("spliced with another server's", spliced),
        ("parts swapped", swapped),
        ("another server's", foreign),
        ("emptied", Vec::new()),
    ] {
        std::fs::write(&journal, bytes).unwrap();
        let (code, said) = server.refused();
        assert!(code == 1 && said.contains("journal") && !said.contains("panicked"), "{what}: {code}\n{said}");
    }
    std::fs::remove_file(&journal).unwrap();
    refuses(&server, &["journal"]);
    std::fs::write(&journal, good).unwrap();
    works(server);
}

#[test]
fn a_changed_journal_is_refused_under_sled() {
    a_changed_journal_is_refused("sled");
}

#[test]
fn a_changed_journal_is_refused_under_redb() {
    a_changed_journal_is_refused("redb");
}

/// The index is made again from the journal, and nothing is lost.
#[test]
fn a_damaged_index_is_made_again() {
    for storage in ["sled", "redb"] {
        let (server, _) = stopped(storage);
        let index = index_file(&server);
        let mut bytes = std::fs::read(&index).unwrap();
        let end = bytes.len().min(8192);
        bytes[..end].fill(0xa5);
        std::fs::write(&index, bytes).unwrap();
        works(server);
    }
}

fn index_file(server: &Server) -> PathBuf {
    let redb = server.data().join("index.redb");
    if redb.exists() { redb } else { server.data().join("index.sled/db") }
}
