//! The HSM: one token, one login, one seal key, spoken to through its PKCS#11 module.
//!
//! Runs inside the `hsm` process ([`serve`]) and inside the offline commands `holdfast hsm …` ([`ceremony`]); nothing
//! else loads a vendor's module. The module is loaded once per process and never unloaded, since vendors' libraries
//! run threads of their own.
//!
//! [`Hsm`] opens the token, keeps a pool of read-write sessions, and opens everything again when the module says that
//! the device, a session or an object is gone. A PIN is tried once: a token locks after a few wrong ones.
#![forbid(unsafe_code)]

pub mod ceremony;
mod config;
mod connection;
mod entry;
mod error;
mod gcm;
mod hsm;
mod key;
mod module;
mod report;
mod serve;
mod token;

pub use config::{AES_GCM, Config, IvSource, TokenChoice};
pub use error::Error;
pub use gcm::LONGEST_PLAINTEXT;
pub use hsm::Hsm;
pub use report::{AttributeValue, KeyReport, TokenReport};
pub use serve::serve;
