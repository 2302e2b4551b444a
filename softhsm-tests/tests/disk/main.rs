//! What lies on the disk, and what becomes of a server whose disk or configuration is not as it should be.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod config;
mod damage;
mod full;
mod residue;
mod tls;

use softhsm_tests::Server;

/// The server must refuse to start, and say all of this.
#[track_caller]
fn refuses(server: &Server, words: &[&str]) {
    let (code, said) = server.refused();
    assert_eq!(code, 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}
