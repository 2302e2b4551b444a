//! Floor 2: where ciphertext lies. The journal is the truth; an index (sled, redb or memory) finds records and may be
//! thrown away.
//!
//! ```text
//! apply ─▶ committer thread: check what was read · append to the journal · one sync for all that wait · apply to the index · answer
//! open  ─▶ lock · journal (chain checked, torn tail cut) · index (or a new one from the last snapshot) · replay the tail
//! ```
//!
//! What holds:
//! - A write is answered, and visible to readers, after it is durable and never before.
//! - One thread writes. No lock is held across a sync.
//! - Whatever becomes of the index, it is made again from snapshot and journal. Whatever becomes of the journal in the
//!   middle stops the start with a message; only a tail that a power cut tore is cut off.
//! - After a failed write or sync the file concerned is never written again.
#![forbid(unsafe_code)]

pub mod archive;
mod bytes;
mod committer;
pub mod disk;
mod error;
mod exchange;
mod figures;
mod folder;
mod history;
mod index;
mod keeper;
pub mod log;
mod queue;
mod record;
mod restore;
mod rewind;
mod scratch;
mod slot;
mod snapshot;
mod storage;

pub use error::OpenError;
pub use rewind::{Moment, Span, Target, rewind, span, undo};
pub use scratch::Candidate;
pub use storage::{Kind, Options, Stats, Storage, open, open_on, restore};
