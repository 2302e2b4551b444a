//! A snapshot of the whole store in one file that may leave the machine: what `sys/storage/raft/snapshot` gives and takes.
//!
//! A gzip'd tar in the layout that Vault's clients know, in this order:
//!
//! | file | holds |
//! |---|---|
//! | `meta.json` | what it is a snapshot of: [`Meta`] |
//! | `state.bin` | the records, as the folder `snapshot` of a data directory holds them ([`crate::snapshot`]) |
//! | `journal.bin` | the transactions written meanwhile, as the folder `journal` holds them |
//! | `SHA256SUMS` | of the three, as `sha256sum -c` takes it |
//! | `SHA256SUMS.sealed` | what the keyring says of those sums: that they are this store's own |
//!
//! Writers go on while the records are copied, so `state.bin` alone is of no one moment; with `journal.bin` on top of it, it
//! is the store as it was at the journal's last record there, [`Contents::position`], and at no other.
//!
//! It holds ciphertext and sealed names, as the disk does, and in the clear what is readable of a sealed server: kind of
//! seal, name and id of the cluster. Without the seal it is of no use. It is not compressed: ciphertext cannot be.

#[cfg(fuzzing)]
pub mod fuzzing;
mod read;
mod save;
mod tar;

use framework::{Json, Map, Timestamp};

pub(crate) use read::{Part, read};
pub use read::{Refused, inspect};
pub use save::Export;
pub(crate) use save::SPOOL;

use crate::log::Position;

/// What says that a record is as it was written: is told its name and value as they lie on the disk.
pub type Check<'c> = &'c dyn Fn(&framework::Key, &[u8]) -> Result<(), framework::Error>;

const META: &str = "meta.json";
const STATE: &str = "state.bin";
const JOURNAL: &str = "journal.bin";
const SUMS: &str = "SHA256SUMS";
const SEALED: &str = "SHA256SUMS.sealed";

/// The version of this layout.
pub const VERSION: u64 = 1;

/// What an archive says of itself first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meta {
    /// Names the data directory it was taken of: 32 hexadecimal digits.
    pub identity: String,
    /// The journal's last record in it.
    pub sequence: u64,
    /// When it was taken.
    pub created: Timestamp,
}

/// What an archive holds.
#[derive(Clone, Debug)]
pub struct Contents {
    /// What it says of itself.
    pub meta: Meta,
    /// The place in the journal that it stands for.
    pub position: Position,
    /// Records in `state.bin`.
    pub records: u64,
    /// Transactions in `journal.bin`.
    pub transactions: u64,
    /// Bytes of `state.bin` and `journal.bin`.
    pub bytes: u64,
    /// `SHA256SUMS`.
    pub sums: Vec<u8>,
    /// `SHA256SUMS.sealed`.
    pub sealed: Vec<u8>,
}

impl Meta {
    /// Names of fields are those of Vault where they mean the same.
    fn encode(&self) -> Vec<u8> {
        let fields = [
            ("Version", VERSION.into()),
            ("ID", format!("holdfast-{}", self.sequence).into()),
            ("Index", self.sequence.into()),
            ("Identity", self.identity.as_str().into()),
            ("Created", self.created.to_string().into()),
        ];
        let fields: Map<String, Json> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        format!("{}\n", Json::Object(fields)).into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const NONE: &str = "its meta.json is not that of a snapshot";
        let json: Json = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or(NONE)?;
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        if !text("ID").is_some_and(|id| id.starts_with("holdfast-")) {
            return Err("it is a snapshot of another product, whose records cannot be read here");
        }
        if json.get("Version").and_then(Json::as_u64) != Some(VERSION) {
            return Err("it is of another version; restore it with the version that wrote it");
        }
        let identity = text("Identity").filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let created = text("Created").and_then(Timestamp::parse);
        let read = || {
            Some(Self {
                identity: identity?.to_owned(),
                sequence: json.get("Index").and_then(Json::as_u64)?,
                created: created?,
            })
        };
        read().ok_or(NONE)
    }
}

/// The text of `SHA256SUMS`.
fn sums(digests: [(&str, [u8; 32]); 3]) -> Vec<u8> {
    let line = |(name, digest): (&str, [u8; 32])| format!("{}  {name}\n", framework::hex::encode(&digest));
    digests.map(line).concat().into_bytes()
}
