//! Every IV that a key has encrypted under, in this process and before. NIST SP 800-38D, section 8: never twice.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::{state, violation};

const FILE: &str = "ivs";

static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Writes down that `key` has encrypted under `iv`.
pub(crate) fn used(key: &str, iv: &[u8]) {
    let line = format!("{key} {}", hex(iv));
    if iv.iter().all(|byte| *byte == 0) {
        violation::report(&format!("AES-GCM under an all-zero IV: {line}"));
    }
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_with(|| state::read(FILE).lines().map(str::to_owned).collect());
    if !seen.insert(line.clone()) {
        violation::report(&format!("AES-GCM under an IV used before: {line}"));
    }
    let written = state::file(FILE).map(|path| {
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(format!("{line}\n").as_bytes())
    });
    if !matches!(written, Some(Ok(()))) {
        violation::report("an IV could not be written down");
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
