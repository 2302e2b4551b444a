//! From a request's head to a [`Request`]: method, path, token and the other headers.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use framework::{Error, Headers, Json, Map, Operation, Origin, Secret, SystemRng, duration};

use crate::connection::Peer;
use crate::query::{self, Query};
use crate::target;

/// What a request's head says.
pub(crate) struct Head {
    pub(crate) operation: Operation,
    pub(crate) path: String,
    pub(crate) token: Option<Secret>,
    pub(crate) origin: Origin,
    pub(crate) headers: Headers,
    pub(crate) help: bool,
    /// The query's fields.
    pub(crate) fields: Map<String, Json>,
    /// The body is a form, unless it looks like JSON.
    pub(crate) form: bool,
    /// The first thing wrong with the request. It walks the corridor all the same, to be judged and recorded.
    pub(crate) fault: Option<Error>,
}

/// A head that names no operation: answered at once, since there is nothing to record.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// Decodes a head. `path` is the target behind `/v1/`, as it was sent.
pub(crate) fn head(method: &Method, uri: &Uri, headers: &HeaderMap, path: &str, peer: &Peer) -> Result<Head, Refused> {
    let mut fault = None;
    let mut keep = |error: Error| {
        fault.get_or_insert(error);
    };
    let query = uri.query().map_or(Ok(Query::default()), query::parse).unwrap_or_else(|error| {
        keep(error);
        Query::default()
    });
    let (path, bad_path) = target::path(path);
    bad_path.into_iter().for_each(&mut keep);

    let (operation, asks_help) = operation(method, headers, &path, &query)?;
    if operation == Operation::Patch {
        merge_patch(headers)?;
    }
    let (token, kept) = take_headers(headers);
    let wrap_ttl = wrap_ttl(headers).unwrap_or_else(|error| {
        keep(error);
        None
    });
    let namespace = namespace(headers).unwrap_or_else(|error| {
        keep(error);
        String::new()
    });
    let origin = Origin {
        request_id: framework::uuid(&SystemRng),
        remote_address: peer.address.ip(),
        remote_port: peer.address.port(),
        namespace,
        wrap_ttl,
        client_certificates: peer.certificates.clone(),
    };
    let help = query.help || asks_help;
    let form = is_form(headers);
    Ok(Head { operation, path, token, origin, headers: kept, help, fields: query.fields, form, fault })
}

/// What is asked for, and whether it is documentation.
fn operation(method: &Method, headers: &HeaderMap, path: &str, query: &Query) -> Result<(Operation, bool), Refused> {
    let overridden = headers.get("x-http-method-override").filter(|_| method == Method::POST);
    let name = match overridden {
        // Only a POST can stand for something else: a GET that changes things would get past caches and link checkers.
        Some(name) => name.to_str().unwrap_or_default().to_ascii_uppercase(),
        None => String::new(),
    };
    let name = if name.is_empty() { method.as_str() } else { name.as_str() };
    let operation = match name {
        "GET" if query.list => Operation::List,
        "GET" => Operation::Read,
        "LIST" => Operation::List,
        "POST" | "PUT" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        "HELP" => return Ok((Operation::Read, true)),
        // Load balancers ask for health this way; nothing else has an answer without a body.
        "HEAD" if path == "sys/health" => Operation::Read,
        "HEAD" => {
            return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, message: Error::Unsupported.to_string() });
        }
        _ => return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, message: String::new() }),
    };
    Ok((operation, false))
}

/// RFC 7396 is the one kind of patch there is.
fn merge_patch(headers: &HeaderMap) -> Result<(), Refused> {
    const MERGE_PATCH: &str = "application/merge-patch+json";
    let provided = content_type(headers);
    if provided.eq_ignore_ascii_case(MERGE_PATCH) {
        return Ok(());
    }
    // What the client sent is shown only if it cannot be anything but a media type.
    let printable =
        provided.len() < 100 && provided.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte));
    let provided = if printable { provided } else { "something else" };
    let message = format!("PATCH requires Content-Type of {MERGE_PATCH}, provided {provided}");
    Err(Refused { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message })
}

fn is_form(headers: &HeaderMap) -> bool {
    content_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The media type without its parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// The token, and the other headers. `X-Vault-Token` counts before `Authorization: Bearer`.
fn take_headers(headers: &HeaderMap) -> (Option<Secret>, Headers) {
    let mut token: Option<&[u8]> = None;
    let mut others = Headers::with_capacity(headers.len());
    for (name, value) in headers {
        match name.as_str() {
            // Some libraries send it empty where they have none.
            "x-vault-token" if value.is_empty() => {}
            "x-vault-token" => token = Some(value.as_bytes()),
            "authorization" if bearer(value.as_bytes()).is_some() => {
                token = token.or(bearer(value.as_bytes()));
            }
            name => others.push((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())),
        }
    }
    let token = token.map(<[u8]>::trim_ascii).filter(|token| !token.is_empty());
    (token.map(|token| Secret::transient(token.to_vec())), others)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get("x-vault-wrap-ttl") else { return Ok(None) };
    let value = value.to_str().unwrap_or("?").trim();
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |why: String| Error::invalid(format!("error parsing X-Vault-Wrap-TTL header: {why}"));
    match duration::parse(value) {
        Some(ttl) => Ok(Some(ttl).filter(|ttl| !ttl.is_zero())),
        None if value.strip_prefix('-').and_then(duration::parse).is_some() => {
            Err(wrong("requested wrap ttl cannot be negative".to_owned()))
        }
        None => Err(wrong(format!("time: invalid duration {value:?}"))),
    }
}

fn namespace(headers: &HeaderMap) -> Result<String, Error> {
    let Some(value) = headers.get("x-vault-namespace") else { return Ok(String::new()) };
    let bad = || Error::invalid("X-Vault-Namespace is not a path");
    let value = std::str::from_utf8(value.as_bytes()).map_err(|_| bad())?.trim().trim_matches('/');
    if value.is_empty() || value == "root" {
        return Ok(String::new());
    }
    let (path, fault) = (value, value.split('/').any(|segment| matches!(segment, "" | "." | "..")));
    if fault || path.chars().any(char::is_control) { Err(bad()) } else { Ok(path.to_owned()) }
}
