//! Floor 3: the ceremonies of a seal: init, unseal, seal, rekey, generate-root, rotation, migration. Here the barrier, the seals and
//! the registry meet. A file for each; `control` has what they share, `gathering` how shares come together.
//!
//! **Invariant:** initialisation is one batch: afterwards the store has a keyring, the wrapped root key, the first mounts and
//! the root token, or nothing at all. So is every change of shares or keys: old or new ones count, never none.
//! **Invariant:** no lock is held while the HSM or the store is waited for.
#![forbid(unsafe_code)]

mod align;
mod backup;
mod blank;
mod control;
mod copy;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gathering;
mod generate_root;
mod generate_token;
mod hand_out;
mod init;
mod migrate;
mod names;
mod protection;
mod quorum;
mod record;
mod recovery;
mod rekey;
mod rotate;
mod store;
mod turn;
mod unseal;
mod verify_rekey;
mod wrapping;

pub use control::{Ceremony, Setting};
pub use protection::Protection;
pub use recovery::Recovery;
pub use unseal::Trouble;
pub use wrapping::Wrappings;
