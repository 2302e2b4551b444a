//! Processes that are killed, hang, or are told something wrong.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod cloudhsm;
mod hsm;
mod kill;
mod setup;
