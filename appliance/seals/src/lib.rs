//! Floor 2: what protects the root key, and unwraps entry keys.
//!
//! [`HsmSeal`] is the server's side of the HSM process; [`ShamirSeal`] is a key that operators hold in [`shamir`] shares.
//! Both are a [`framework::Seal`]. [`pgp`] hands shares to their holders.
#![forbid(unsafe_code)]

mod hsm;
pub mod pgp;
pub mod shamir;
mod software;

pub use hsm::{HealthCheck, Heartbeat, HsmSeal, HsmState, Limits};
pub use software::ShamirSeal;
