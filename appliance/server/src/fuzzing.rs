//! What fuzzing reaches: the decoding of what a client sends (`appliance/fuzz`).

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use framework::{Json, Map};

use crate::connection::Peer;
use crate::{decode, json, query};

/// A decoded head.
pub struct Decoded {
    /// The path, decoded.
    pub path: String,
    /// The query's fields.
    pub fields: Map<String, Json>,
    /// Nothing was wrong with it.
    pub sound: bool,
}

/// Decodes a head as a connection hands it over; `None` if HTTP itself would refuse it, or it names no operation.
pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<Decoded> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let uri: Uri = target.parse().ok()?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).ok()?, HeaderValue::try_from(*value).ok()?);
    }
    let peer = Peer::new(SocketAddr::from(([127, 0, 0, 1], 1)), Vec::new());
    let path = uri.path().strip_prefix("/v1/").unwrap_or_default();
    let head = decode::head(&method, &uri, &map, path, &peer).ok()?;
    Some(Decoded { path: head.path, fields: head.fields, sound: head.fault.is_none() })
}

/// Parses a body of JSON with at most `values` values in it.
pub fn json(body: &[u8], values: usize) -> Option<Map<String, Json>> {
    json::parse(body, values).ok()
}

/// Parses a body that is a form.
pub fn form(body: &str) -> Option<Map<String, Json>> {
    query::form(body).ok()
}
