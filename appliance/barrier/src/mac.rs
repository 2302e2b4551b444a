//! HMAC-SHA256 for what is derived from a key.

use aws_lc_rs::hmac;
use framework::{Error, Secret};

/// HMAC-SHA256 under `key` of `label` and `parts`, each with its length (big-endian u64) before it; in guarded memory.
pub(crate) fn mac(key: &Secret, label: &str, parts: &[&[u8]]) -> Result<Secret, Error> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    Ok(Secret::locked(context.sign().as_ref())?)
}
