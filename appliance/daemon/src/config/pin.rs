//! Where the PIN of the HSM comes from. Only the hsm process resolves it.

use std::fmt;
use std::path::PathBuf;

use hardening::Secret;

use super::ConfigError;

/// Vault's environment variable for the PIN.
pub(crate) const VARIABLE: &str = "VAULT_HSM_PIN";

/// A PIN, or the place where it is.
pub(crate) enum PinSource {
    /// In the configuration itself.
    Literal(Secret),
    /// `env://NAME`.
    Environment(String),
    /// `file:///path`; a final line break is not part of it.
    File(PathBuf),
    /// Not for this process.
    Forgotten,
    /// `credential://NAME`: a file in `$CREDENTIALS_DIRECTORY`, as systemd provides it.
    Credential(String),
}

impl PinSource {
    pub(crate) fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("env://") {
            Self::Environment(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file://") {
            Self::File(path.into())
        } else if let Some(name) = text.strip_prefix("credential://") {
            Self::Credential(name.to_owned())
        } else {
            Self::Literal(Secret::from(text))
        }
    }

    /// What Vault's variable for the PIN says, which comes before the configuration.
    pub(crate) fn given() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
        Some(match Self::parse(&text) {
            Self::Literal(_) => Self::Environment(VARIABLE.to_owned()),
            elsewhere => elsewhere,
        })
    }

    /// The PIN, in guarded memory.
    pub(crate) fn resolve(&self) -> Result<Secret, ConfigError> {
        let lock = |bytes: &[u8]| Secret::locked(bytes).map_err(|full| ConfigError(full.to_string()));
        match self {
            Self::Literal(pin) => lock(pin.expose()),
            Self::Forgotten => Err(ConfigError("the PIN is not for this process".to_owned())),
            Self::Environment(name) => match std::env::var(name) {
                Ok(pin) if !pin.is_empty() => lock(pin.as_bytes()),
                _ => Err(ConfigError(format!(
                    "seal \"pkcs11\": the environment variable {name}, named by pin, is not set"
                ))),
            },
            Self::File(path) => {
                let bytes = std::fs::read(path).map_err(|error| {
                    ConfigError(format!("seal \"pkcs11\": the PIN file {}: {error}", path.display()))
                })?;
                lock(bytes.trim_ascii_end())
            }
            Self::Credential(name) => {
                let folder = std::env::var("CREDENTIALS_DIRECTORY").map_err(|_| {
                    ConfigError(
                        "seal \"pkcs11\": pin names a credential, but CREDENTIALS_DIRECTORY is not set".to_owned(),
                    )
                })?;
                Self::File(PathBuf::from(folder).join(name)).resolve()
            }
        }
    }

    /// The environment variable that holds the PIN.
    pub(crate) fn environment(&self) -> Option<&str> {
        match self {
            Self::Environment(name) => Some(name),
            _ => None,
        }
    }

    /// The file that the hsm process must be able to read.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => {
                std::env::var("CREDENTIALS_DIRECTORY").ok().map(|dir| PathBuf::from(dir).join(name))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(_) => "literal",
            Self::Environment(_) => "environment",
            Self::File(_) => "file",
            Self::Credential(_) => "credential",
            Self::Forgotten => "forgotten",
        })
    }
}
