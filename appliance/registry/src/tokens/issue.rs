//! Issuing tokens: for logins, and what all tokens have in common.

use std::time::Duration;

use aws_lc_rs::hmac;
use framework::{Auth, Error, MountInfo, Rng, Secret, Timestamp, TokenKind, View};

use super::lifetime::{self, Wish};
use super::name::Name;
use super::read_record;
use super::record::TokenRecord;
use super::rules::{assignable, login_name, sanitized};
use crate::registry::Registry;
use crate::{leases, names, random};

/// A token that was made or renewed, and what its owner should know.
#[derive(Debug)]
pub struct Issued {
    /// For the answer. [`Auth::ttl`] is the lifetime that was granted, zero for ever.
    pub auth: Auth,
    /// For the answer.
    pub warnings: Vec<String>,
}

impl Registry {
    /// Makes the token that a login asks for, and completes `auth` with it. `mount` is the auth mount, `path` that of the
    /// request, which look-ups show. Returns warnings for the answer.
    pub fn issue_token(
        &self,
        view: &View<'_>,
        auth: &mut Auth,
        mount: &MountInfo,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let policies = sanitized(&auth.policies, !auth.no_default_policy);
        if policies.iter().any(|policy| policy == "root") {
            return Err(Error::invalid("auth methods cannot create root tokens"));
        }
        assignable(&policies)?;
        let batch = mount.token_rule.decide(auth.kind) == TokenKind::Batch;
        if batch && auth.num_uses > 0 {
            return Err(Error::invalid("batch tokens cannot have \"num_uses\" set"));
        }
        let mut warnings = Vec::new();
        let wish =
            Wish { ttl: auth.ttl, max_ttl: auth.max_ttl, period: auth.period, explicit_max_ttl: auth.explicit_max_ttl };
        let ttl = lifetime::granted(wish, mount, now, now, &mut warnings)?;
        let record = TokenRecord {
            batch,
            policies,
            path: path.to_owned(),
            meta: auth.metadata.clone(),
            display_name: login_name(&mount.path, &auth.display_name),
            entity_id: auth.entity_id.clone(),
            num_uses: auth.num_uses,
            max_ttl: auth.max_ttl.as_secs(),
            explicit_max_ttl: auth.explicit_max_ttl.as_secs(),
            period: auth.period.as_secs(),
            renewable: auth.renewable && !batch,
            bound_cidrs: std::mem::take(&mut auth.bound_cidrs),
            internal: std::mem::take(&mut auth.internal),
            ..TokenRecord::default()
        };
        *auth = self.stage_token(view, record, None, ttl, now)?;
        Ok(warnings)
    }

    /// Makes a root token without parent and without end.
    pub fn create_root(&self, view: &View<'_>, token: Option<&Secret>, now: Timestamp) -> Result<Secret, Error> {
        create_root(view, &self.open()?.tokens.key, &*self.rng, token, now)
    }

    /// Makes a token of what is known of it; zero for `ttl` is for ever. A batch token is sealed and nothing is staged.
    pub(crate) fn stage_token(
        &self,
        view: &View<'_>,
        mut record: TokenRecord,
        id: Option<Secret>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Auth, Error> {
        let tokens = &self.open()?.tokens;
        if !record.batch {
            let path = record.path.clone();
            let auth = stage(view, &tokens.key, &*self.rng, record, id, ttl, now)?;
            view.put(&leases::record_name(&leases::id_of_token(&path, &auth.accessor)), names::mark())?;
            return Ok(auth);
        }
        born(&mut record, ttl, now);
        record.expires = Some(now.plus(ttl).nanos());
        // What renewals would need is of no use to it, and would make it longer.
        record.internal.clear();
        let token = tokens.batch.seal(&record)?;
        Ok(record.into_auth("", Some(token)))
    }
}

/// The first root token, or one that operators made by their shares: as in Vault, it is no lease.
pub(crate) fn create_root(
    view: &View<'_>,
    key: &hmac::Key,
    rng: &dyn Rng,
    token: Option<&Secret>,
    now: Timestamp,
) -> Result<Secret, Error> {
    let record = TokenRecord {
        policies: vec!["root".to_owned()],
        path: "auth/token/root".to_owned(),
        display_name: "root".to_owned(),
        ..TokenRecord::default()
    };
    let id = token.map(Secret::try_clone).transpose()?;
    let auth = stage(view, key, rng, record, id, Duration::ZERO, now)?;
    auth.client_token.ok_or_else(|| Error::internal("a token was made without a text"))
}

/// Stages the records of a service token, but for its place among the leases: itself, in its parent's index, its deadline.
fn stage(
    view: &View<'_>,
    key: &hmac::Key,
    rng: &dyn Rng,
    mut record: TokenRecord,
    id: Option<Secret>,
    ttl: Duration,
    now: Timestamp,
) -> Result<Auth, Error> {
    let chosen = id.is_some();
    let token = id.unwrap_or_else(|| Secret::transient(random::base62(rng, b"hvs.", 24)));
    let name = Name::of(key, token.expose());
    let name = name.as_str();
    // A made name is new by chance; only a chosen one can be taken.
    if chosen && read_record(view, name)?.is_some() {
        return Err(Error::field("id", "cannot create a token with a duplicate ID"));
    }
    born(&mut record, ttl, now);
    if !ttl.is_zero() {
        record.end_at(view, name, Some(now.plus(ttl)))?;
    }
    record.put(view, name)?;
    if !record.parent.is_empty() {
        view.put(&format!("{}{}/{name}", names::PARENTS, record.parent), names::mark())?;
    }
    Ok(record.into_auth(name, Some(token)))
}

fn born(record: &mut TokenRecord, ttl: Duration, now: Timestamp) {
    record.created = now.nanos();
    record.creation_ttl = ttl.as_secs();
    record.ttl = ttl.as_secs();
}
