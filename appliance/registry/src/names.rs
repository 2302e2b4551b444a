//! Where the registry's records stand.
//!
//! ```text
//! core/mount-table                     changes with every change of the table, so that two changes at once conflict
//! core/mounts/<uuid>                   one mount
//! core/removals/<uuid>                 a mount is gone, its leases and its records are being removed
//! core/revocations/<token>             a token is gone, tokens made with it are being removed
//! core/tidy/<what>                     everything is being looked through for what belongs to nothing
//! core/audit/<path>                    one audit device that was enabled by the API
//! core/audit-salts/<path>              the salt of a device declared in the configuration
//! core/audited-headers/<name>          one header of requests that the audit log records
//! core/cors                            which web pages of other origins may use the API
//! core/rotation                        when the data key is made anew by itself
//! core/rewrap                          how far a full rewrap has come
//! core/locked-users/<id>               a user who is locked out; <id> is a hash of the mount's accessor and the name
//! sys/policy/<name>                    one policy
//! sys/password-policy/<name>           one password policy
//! sys/token/id/<token>                 one token; <token> is its name and accessor, made of an HMAC of it
//! sys/token/parent/<token>/<child>     made with which token
//! sys/token/role/<name>                one token role
//! core/lease-revocations/…, sys/token/lease/…, sys/lease/…    see `leases`
//! ```

use framework::{Error, Secret, View};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) const CORE: &str = "core/";
pub(crate) const SYS: &str = "sys/";
pub(crate) const MOUNT_TABLE: &str = "core/mount-table";
pub(crate) const MOUNTS: &str = "core/mounts/";
pub(crate) const REMOVALS: &str = "core/removals/";
pub(crate) const REVOCATIONS: &str = "core/revocations/";
pub(crate) const LEASE_REVOCATIONS: &str = "core/lease-revocations/";
pub(crate) const TIDY: &str = "core/tidy/";
pub(crate) const AUDIT: &str = "core/audit/";
pub(crate) const AUDIT_SALTS: &str = "core/audit-salts/";
pub(crate) const AUDITED_HEADERS: &str = "core/audited-headers/";
pub(crate) const CORS: &str = "core/cors";
pub(crate) const ROTATION: &str = "core/rotation";
pub(crate) const REWRAP: &str = "core/rewrap";
pub(crate) const LOCKED_USERS: &str = "core/locked-users/";
pub(crate) const POLICIES: &str = "sys/policy/";
pub(crate) const PASSWORD_POLICIES: &str = "sys/password-policy/";
pub(crate) const TOKENS: &str = "sys/token/id/";
pub(crate) const PARENTS: &str = "sys/token/parent/";
pub(crate) const TOKEN_ROLES: &str = "sys/token/role/";
pub(crate) const LEASES: &str = "sys/lease/id/";
pub(crate) const TOKEN_LEASES: &str = "sys/token/lease/";
pub(crate) const IRREVOCABLE: &str = "sys/lease/irrevocable/";
pub(crate) const DEADLINES: &str = "sys/lease/at/";

/// The folder in which the cubbyhole engine keeps what belongs to a token, under the token's name.
pub(crate) const CUBBYHOLE: &str = "cubbyhole/";

/// A free name as one segment of a key.
pub(crate) fn segment(name: &str) -> String {
    if matches!(name, "." | "..") {
        return name.replace('.', "%2E");
    }
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '%' => text.push_str("%25"),
            '/' => text.push_str("%2F"),
            _ => text.push(c),
        }
    }
    text
}

/// The free name that [`segment`] was made of.
pub(crate) fn unsegment(segment: &str) -> String {
    segment.replace("%2F", "/").replace("%2E", ".").replace("%25", "%")
}

/// The value of a record that says all by its name.
pub(crate) fn mark() -> Secret {
    Secret::transient(Vec::new())
}

/// Reads a record as JSON.
pub(crate) fn decode<T: DeserializeOwned>(name: &str, bytes: &Secret) -> Result<T, Error> {
    serde_json::from_slice(bytes.expose())
        .map_err(|error| Error::internal(format!("a record under {} is malformed: {error}", folder(name))))
}

/// Reads a record of the view as JSON.
pub(crate) fn read<T: DeserializeOwned>(view: &View<'_>, name: &str) -> Result<Option<T>, Error> {
    view.get(name)?.map(|bytes| decode(name, &bytes)).transpose()
}

/// Stages a record as JSON.
pub(crate) fn write<T: Serialize>(view: &View<'_>, name: &str, record: &T) -> Result<(), Error> {
    view.write(name, record)
}

/// The part of a name that may be logged.
fn folder(name: &str) -> &str {
    name.rfind('/').and_then(|at| name.get(..=at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_names_are_one_segment_and_come_back() {
        for name in ["a", "team/dev", "50%", "%2F", "..", ".", "a.b", "%25/x"] {
            let segment = segment(name);
            assert!(!segment.contains('/') && segment != ".." && segment != ".");
            assert_eq!(unsegment(&segment), name);
        }
    }
}
