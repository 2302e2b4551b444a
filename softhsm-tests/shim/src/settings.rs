//! How the module is to behave: a file of lines `key = value`; `#` starts a comment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// The environment variable that names the file.
pub const VARIABLE: &str = "CLOUDHSM_SHIM";

/// Everything that can be set. Only `state` must be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `library = PATH`: the module behind this one.
    pub library: PathBuf,
    /// `state = FOLDER`: what outlives a process: IVs, violations, failed logins, new keys.
    pub state: PathBuf,
    /// `control = PATH`: the harness's socket.
    pub control: Option<PathBuf>,
    /// `rules = cloudhsm` (the default) or `none`: with `none` only orders and the watch over IVs are left.
    pub rules: bool,
    /// `gcm_iv = refuse` (the default), `replace` or `accept`: what becomes of a caller's IV.
    pub gcm_iv: GcmIv,
    /// `new_key = usable` (the default), `invisible MS` or `failing MS`: a token key before it is on two HSMs.
    pub new_key: NewKey,
    /// `duplicate_ids = true` (the default) or `false`: whether two keys may have one `CKA_ID`.
    pub duplicate_ids: bool,
    /// `keys = N`: the quota; 3,300 for hsm1.medium, 16,666 for hsm2m.medium.
    pub keys: usize,
    /// `sessions = N`: most at once.
    pub sessions: usize,
    /// `fips = true` (the default) or `false`: no DES3, no RSA PKCS#1 v1.5 encryption.
    pub fips: bool,
    /// `latency C_Function = MS`, any number of them.
    pub latency: HashMap<String, Duration>,
}

/// What becomes of an IV that the caller of an AES-GCM encryption gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GcmIv {
    /// A buffer that is not zero is refused; one that is gets the HSM's IV. Client SDK 5.
    Refuse,
    /// Overwritten by the HSM's IV. Client SDK 3 before 1.1.1.
    Replace,
    /// Used, as in SoftHSM.
    Accept,
}

/// A token key is copied to a second HSM before it may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NewKey {
    /// At once.
    Usable,
    /// Not found for this long.
    Invisible(Duration),
    /// Found, but its use fails for this long.
    Failing(Duration),
}

static SETTINGS: OnceLock<Result<Settings, String>> = OnceLock::new();

/// The settings of this process.
pub(crate) fn get() -> Result<&'static Settings, &'static str> {
    let read = || {
        let path = std::env::var_os(VARIABLE).ok_or_else(|| format!("{VARIABLE} is not set"))?;
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Settings::parse(&text)
    };
    SETTINGS.get_or_init(read).as_ref().map_err(String::as_str)
}

impl Settings {
    /// Reads the text of a file of settings; the error names the line.
    pub fn parse(text: &str) -> Result<Settings, String> {
        let mut settings = Settings {
            library: PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"),
            state: PathBuf::new(),
            control: None,
            rules: true,
            gcm_iv: GcmIv::Refuse,
            new_key: NewKey::Usable,
            duplicate_ids: true,
            keys: 3_300,
            sessions: 1_024,
            fips: true,
            latency: HashMap::new(),
        };
        for line in text.lines() {
            let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
            let parts = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            if !line.is_empty() && parts.and_then(|(key, value)| settings.set(key, value)).is_none() {
                return Err(format!("cannot make sense of the line {line:?}"));
            }
        }
        if settings.state.as_os_str().is_empty() {
            return Err("state is missing".to_owned());
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "library" => self.library = value.into(),
            "state" => self.state = value.into(),
            "control" => self.control = Some(value.into()),
            "rules" => self.rules = choice(value, &[("cloudhsm", true), ("none", false)])?,
            "gcm_iv" => {
                let choices = [("refuse", GcmIv::Refuse), ("replace", GcmIv::Replace), ("accept", GcmIv::Accept)];
                self.gcm_iv = choice(value, &choices)?;
            }
            "new_key" => {
                self.new_key = match value.split_once(' ') {
                    None if value == "usable" => NewKey::Usable,
                    Some(("invisible", time)) => NewKey::Invisible(milliseconds(time)?),
                    Some(("failing", time)) => NewKey::Failing(milliseconds(time)?),
                    _ => return None,
                }
            }
            "duplicate_ids" => self.duplicate_ids = value.parse().ok()?,
            "keys" => self.keys = value.parse().ok()?,
            "sessions" => self.sessions = value.parse().ok()?,
            "fips" => self.fips = value.parse().ok()?,
            _ => {
                let function = key.strip_prefix("latency ")?.trim();
                self.latency.insert(function.to_owned(), milliseconds(value)?);
            }
        }
        Some(())
    }
}

fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice)
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_millis)
}
