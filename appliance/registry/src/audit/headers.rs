//! Which headers of requests the audit log records: `sys/config/auditing/request-headers`.

use std::collections::BTreeMap;

use framework::{Error, Headers, Json, Map, Page, Prefix, Secret, Store, View};
use serde::{Deserialize, Serialize};

use super::json::Writer;
use crate::names;
use crate::registry::Registry;

/// Where a token stands, which the log has in a field of its own.
const TOKENS: [&str; 2] = ["x-vault-token", "authorization"];

/// The record of one header.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct HeaderRecord {
    hmac: bool,
}

/// By name, in lower case: whether its values are written as their HMACs.
#[derive(Clone, Default)]
pub(crate) struct AuditedHeaders(BTreeMap<String, bool>);

impl AuditedHeaders {
    pub(crate) fn load(store: &dyn Store<Secret>) -> Result<Self, Error> {
        let folder = Prefix::new(names::AUDITED_HEADERS)?;
        let mut headers = BTreeMap::new();
        for name in store.list(&folder, &Page::default())? {
            let Some(found) = store.get(&folder.key(&name)?)? else { continue };
            let record: HeaderRecord = names::decode(names::AUDITED_HEADERS, &found.value)?;
            headers.insert(names::unsegment(&name), record.hmac);
        }
        Ok(Self(headers))
    }

    /// Writes those that a request has; no field where it has none.
    pub(crate) fn record(&self, w: &mut Writer<'_>, given: &Headers) {
        let found = |wanted: &String| {
            let values = given.iter().filter(|(name, _)| name == wanted).map(|(_, value)| Json::from(value.as_str()));
            let values: Vec<Json> = values.collect();
            (!values.is_empty()).then(|| (wanted.clone(), Json::Array(values)))
        };
        let found: Map<String, Json> = self.0.keys().filter_map(found).collect();
        w.data("headers", &found, &|name| self.0.get(name) == Some(&false));
    }
}

impl Registry {
    /// The headers that are recorded, in lower case, and whether their values are as HMACs.
    pub fn audited_headers(&self) -> Result<BTreeMap<String, bool>, Error> {
        Ok(self.open()?.devices.get().headers.0.clone())
    }

    /// Has a header recorded from the commit on. A name that no header can have is refused, as are those with the token.
    pub fn audit_header(&self, view: &View<'_>, name: &str, hmac: bool) -> Result<(), Error> {
        let name = name.to_ascii_lowercase();
        // RFC 9110, 5.6.2.
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 256 || !name.bytes().all(sound) {
            return Err(Error::field("header", "header is not the name of a header"));
        }
        if TOKENS.contains(&name.as_str()) {
            return Err(Error::field("header", format!("{name} carries the token, which is recorded as client_token")));
        }
        names::write(view, &record_name(&name), &HeaderRecord { hmac })
    }

    /// Ends the recording of a header; one that is not recorded is no error.
    pub fn forget_header(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        view.delete(&record_name(&name.to_ascii_lowercase()))
    }
}

fn record_name(name: &str) -> String {
    format!("{}{}", names::AUDITED_HEADERS, names::segment(name))
}
