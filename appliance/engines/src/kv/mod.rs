//! The key-value engine, unversioned (kind `kv`) and versioned (kind `kv-v2`).

mod history;
mod v1;
mod v2;

pub use v1::engine as v1;
pub use v2::engine as v2;
