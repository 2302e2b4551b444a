//! Floor 3: the ceremonies of a seal: init, unseal, seal. Here the barrier, the seals and the registry meet.
//!
//! **Invariant:** initialisation is one batch: afterwards the store has a keyring, the wrapped root key, the first mounts and
//! the root token, or nothing at all. **Invariant:** no lock is held while the HSM or the store is waited for.
#![forbid(unsafe_code)]

mod attempt;
mod blank;
mod control;
mod record;

pub use control::{Ceremony, Protection, Setting, Trouble};
