//! A SoftHSMv2 token of a test's own, as it is or behind the CloudHSM profile.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::faults::Faults;

pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub const PIN: &str = "correct-horse-4711";
/// A CloudHSM user and his password.
pub const CLOUDHSM_PIN: &str = "holdfast:correct-horse-4711";

pub struct SoftHsm {
    folder: PathBuf,
    shim: Option<Shim>,
}

/// The module that plays AWS CloudHSM, and the test's hand on it.
struct Shim {
    faults: Faults,
}

impl SoftHsm {
    /// Makes a token labelled `holdfast` in `folder`.
    pub fn new(folder: &Path) -> Self {
        let this = Self { folder: folder.to_owned(), shim: None };
        this.configure();
        this.make_token("holdfast", PIN);
        this
    }

    /// Makes another token, of this label and with a PIN of its own; the seal stanza for it, with further `lines`.
    pub fn another(&self, label: &str, lines: &str) -> String {
        let pin = format!("pin of {label}");
        self.make_token(label, &pin);
        let file = self.folder.join(format!("pin-{label}"));
        std::fs::write(&file, pin).unwrap();
        format!(
            "seal \"pkcs11\" {{\n  name = \"{label}\"\n  lib = \"{MODULE}\"\n  token_label = \"{label}\"\n  pin = \"file://{}\"\n  \
             key_label = \"{label}-seal\"\n{lines}}}\n",
            file.display()
        )
    }

    /// The same behind the CloudHSM profile, with further `settings` (see `cloudhsm_shim::settings`).
    pub fn cloudhsm(folder: &Path, settings: &str) -> Self {
        let state = folder.join("shim");
        std::fs::create_dir_all(&state).unwrap();
        let socket = state.join("control");
        let text = format!("state = {}\ncontrol = {}\n{settings}\n", state.display(), socket.display());
        std::fs::write(state.join("settings"), text).unwrap();
        let this = Self { folder: folder.to_owned(), shim: Some(Shim { faults: Faults::listen(&socket) }) };
        this.configure();
        this.make_token("holdfast", CLOUDHSM_PIN);
        this
    }

    fn configure(&self) {
        let tokens = self.folder.join("tokens");
        std::fs::create_dir_all(&tokens).unwrap();
        let conf =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        std::fs::write(self.folder.join("softhsm2.conf"), conf).unwrap();
    }

    fn make_token(&self, label: &str, pin: &str) {
        if label == "holdfast" {
            std::fs::write(self.folder.join("pin"), format!("{pin}\n")).unwrap();
        }
        let status = Command::new("softhsm2-util")
            .env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))
            .args(["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "so-pin-4711"])
            .output()
            .expect("softhsm2-util: install softhsm2");
        assert!(status.status.success(), "{status:?}");
    }

    /// What a process that loads the module needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))];
        if self.shim.is_some() {
            variables.push((cloudhsm_shim::settings::VARIABLE, self.folder.join("shim/settings")));
        }
        variables
    }

    /// Faults of the module; panics without the CloudHSM profile.
    pub fn faults(&self) -> &Faults {
        &self.shim.as_ref().expect("faults need the CloudHSM profile").faults
    }

    /// What the clients of the module did that they must never do. Empty without the profile, which alone watches.
    pub fn violations(&self) -> String {
        let file = self.folder.join("shim").join(cloudhsm_shim::VIOLATIONS);
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// The seal stanza of the configuration. With the profile the library may open connections, as CloudHSM's must.
    pub fn stanza(&self) -> String {
        let (module, further) = match &self.shim {
            None => (PathBuf::from(MODULE), String::new()),
            Some(_) => {
                let state = self.folder.join("shim");
                (shim(), format!("  network = true\n  paths = [\"{}\"]\n", state.display()))
            }
        };
        let (module, pin) = (module.display(), self.folder.join("pin"));
        format!(
            "seal \"pkcs11\" {{\n  lib = \"{module}\"\n  token_label = \"holdfast\"\n  pin = \"file://{}\"\n  \
             key_label = \"holdfast-seal\"\n{further}}}\n",
            pin.display()
        )
    }
}

/// The profile's module: cargo puts it beside the test that depends on it.
pub fn shim() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let module = test.with_file_name("libcloudhsm_shim.so");
    assert!(module.exists(), "{} is missing: cargo build -p softhsm-tests", module.display());
    module
}
