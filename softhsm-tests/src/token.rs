//! A SoftHSMv2 token of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub const PIN: &str = "correct-horse-4711";

pub struct SoftHsm {
    folder: PathBuf,
}

impl SoftHsm {
    /// Makes a token labelled `holdfast` in `folder`.
    pub fn new(folder: &Path) -> Self {
        let tokens = folder.join("tokens");
        std::fs::create_dir_all(&tokens).unwrap();
        let conf =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        std::fs::write(folder.join("softhsm2.conf"), conf).unwrap();
        std::fs::write(folder.join("pin"), format!("{PIN}\n")).unwrap();
        let this = Self { folder: folder.to_owned() };
        let status = Command::new("softhsm2-util")
            .env("SOFTHSM2_CONF", this.conf())
            .args(["--init-token", "--free", "--label", "holdfast", "--pin", PIN, "--so-pin", "so-pin-4711"])
            .output()
            .expect("softhsm2-util: install softhsm2");
        assert!(status.status.success(), "{status:?}");
        this
    }

    pub fn conf(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    /// The seal stanza of the configuration.
    pub fn stanza(&self) -> String {
        format!(
            "seal \"pkcs11\" {{\n  lib = \"{MODULE}\"\n  token_label = \"holdfast\"\n  pin = \"file://{}\"\n  key_label = \"holdfast-seal\"\n}}\n",
            self.pin_file().display()
        )
    }
}
