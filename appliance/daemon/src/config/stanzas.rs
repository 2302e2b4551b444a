//! The labelled stanzas: storage, listener, seal, audit, user_lockout.

use std::net::SocketAddr;
use std::path::PathBuf;

use framework::hcl::{Block, ParseError, Reader};

use super::read::{Parts, one};
use super::{lockout, seal};
use server::{ClientCertificates, Listener, Tls, TlsVersion};

use super::{Audit, Storage};

pub(super) fn read(reader: &mut Reader<'_>, parts: &mut Parts) -> Result<(), ParseError> {
    if let Some(block) = one(reader, "storage", 1)? {
        let storage = storage(&block)?;
        if parts.storage.replace(storage).is_some() {
            return Err(ParseError {
                at: block.at,
                message: "a second storage stanza: there can be only one".to_owned(),
            });
        }
    }
    for block in reader.blocks("listener", 1)? {
        let listener = listener(&block, parts)?;
        parts.listeners.push(listener);
    }
    for block in reader.blocks("seal", 1)? {
        parts.seals.push(seal::read(&block, &mut parts.warnings)?);
    }
    for block in reader.blocks("audit", 2)? {
        parts.audits.push(audit(&block)?);
    }
    for block in reader.blocks("user_lockout", 1)? {
        lockout::read(&block, &mut parts.lockouts, &mut parts.warnings)?;
    }
    Ok(())
}

fn storage(block: &Block<'_>) -> Result<Storage, ParseError> {
    let mut reader = block.reader("storage");
    let kind = match block.label() {
        "sled" => storage::Kind::Sled,
        "redb" => storage::Kind::Redb,
        "memory" | "inmem" => storage::Kind::Memory,
        other => {
            let message = format!("unknown storage \"{other}\": take \"sled\", \"redb\" or \"memory\"");
            return Err(ParseError { at: block.at, message });
        }
    };
    let path = reader.string("path")?.map(PathBuf::from);
    let path = match (kind, path) {
        (storage::Kind::Memory, Some(_)) => Err(reader.error("path", "memory storage has no path")),
        (storage::Kind::Memory, None) => Ok(None),
        (_, Some(path)) if path.is_absolute() => Ok(Some(path)),
        (_, Some(_)) => Err(reader.error("path", "path must be absolute")),
        (_, None) => Err(reader.error("path", "path is missing: the data directory")),
    };
    let journal_retention = reader.duration("journal_retention")?.unwrap_or_default();
    if kind == storage::Kind::Memory && !journal_retention.is_zero() {
        return Err(reader.error("journal_retention", "memory storage keeps no journal"));
    }
    // Told before what is missing: a misspelt key is the likely reason.
    reader.finish()?;
    Ok(Storage { kind, path: path?, journal_retention })
}

/// Keys of a listener that Vault and OpenBao take and that mean nothing here.
const LISTENER_MEANINGLESS: &[&str] =
    &["cluster_address", "http_idle_timeout", "http_read_timeout", "http_read_header_timeout", "http_write_timeout"];

fn listener(block: &Block<'_>, parts: &mut Parts) -> Result<Listener, ParseError> {
    if block.label() != "tcp" {
        return Err(ParseError {
            at: block.at,
            message: format!("unknown listener \"{}\": take \"tcp\"", block.label()),
        });
    }
    let mut reader = block.reader("listener");
    let address = reader.string("address")?.unwrap_or("127.0.0.1:8200");
    let address: SocketAddr = address.parse().map_err(|_| {
        reader.error("address", "address must be an IP address and a port, such as 127.0.0.1:8200 or [::1]:8200")
    })?;
    let disabled = reader.boolean("tls_disable")?.unwrap_or(false);
    let certificate = reader.string("tls_cert_file")?.map(PathBuf::from);
    let key = reader.string("tls_key_file")?.map(PathBuf::from);
    let client_ca_file = reader.string("tls_client_ca_file")?.map(PathBuf::from);
    let oldest = match reader.string("tls_min_version")? {
        None | Some("tls12") => TlsVersion::V12,
        Some("tls13") => TlsVersion::V13,
        Some(_) => return Err(reader.error("tls_min_version", "tls_min_version must be \"tls12\" or \"tls13\"")),
    };
    let required = reader.boolean("tls_require_and_verify_client_cert")?;
    let ignored = reader.boolean("tls_disable_client_certs")?;
    let clients = match (required, client_ca_file) {
        (Some(true), Some(authorities)) => Ok(ClientCertificates::Required(authorities)),
        (Some(true), None) => {
            let message = "tls_require_and_verify_client_cert needs tls_client_ca_file";
            Err(reader.error("tls_require_and_verify_client_cert", message))
        }
        (_, Some(_)) => {
            let message = "tls_client_ca_file needs tls_require_and_verify_client_cert = true";
            Err(reader.error("tls_client_ca_file", message))
        }
        (_, None) if ignored == Some(true) => Ok(ClientCertificates::Ignored),
        (_, None) => Ok(ClientCertificates::Requested),
    };
    let files = match (disabled, certificate, key) {
        (true, None, None) if address.ip().is_loopback() => Ok(None),
        (true, None, None) => {
            Err(reader.error("tls_disable", "tls_disable = true is allowed on a loopback address only"))
        }
        (true, ..) => Err(reader.error("tls_disable", "tls_disable = true contradicts tls_cert_file and tls_key_file")),
        (false, Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (false, ..) => Err(reader.error("tls_cert_file", "tls_cert_file and tls_key_file are both needed")),
    };
    parts.unauthenticated.read_listener(&mut reader)?;
    parts.telemetry.read_listener(&mut reader)?;
    for (key, at) in reader.ignore(LISTENER_MEANINGLESS) {
        parts.warnings.push(format!("line {}: `{key}` of the listener has no effect on this server", at.line));
    }
    // Told before what is missing: a misspelt key is the likely reason.
    reader.finish()?;
    let clients = clients?;
    let tls = files?.map(|(certificate, key)| Tls { certificate, key, oldest, clients });
    Ok(Listener { address, tls })
}

fn audit(block: &Block<'_>) -> Result<Audit, ParseError> {
    let [kind, path] = block.labels.as_slice() else {
        return Err(ParseError { at: block.at, message: "write audit \"file\" \"name\" { … }".to_owned() });
    };
    let mut reader = block.reader("audit");
    let mut options = std::collections::BTreeMap::new();
    // Vault's devices have their settings in an `options` block, ours may stand beside it.
    for key in AUDIT_OPTIONS {
        if let Some(value) = reader.text(key)? {
            options.insert((if *key == "path" { "file_path" } else { key }).to_owned(), value.to_owned());
        }
    }
    for inner in reader.blocks("options", 0)? {
        let mut inner = inner.reader("options");
        for key in AUDIT_OPTIONS {
            if let Some(value) = inner.text(key)? {
                options.insert((*key).to_owned(), value.to_owned());
            }
        }
        inner.finish()?;
    }
    let description = reader.string("description")?.unwrap_or_default().to_owned();
    reader.finish()?;
    Ok(Audit { kind: kind.to_string(), path: format!("{path}/"), description, options })
}

const AUDIT_OPTIONS: &[&str] =
    &["path", "file_path", "mode", "prefix", "log_raw", "hmac_accessor", "elide_list_responses", "format"];
