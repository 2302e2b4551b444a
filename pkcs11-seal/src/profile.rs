//! What is known of HSMs beforehand, by vendor. Whatever is not known here is found out by trying.

use std::path::Path;

use cryptoki::error::RvError;

use crate::config::IvSource;
use crate::error::Kind;
use crate::mechanism::AES_GCM;

/// How a vendor's HSM is used. Sessions are read-write with all of them: CloudHSM has no others, and nobody minds.
#[derive(Debug)]
pub struct Profile {
    /// The name in the seal stanza.
    pub name: &'static str,
    /// Words, in small letters, of which the library's description of itself or its file name has one.
    signs: &'static [&'static str],
    /// The wrapping mechanism, unless one is configured.
    pub(crate) mechanism: u32,
    /// Who makes the IV of AES-GCM; `None`: tried out with a public plaintext when the token is opened.
    pub(crate) iv: Option<IvSource>,
    /// Sessions that one process may have.
    pub(crate) most_sessions: usize,
    /// Whether read-only sessions are to be had. For the doctor.
    pub(crate) read_only_sessions: bool,
    /// Whether a key may be made that cannot be changed (`CKA_MODIFIABLE` false).
    pub(crate) fixed_keys: bool,
    /// Codes that mean something else here than in general.
    pub(crate) exceptions: &'static [(RvError, Kind)],
    /// The profile whose rules the doctor judges by.
    pub(crate) judged_as: &'static str,
}

/// AWS CloudHSM, Client SDK 5.
///
/// AWS userguide: "pkcs11-mechanisms" (IV), "limits" (1,024 sessions), "ki-pkcs11-sdk" (no read-only sessions),
/// "pkcs11-attributes-interpreting" (`CKA_MODIFIABLE` only as true), "manage-key-sync": a call may reach an HSM of the
/// cluster that has not got the key yet, so a handle that is said to be wrong is tried again before it is given up.
static CLOUDHSM: Profile = Profile {
    name: "cloudhsm",
    signs: &["cloudhsm", "cavium", "marvell"],
    mechanism: AES_GCM,
    iv: Some(IvSource::Token),
    most_sessions: 1_024,
    read_only_sessions: false,
    fixed_keys: false,
    exceptions: &[(RvError::KeyHandleInvalid, Kind::Busy), (RvError::ObjectHandleInvalid, Kind::Busy)],
    judged_as: "cloudhsm",
};

/// SoftHSMv2 2.6: for trying out. Measured.
static SOFTHSM: Profile = Profile {
    name: "softhsm",
    signs: &["softhsm"],
    mechanism: AES_GCM,
    iv: Some(IvSource::Caller),
    most_sessions: usize::MAX,
    read_only_sessions: true,
    fixed_keys: true,
    exceptions: &[],
    judged_as: "cloudhsm",
};

/// Any other.
static GENERIC: Profile = Profile {
    name: "generic",
    signs: &[],
    mechanism: AES_GCM,
    iv: None,
    most_sessions: usize::MAX,
    read_only_sessions: true,
    fixed_keys: true,
    exceptions: &[],
    judged_as: "generic",
};

static ALL: [&Profile; 3] = [&CLOUDHSM, &SOFTHSM, &GENERIC];

impl Profile {
    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Profile> {
        ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The names, for messages.
    pub fn names() -> String {
        ALL.map(|profile| profile.name).join(", ")
    }

    /// The profile of the library at `path` that describes itself by `words`.
    pub(crate) fn recognise(words: &str, path: &Path) -> &'static Profile {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let text = format!("{words} {file}").to_lowercase();
        // In the order of the table: a module that imitates CloudHSM may say what it stands on.
        let known = |profile: &&Profile| profile.signs.iter().any(|sign| text.contains(sign));
        ALL.into_iter().find(known).unwrap_or(&GENERIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_recognised_by_what_they_say_or_are_called() {
        let name = |words: &str, path: &str| Profile::recognise(words, Path::new(path)).name;
        assert_eq!(name("SoftHSM Implementation of PKCS11", "/usr/lib/softhsm/libsofthsm2.so"), "softhsm");
        assert_eq!(name("", "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so"), "cloudhsm");
        assert_eq!(name("CloudHSM profile over SoftHSM", "/x/shim.so"), "cloudhsm");
        assert_eq!(name("SafeNet", "/usr/lib/libCryptoki2_64.so"), "generic");
    }
}
