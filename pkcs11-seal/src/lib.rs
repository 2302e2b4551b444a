//! The HSM: one token, one login, one seal key, spoken to through its PKCS#11 module.
//!
//! Runs inside the `hsm` process ([`serve`]) and inside the offline commands `holdfast hsm …` ([`ceremony`], [`doctor`], [`bench`]); nothing
//! else loads a vendor's module. The module is loaded once per process and never unloaded, since vendors' libraries
//! run threads of their own.
//!
//! [`Hsm`] opens the token, keeps a pool of read-write sessions, and opens again what the module says is gone: sessions, the
//! login, or everything. A PIN is tried once: a token locks after a few wrong ones. How it wraps stands in one file for each
//! mechanism; what is special about a vendor, in its [`Profile`]. [`doctor`] sees whether an HSM is as it should be.
#![forbid(unsafe_code)]

pub mod bench;
pub mod ceremony;
mod config;
mod connection;
pub mod doctor;
mod entry;
mod error;
mod hsm;
mod key;
mod mechanism;
mod module;
mod profile;
mod report;
mod serve;
mod token;

pub use config::{Config, IvSource, TokenChoice};
pub use connection::Blob;
pub use error::{Error, pin_refusal};
pub use hsm::Hsm;
pub use mechanism::{
    AES_CBC_PAD, AES_GCM, CLOUDHSM_AES_GCM, LONGEST_PLAINTEXT, OaepHash, RSA_OAEP, mechanism_names, parse_mechanism,
};
pub use profile::Profile;
pub use report::{AttributeValue, KeyReport, TokenReport};
pub use serve::serve;
