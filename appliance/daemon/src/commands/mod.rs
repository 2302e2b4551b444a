//! Commands that need no server.

pub(crate) mod hsm;
