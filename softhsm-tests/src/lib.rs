//! The harness of the black-box suites: starts servers, speaks HTTP to them, and looks at them from outside.
#![forbid(unsafe_code)]
// A test ends by panicking, with what went wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs
)]

mod client;
mod faults;
mod server;
mod tls;
mod token;
mod trace;

pub use client::{Client, Response};
pub use faults::{Fault, Faults, Order};
pub use server::{Seal, Server, Setup, binary, free_address, running, signal};
pub use tls::certify;
pub use token::{CLOUDHSM_PIN, MODULE, PIN, SoftHsm, shim};
pub use trace::{Call, Trace};

/// Whether the long loops run in full.
pub fn long() -> bool {
    std::env::var_os("HOLDFAST_LONG").is_some()
}

/// Tries until it works, or panics with `what` after 20 seconds.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(std::time::Instant::now() < until, "did not happen in 20 s: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
