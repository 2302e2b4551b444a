//! Floor 2: between plaintext and the disk.
//!
//! ```text
//! Store<Secret>      Barrier    every value under AES-256-GCM-SIV, every path segment under AES-SIV
//! Store<Ciphertext>  SealWrap   critical values once more, under an entry key of their own that the seal (HSM) wrapped
//! Store<Ciphertext>  a disk
//! ```
//!
//! **Invariant:** keys live in guarded memory only, and none is left when [`Barrier::close`] and [`SealWrap::forget`] have
//! returned. **Invariant:** no lock is held while the store below or the seal is called. **Invariant:** a record that was
//! altered, cut, or copied from another place is an error, never a wrong value and never `None`.
//!
//! Not seen here: a record put back to an older state of its own; the journal's hash chain sees that.
#![forbid(unsafe_code)]

mod barrier;
mod format;
mod keyring;
mod mac;
mod names;
mod recent;
mod records;
mod survey;
mod uses;
mod witness;
mod wrap;

pub use barrier::{Barrier, Founding, OpenError};
pub use format::{Coverage, inspect};
pub use keyring::TermInfo;
pub use records::SealRecords;
pub use survey::{SealKeys, Surveyed, seal_keys};
pub use wrap::{CACHED_ENTRY_KEYS, SealSet, SealWrap};
