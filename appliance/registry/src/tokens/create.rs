//! Making tokens by tokens: `auth/token/create`. The rules are Vault's, and so are the sentences of refusals.

use std::collections::BTreeMap;
use std::time::Duration;

use framework::{Caller, Error, MountInfo, Secret, Timestamp, TokenKind, View};

use super::lifetime::{self, Wish};
use super::record::TokenRecord;
use super::rules::{child_policies, display_name};
use super::{Issued, TokenRole, read_record};
use crate::registry::Registry;

/// What `auth/token/create` asks for.
#[derive(Debug)]
pub struct TokenSpec {
    /// The token's text; for callers with `sudo` only. `None` leaves it to chance.
    pub id: Option<Secret>,
    /// The role to make it by.
    pub role: Option<String>,
    /// The policies; empty takes the role's or the parent's.
    pub policies: Vec<String>,
    /// Metadata, shown in the audit log and in look-ups.
    pub meta: BTreeMap<String, String>,
    /// Make an orphan. Needs `sudo`, unless `orphan_allowed`.
    pub no_parent: bool,
    /// The request came to a path that makes orphans (`create-orphan`), and was allowed.
    pub orphan_allowed: bool,
    /// Do not add the policy `default`.
    pub no_default_policy: bool,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Lifetime; zero takes the mount's default.
    pub ttl: Duration,
    /// It cannot live longer than this; zero for no own limit.
    pub explicit_max_ttl: Duration,
    /// Renewal always sets this lifetime. Needs `sudo`.
    pub period: Duration,
    /// Shown in the audit log behind `token-`.
    pub display_name: String,
    /// How often it may be used; 0 for any number.
    pub num_uses: u64,
    /// The kind.
    pub kind: TokenKind,
    /// The path of the request, which look-ups show.
    pub path: String,
}

impl Default for TokenSpec {
    fn default() -> Self {
        Self {
            id: None,
            role: None,
            policies: Vec::new(),
            meta: BTreeMap::new(),
            no_parent: false,
            orphan_allowed: false,
            no_default_policy: false,
            renewable: true,
            ttl: Duration::ZERO,
            explicit_max_ttl: Duration::ZERO,
            period: Duration::ZERO,
            display_name: String::new(),
            num_uses: 0,
            kind: TokenKind::OfMount,
            path: "auth/token/create".to_owned(),
        }
    }
}

impl Registry {
    /// Makes a token for a caller, by the rules of `auth/token/create`. `mount` is the token mount. Whether the caller has
    /// `sudo` on `spec.path` is found out here.
    pub fn create_token(
        &self,
        view: &View<'_>,
        parent: &Caller,
        mount: &MountInfo,
        mut spec: TokenSpec,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let mut parent_record = may_have_children(view, parent)?;
        let role = spec.role.as_deref().map(|name| self.existing_role(view, name)).transpose()?;
        let role = role.as_ref();
        let sudo = self.has_sudo(view, parent, &spec.path, now)?;
        let batch = role.map_or_else(Default::default, TokenRole::rule).decide(spec.kind) == TokenKind::Batch;
        let orphan = spec.check(role, sudo, batch)?;
        let policies = child_policies(&spec, role, parent, sudo)?;
        let root = policies.iter().any(|policy| policy == "root");
        if root && !parent.root {
            return Err(Error::field("policies", "root tokens may not be created without parent token being root"));
        }
        if root && batch {
            return Err(Error::field("type", "batch tokens cannot be root tokens"));
        }

        let mut warnings = Vec::new();
        let ttl = lifetime(&spec, role.filter(|_| !batch), root, mount, now, &mut warnings)?;
        let forever = ttl.is_zero();
        if forever && parent_record.expires.is_some() {
            return Err(Error::invalid("expiring root tokens cannot create non-expiring root tokens"));
        }
        for policy in &policies {
            if !self.policy_exists(view, policy, now)? {
                warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let bound_cidrs = match role {
            _ if forever => Vec::new(),
            Some(role) => role.bound_cidrs(),
            None if orphan => Vec::new(),
            None => parent_record.bound_cidrs.clone(),
        };
        let suffix = role.map(|role| role.path_suffix.as_str()).filter(|suffix| !suffix.is_empty());
        let record = TokenRecord {
            batch,
            parent: if orphan { String::new() } else { parent.token.clone() },
            policies,
            path: suffix.map_or_else(|| spec.path.clone(), |suffix| format!("{}/{suffix}", spec.path)),
            role: spec.role.clone().unwrap_or_default(),
            meta: std::mem::take(&mut spec.meta),
            display_name: display_name(&spec.display_name),
            entity_id: if orphan { String::new() } else { parent.entity_id.clone() },
            num_uses: fewer(spec.num_uses, role.map_or(0, TokenRole::num_uses)),
            explicit_max_ttl: spec.explicit_max_ttl.as_secs(),
            period: spec.period.as_secs(),
            renewable: spec.renewable && role.is_none_or(|role| role.renewable) && !forever && !batch,
            bound_cidrs,
            ..TokenRecord::default()
        };
        if !orphan && !batch && !parent_record.has_children {
            parent_record.has_children = true;
            parent_record.put(view, &parent.token)?;
        }
        let auth = self.stage_token(view, record, spec.id, ttl, now)?;
        Ok(Issued { auth, warnings })
    }

    fn existing_role(&self, view: &View<'_>, name: &str) -> Result<TokenRole, Error> {
        self.token_role(view, name)?.ok_or_else(|| Error::invalid(format!("unknown role {name}")))
    }

    /// Whether a caller may do on a path what needs `sudo`.
    pub(super) fn has_sudo(&self, view: &View<'_>, caller: &Caller, path: &str, now: Timestamp) -> Result<bool, Error> {
        let capabilities = self.acl_in(view, &caller.policies, now)?.capabilities(path);
        Ok(capabilities.iter().any(|capability| matches!(*capability, "sudo" | "root")))
    }
}

impl TokenSpec {
    /// Checks what may be asked for; returns whether the token has no parent.
    fn check(&self, role: Option<&TokenRole>, sudo: bool, batch: bool) -> Result<bool, Error> {
        if batch {
            let set = [
                ("explicit_max_ttl", !self.explicit_max_ttl.is_zero()),
                ("num_uses", fewer(self.num_uses, role.map_or(0, TokenRole::num_uses)) > 0),
                ("period", !self.period.is_zero()),
                ("id", self.id.is_some()),
            ];
            if let Some((name, _)) = set.iter().find(|(_, set)| *set) {
                return Err(Error::invalid(format!("batch tokens cannot have {name:?} set")));
            }
        }
        if let Some(id) = &self.id {
            if !sudo {
                return Err(Error::field("id", "root or sudo privileges required to specify token id"));
            }
            check_id(id)?;
        }
        if !self.period.is_zero() && !sudo {
            return Err(Error::field("period", "root or sudo privileges required to create periodic token"));
        }
        match role {
            Some(role) => Ok(role.orphan),
            None if self.no_parent && !sudo && !self.orphan_allowed => {
                Err(Error::field("no_parent", "root or sudo privileges required to create orphan token"))
            }
            None => Ok(self.orphan_allowed || self.no_parent),
        }
    }
}

/// The record of the token that a caller makes others with.
fn may_have_children(view: &View<'_>, parent: &Caller) -> Result<TokenRecord, Error> {
    if parent.kind == TokenKind::Batch.name() {
        return Err(Error::invalid("batch tokens cannot create more tokens"));
    }
    let Some(record) = read_record(view, &parent.token)? else { return Err(Error::Denied) };
    if record.num_uses > 0 || record.spent {
        return Err(Error::invalid("restricted use token cannot generate child tokens"));
    }
    Ok(record)
}

/// How long the token lives at first; zero for ever, which only a root token can.
fn lifetime(
    spec: &TokenSpec,
    role: Option<&TokenRole>,
    root: bool,
    mount: &MountInfo,
    now: Timestamp,
    warnings: &mut Vec<String>,
) -> Result<Duration, Error> {
    let mut both = |what: &str, asked: Duration, by_role: Duration| {
        if !asked.is_zero() && !by_role.is_zero() {
            let secs = asked.min(by_role).as_secs();
            warnings.push(format!(
                "{what} specified both during creation call and in role; using the lesser value of {secs} seconds"
            ));
        }
        lesser(asked, by_role)
    };
    let explicit_max_ttl =
        both("Explicit max TTL", spec.explicit_max_ttl, role.map_or(Duration::ZERO, TokenRole::explicit_max_ttl));
    let period = both("Period", spec.period, role.map_or(Duration::ZERO, TokenRole::period));
    if root && spec.ttl.is_zero() && period.is_zero() {
        return Ok(explicit_max_ttl);
    }
    let wish = Wish { ttl: spec.ttl, max_ttl: Duration::ZERO, period, explicit_max_ttl };
    lifetime::granted(wish, mount, now, now, warnings)
}

/// The lesser of two limits, of which zero is none.
pub(super) fn lesser(a: Duration, b: Duration) -> Duration {
    if a.is_zero() || b.is_zero() { a.max(b) } else { a.min(b) }
}

/// The same for uses.
fn fewer(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

/// Checks a token's text that somebody chose.
fn check_id(id: &Secret) -> Result<(), Error> {
    let text = std::str::from_utf8(id.expose()).unwrap_or_default();
    let reserved = ["hvs.", "hvb.", "hvr.", "s.", "b.", "r."].iter().find(|prefix| text.starts_with(**prefix));
    if let Some(prefix) = reserved {
        return Err(Error::field("id", format!("custom token ID cannot have the '{prefix}' prefix")));
    }
    if text.contains('.') {
        return Err(Error::field("id", "custom token ID cannot have a '.' in the value"));
    }
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::field("id", "custom token ID cannot be empty or hold blanks or control characters"));
    }
    Ok(())
}
