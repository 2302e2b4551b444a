//! Which module, which token, which key.

use std::fmt;
use std::path::PathBuf;

use hardening::Secret;

use crate::error::Fault;
use crate::mechanism::{OaepHash, mechanism_names, parse_mechanism};
use crate::profile::Profile;

/// All that is needed to open the seal key.
#[derive(Debug)]
pub struct Config {
    /// The PKCS#11 module: an absolute path, so that no search path decides which code gets the PIN.
    pub library: PathBuf,
    /// The token.
    pub token: TokenChoice,
    /// PIN of the normal user; for AWS CloudHSM `user:password`.
    pub pin: Secret,
    /// `CKA_LABEL` of the seal key: 1 to 255 bytes.
    pub key_label: String,
    /// `CKA_ID` of the seal key, to tell keys of one label apart.
    pub key_id: Option<Vec<u8>>,
    /// The vendor's profile; `None` recognises it.
    pub profile: Option<&'static Profile>,
    /// The wrapping mechanism, one of [`mechanism_names`]; `None` takes the profile's. Values wrapped by the others remain
    /// readable.
    pub mechanism: Option<u32>,
    /// `CKA_LABEL` of the key that authenticates what AES-CBC encrypts.
    pub hmac_key_label: Option<String>,
    /// Its `CKA_ID`.
    pub hmac_key_id: Option<Vec<u8>>,
    /// The hash of RSA-OAEP.
    pub oaep_hash: OaepHash,
    /// Sessions open at once, the one that holds the login included: at least 2.
    pub max_sessions: usize,
    /// Who makes the IV of AES-GCM; `None` takes the profile's.
    pub iv: Option<IvSource>,
}

impl Config {
    /// A configuration with eight sessions and everything else as the vendor's profile has it.
    pub fn new(library: impl Into<PathBuf>, token: TokenChoice, pin: Secret, key_label: impl Into<String>) -> Config {
        Config {
            library: library.into(),
            token,
            pin,
            key_label: key_label.into(),
            key_id: None,
            profile: None,
            mechanism: None,
            hmac_key_label: None,
            hmac_key_id: None,
            oaep_hash: OaepHash::default(),
            max_sessions: 8,
            iv: None,
        }
    }

    /// Refuses what cannot work, before the token hears of it.
    pub(crate) fn validate(&self) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::fatal(what));
        if !self.library.is_absolute() {
            return wrong(format!("the PKCS#11 library must be an absolute path, not {}", self.library.display()));
        }
        if let Some(found) = self.mechanism
            && parse_mechanism(&found.to_string()).is_none()
        {
            return wrong(format!("mechanism {found:#06x} is not supported; take one of {}", mechanism_names()));
        }
        if self.key_label.is_empty() || self.key_label.len() > 255 {
            return wrong("the label of the seal key must have 1 to 255 bytes".to_owned());
        }
        if self.max_sessions < 2 {
            return wrong("max_sessions must be at least 2: one session holds the login".to_owned());
        }
        if self.pin.is_empty() {
            return wrong("the PIN is empty".to_owned());
        }
        Ok(())
    }
}

/// How the token is found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenChoice {
    /// By label, which must be unique. Preferred.
    Label(String),
    /// By serial number.
    Serial(String),
    /// By slot id. Slot ids change, with SoftHSM whenever a token is added; taken because Vault takes them.
    Slot(u64),
}

impl fmt::Display for TokenChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "labelled {label:?}"),
            Self::Serial(serial) => write!(f, "with serial number {serial:?}"),
            Self::Slot(slot) => write!(f, "in slot {slot}"),
        }
    }
}

/// Who makes the IV of an AES-GCM encryption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IvSource {
    /// We do, at random; the token uses it (or writes another one back, which then counts).
    Caller,
    /// The token does, and writes it into a zeroed buffer. AWS CloudHSM refuses any other buffer.
    Token,
}
