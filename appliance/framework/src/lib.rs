//! Floor 1: the contract that engines, auth methods, storage and seals are written against.
//!
//! No I/O, no async runtime, no HTTP. Data flows one way: a request becomes an [`Ask`], a [`Verdict`] on it becomes a
//! [`Permit`], a permit lets a [`Route`] run over a [`View`], and what it returns is [`Unrecorded`] until the audit log has it.
#![forbid(unsafe_code)]

pub mod acl;
pub mod audit;
mod ceremony;
mod change;
mod cidr;
mod cipher;
pub mod clock;
mod cors;
pub mod deadlines;
pub mod duration;
mod engine;
pub mod envelope;
mod error;
mod fields;
pub mod glob;
pub mod hcl;
pub mod hex;
pub mod hsm;
mod lease;
pub mod metrics;
mod operation;
mod output;
mod paging;
mod password;
mod path;
mod permit;
mod policy_names;
mod route;
mod seal;
mod seal_wrapping;
mod steady;
mod store;
mod token;
mod transaction;
mod waiting;

pub use audit::{Ask, AuditSink, Headers};
pub use ceremony::{
    GenerateToken, Given, InitAnswer, InitRequest, KeptShares, KeyRotation, KeySet, KeyStatus, NewShares, Progress,
    RawRecords, RecoveryToken, Rekey, RekeyRequest, RekeyState, RekeyStep, SealControl, SealStatus, ShareBackup,
    TokenAttempt, TokenRequest, Verification, VerifyRekey,
};
pub use change::Change;
pub use cidr::Cidr;
pub use cipher::{Cipher, Forged};
pub use clock::{Clock, Rng, SystemClock, SystemRng, Timestamp, uuid};
pub use cors::Cors;
pub use engine::{AuthMethod, Catalog, Engine, Periodic};
pub use envelope::WrapInfo;
pub use error::{Error, Incident};
#[doc(hidden)]
pub use fields::take as take_field;
pub use fields::{Field, FieldType, Fields, FreeForm, Kind, Location, Secs};
pub use hardening::Secret;
pub use lease::{Lease, LeaseKind, RenewLease};
pub use operation::Operation;
pub use output::{IntoOutput, Later, Output, Outside, Raw, Reply, Stream};
pub use paging::{Names, Paging};
pub use password::PasswordPolicy;
pub use path::{Key, Prefix};
pub use permit::{Permit, Unrecorded, Verdict};
pub use policy_names::{PolicyNames, Recorded};
pub use route::{Access, Caller, Context, Effect, Input, MountInfo, Origin, Pattern, Route};
pub use seal::{KeyId, Seal, SealBackend, SealHealth, SealKind, Wrapped};
pub use seal_wrapping::{CRITICAL, CoverageReport, CoverageRow, SealWrapping};
pub use serde_json::{Map, Value as Json};
pub use steady::SteadyClock;
pub use store::{Batch, Ciphertext, Class, MountId, Page, Record, Store, Version, Versioned, Walk, Write};
pub use token::{Auth, TokenKind, TokenRule};
pub use transaction::{Transaction, View};
pub use waiting::{ThreadOwner, announce_waits_to, waiting};
