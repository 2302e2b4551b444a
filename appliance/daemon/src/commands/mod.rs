//! Commands that need no server.

pub(crate) mod compliance;
pub(crate) mod hsm;
pub(crate) mod snapshot;
