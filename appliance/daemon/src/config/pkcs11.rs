//! The stanza `seal "pkcs11"`: Vault's keys, OpenBao's, and a few of our own. Vault's environment variables come first.

use std::path::PathBuf;

use framework::hcl::{Block, ParseError, Reader};
use pkcs11_seal::{AES_CBC_PAD, OaepHash, Profile, TokenChoice, mechanism_names, parse_mechanism};
use seals::HealthCheck;

use super::Hsm;
use super::pin::PinSource;

/// Calls into the HSM at once. SoftHSM gains nothing beyond a few; a network HSM is asked in parallel.
const PARALLEL: usize = 4;
/// Most that can be asked for.
const MOST_PARALLEL: usize = 64;

pub(super) fn read(block: &Block<'_>, warnings: &mut Vec<String>) -> Result<Hsm, ParseError> {
    let mut reader = block.reader("seal");
    let disabled = reader.boolean("disabled")?.unwrap_or(false);
    let name = name(&mut reader, disabled)?;
    let priority = match reader.integer("priority")?.map(u32::try_from) {
        None => 1,
        Some(Ok(priority @ 1..)) => priority,
        Some(_) => return Err(reader.error("priority", "priority must be a number from 1; the lowest comes first")),
    };
    let library = setting(&mut reader, "lib", "VAULT_HSM_LIB")?;
    let token = token(&mut reader, warnings)?;
    let written = reader.text("pin")?.map(PinSource::parse);
    let pin = PinSource::given().or(written);
    let key_label = setting(&mut reader, "key_label", "VAULT_HSM_KEY_LABEL")?;
    let key_id = hex(&mut reader, "key_id", "VAULT_HSM_KEY_ID")?;
    let how = how(&mut reader, warnings)?;
    let max_parallel = match reader.integer("max_parallel")?.map(usize::try_from) {
        None => PARALLEL,
        Some(Ok(number @ 1..=MOST_PARALLEL)) => number,
        Some(_) => {
            let message = format!("max_parallel must be a number from 1 to {MOST_PARALLEL}");
            return Err(reader.error("max_parallel", message));
        }
    };
    let health = health(&mut reader)?;
    let network = reader.boolean("network")?.unwrap_or(false);
    let paths = reader.strings("paths")?.unwrap_or_default().into_iter().map(PathBuf::from).collect();
    without_effect(&mut reader, warnings)?;
    let wrong = |key: &str, message: &str| block.reader("seal").error(key, message);
    // Told before what is missing: a misspelt key is the likely reason.
    reader.finish()?;

    let library = library.ok_or_else(|| wrong("lib", "lib is missing: the HSM's PKCS#11 library"))?;
    let token = token.ok_or_else(|| {
        wrong("token_label", "token_label is missing: the label of the HSM's token (or serial, or slot)")
    })?;
    let pin = pin.ok_or_else(|| {
        wrong("pin", "pin is missing: \"file:///path\", \"env://NAME\", \"credential://NAME\", or the PIN itself")
    })?;
    let key_label = key_label.ok_or_else(|| wrong("key_label", "key_label is missing: the label of the seal key"))?;
    let library = library.into();
    Ok(Hsm {
        name,
        disabled,
        priority,
        library,
        token,
        key_label,
        key_id,
        pin,
        how,
        max_parallel,
        health,
        network,
        paths,
    })
}

/// What tells this seal from others: the kind, as in Vault, unless the stanza says otherwise.
fn name(reader: &mut Reader<'_>, disabled: bool) -> Result<String, ParseError> {
    let usual = if disabled { "pkcs11-disabled" } else { "pkcs11" };
    let name = reader.string("name")?.unwrap_or(usual);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) || name.starts_with('-') {
        return Err(reader.error("name", "name must be up to 64 letters, digits, '_', '.' or '-'"));
    }
    Ok(name.to_owned())
}

/// An environment variable for the stanza that is set: they do not say which of several stanzas they are for.
pub(super) fn variable_that_is_set() -> Option<String> {
    let mut names = std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    let name = names.find(|name| {
        let name = name.to_string_lossy();
        name.starts_with("VAULT_HSM_") || name.starts_with("BAO_HSM_")
    })?;
    Some(name.to_string_lossy().into_owned())
}

/// How the HSM is made to wrap.
#[derive(Debug)]
pub(crate) struct How {
    pub(crate) profile: Option<&'static Profile>,
    pub(crate) mechanism: Option<u32>,
    pub(crate) hmac_key_label: Option<String>,
    pub(crate) hmac_key_id: Option<Vec<u8>>,
    pub(crate) oaep_hash: OaepHash,
}

/// A value of the stanza, or of Vault's environment variable for it, which comes first.
fn setting(reader: &mut Reader<'_>, key: &str, variable: &str) -> Result<Option<String>, ParseError> {
    let written = reader.text(key)?.map(str::to_owned);
    Ok(std::env::var(variable).ok().filter(|value| !value.is_empty()).or(written))
}

fn hex(reader: &mut Reader<'_>, key: &str, variable: &str) -> Result<Option<Vec<u8>>, ParseError> {
    let Some(text) = setting(reader, key, variable)? else { return Ok(None) };
    let message = || reader.error(key, format!("{key} must be hexadecimal"));
    parse_hex(&text).map(Some).ok_or_else(message)
}

fn token(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Result<Option<TokenChoice>, ParseError> {
    let slot = setting(reader, "slot", "VAULT_HSM_SLOT")?;
    let label = setting(reader, "token_label", "VAULT_HSM_TOKEN_LABEL")?;
    let serial = setting(reader, "serial", "BAO_HSM_SERIAL")?;
    if serial.is_some() && label.is_some() {
        return Err(reader.error("serial", "serial and token_label contradict each other: give one of them"));
    }
    if slot.is_some() && (label.is_some() || serial.is_some()) {
        warnings.push("seal \"pkcs11\": slot has no effect: slots move, so the token is found by its name".to_owned());
    }
    Ok(match (label, serial, slot) {
        (Some(label), ..) => Some(TokenChoice::Label(label)),
        (None, Some(serial), _) => Some(TokenChoice::Serial(serial)),
        (None, None, Some(slot)) => {
            let slot = slot.parse().map_err(|_| reader.error("slot", "slot must be a decimal number"))?;
            Some(TokenChoice::Slot(slot))
        }
        (None, None, None) => None,
    })
}

fn how(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Result<How, ParseError> {
    let profile = match reader.string("profile")? {
        None => None,
        Some(name) => Some(
            Profile::named(name)
                .ok_or_else(|| reader.error("profile", format!("profile must be one of {}", Profile::names())))?,
        ),
    };
    let mechanism = match setting(reader, "mechanism", "VAULT_HSM_MECHANISM")? {
        None => None,
        Some(text) => Some(
            parse_mechanism(&text)
                .ok_or_else(|| reader.error("mechanism", format!("mechanism must be one of {}", mechanism_names())))?,
        ),
    };
    let hmac_key_label = setting(reader, "hmac_key_label", "VAULT_HSM_HMAC_KEY_LABEL")?;
    let hmac_key_id = hex(reader, "hmac_key_id", "VAULT_HSM_HMAC_KEY_ID")?;
    let oaep_hash = match setting(reader, "rsa_oaep_hash", "VAULT_HSM_RSA_OAEP_HASH")? {
        None => OaepHash::default(),
        Some(text) => OaepHash::parse(&text).ok_or_else(|| {
            reader.error("rsa_oaep_hash", "rsa_oaep_hash must be one of sha1, sha256, sha384, sha512")
        })?,
    };
    match (mechanism, &hmac_key_label) {
        (Some(AES_CBC_PAD), None) => {
            let message = "mechanism 0x1085 (CKM_AES_CBC_PAD) needs hmac_key_label: the key that authenticates";
            return Err(reader.error("mechanism", message));
        }
        (Some(AES_CBC_PAD), Some(_)) | (_, None) => {}
        (_, Some(_)) => warnings.push(
            "seal \"pkcs11\": hmac_key_label is only for values wrapped with mechanism 0x1085 (CKM_AES_CBC_PAD), which is not \
             the one that wraps now: the others authenticate by themselves"
                .to_owned(),
        ),
    }
    Ok(How { profile, mechanism, hmac_key_label, hmac_key_id, oaep_hash })
}

fn health(reader: &mut Reader<'_>) -> Result<HealthCheck, ParseError> {
    let usual = HealthCheck::default();
    let mut pause = |key: &str, usual| match reader.duration(key)? {
        Some(time) if time.is_zero() => Err(reader.error(key, format!("{key} must be longer than nothing"))),
        time => Ok(time.unwrap_or(usual)),
    };
    let interval = pause("health_check_interval", usual.interval)?;
    let interval_unhealthy = pause("health_check_interval_unhealthy", usual.interval_unhealthy)?;
    let timeout = pause("health_check_timeout", usual.timeout)?;
    let enabled = reader.boolean("health_check_enabled")?.unwrap_or(usual.enabled);
    Ok(HealthCheck { enabled, interval, interval_unhealthy, timeout })
}

/// Keys of Vault's stanza that are refused or named in a warning.
fn without_effect(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Result<(), ParseError> {
    if reader.boolean("generate_key")? == Some(true) {
        let message = "generate_key = true is not supported: make the seal key once with `holdfast hsm init`";
        return Err(reader.error("generate_key", message));
    }
    if reader.boolean("rsa_encrypt_local")? == Some(true) {
        return Err(reader.error("rsa_encrypt_local", "rsa_encrypt_local = true is not supported: the HSM encrypts"));
    }
    if setting(reader, "hmac_mechanism", "VAULT_HSM_HMAC_MECHANISM")?.is_some_and(|text| !is_sha256_hmac(&text)) {
        return Err(reader.error("hmac_mechanism", "hmac_mechanism must be 0x0251 (CKM_SHA256_HMAC)"));
    }
    if reader.boolean("force_rw_session")? == Some(false) {
        warnings
            .push("seal \"pkcs11\": force_rw_session = false has no effect: sessions are always read-write".to_owned());
    }
    for key in ["default_key_label", "default_hmac_key_label"] {
        if reader.text(key)?.is_some() {
            warnings.push(format!("seal \"pkcs11\": {key} has no effect: every wrapped value names its key"));
        }
    }
    Ok(())
}

fn is_sha256_hmac(text: &str) -> bool {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    text == "CKM_SHA256_HMAC" || number == Some(0x0251)
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    framework::hex::decode(text.strip_prefix("0x").unwrap_or(text))
}
