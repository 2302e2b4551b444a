//! Records that the seal wraps although neither their folder nor their name says so.

use framework::{Error, Secret, View};

use crate::names;
use crate::registry::Registry;
use crate::tokens::{TokenRecord, read_record};

/// Every record below a view.
pub(crate) const EVERY: &[&str] = &[""];

impl Registry {
    /// The kinds of mounts, with prefixes of their records, of which the record itself has to be asked: root tokens, and
    /// answers that were put away for a seal-wrapped mount. (A token's lease is its name with an empty value: there is nothing
    /// in it to wrap.)
    pub const ASKED: [(&str, &str); 2] = [("system", names::TOKENS), ("cubbyhole", "")];

    /// Whether the seal wraps the record `name`, which lies where [`Registry::ASKED`] says. `view` is rooted at the whole store.
    pub fn is_critical(&self, view: &View<'_>, name: &str, record: &Secret) -> Result<bool, Error> {
        if name.starts_with(names::TOKENS) {
            return Ok(names::decode::<TokenRecord>(name, record)?.is_root());
        }
        let Some((token, "response")) = name.strip_prefix(names::CUBBYHOLE).and_then(|rest| rest.split_once('/'))
        else {
            return Ok(false);
        };
        match read_record(view, token)? {
            Some(token) if token.wraps() => self.wraps_answers(&token.path),
            _ => Ok(false),
        }
    }
}
