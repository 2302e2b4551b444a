//! Response wrapping: an answer is put away in the cubbyhole of a token of its own, which gets it out once.
//!
//! ```text
//! sys/token/id/<token>          the wrapping token: one use, no policy but `response-wrapping`, the path of the request
//! cubbyhole/<token>/response    the answer
//! ```
//! Both are staged in the transaction of what is answered, so there is never one without the other. Getting an answer out
//! removes both: of several that try at once one commits, and the others conflict and find nothing.

use std::time::Duration;

use framework::{Caller, Error, MountId, Secret, Timestamp, View, WrapInfo};
use serde::{Deserialize, Serialize};

use crate::critical;
use crate::names;
use crate::policies::WRAPPING;
use crate::registry::Registry;
use crate::tokens::{TokenRecord, read_record};

/// A wrapping token that is valid: what is known of the answer under it.
#[derive(Debug)]
pub struct WrappingToken {
    name: String,
    record: TokenRecord,
}

impl WrappingToken {
    /// The path of the request that was answered.
    pub fn path(&self) -> &str {
        &self.record.path
    }

    /// When the answer was put away.
    pub fn created(&self) -> Timestamp {
        self.record.created()
    }

    /// How long it may lie there.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.record.creation_ttl)
    }
}

/// The record of an answer, in the form of any secret in a cubbyhole: clients of old read it there.
#[derive(Deserialize, Serialize)]
struct Record<'a> {
    response: std::borrow::Cow<'a, str>,
}

impl Registry {
    /// Puts an answer, as [`framework::envelope`] writes it, away for `ttl`. `path` is that of the request it answers; if
    /// its mount is seal-wrapped, so is the answer.
    pub fn wrap(
        &self,
        view: &View<'_>,
        answer: &Secret,
        path: &str,
        ttl: Duration,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<WrapInfo, Error> {
        let record = TokenRecord {
            policies: vec![WRAPPING.to_owned()],
            path: path.to_owned(),
            display_name: caller.display_name.clone(),
            num_uses: 1,
            explicit_max_ttl: ttl.as_secs(),
            ..TokenRecord::default()
        };
        let auth = self.stage_token(view, record, None, ttl, now)?;
        let token = auth.client_token.ok_or_else(|| Error::internal("a token was made without a text"))?;
        let name = self.token_name(&token)?;
        let response = std::str::from_utf8(answer.expose()).map_err(Error::internal)?.into();
        names::write(&self.cubbyhole(view, path)?, &place(&name), &Record { response })?;
        Ok(WrapInfo {
            token,
            accessor: auth.accessor,
            ttl,
            created: now,
            path: path.to_owned(),
            wrapped_accessor: String::new(),
        })
    }

    /// The wrapping token of this text; `None` where it is none, or none any more.
    pub fn wrapping_token(
        &self,
        view: &View<'_>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<WrappingToken>, Error> {
        let name = self.token_name(token)?;
        let record = read_record(view, &name)?.filter(|record| record.valid(now) && record.wraps());
        Ok(record.map(|record| WrappingToken { name, record }))
    }

    /// Takes an answer out. Its token and all that belongs to it go in the same transaction. [`Error::Conflict`] if somebody
    /// else is just taking it.
    pub fn unwrap(&self, view: &View<'_>, token: &WrappingToken) -> Result<Secret, Error> {
        let WrappingToken { name, record } = token;
        let cubbyhole = self.cubbyhole(view, &record.path)?;
        // Somebody else got it out since the token's record was read.
        let found = cubbyhole.get(&place(name))?.ok_or(Error::Conflict)?;
        let Record { response } = names::decode(names::CUBBYHOLE, &found)?;
        let response = Secret::from(response.into_owned());
        // The policy lets it write nothing else there, so there is nothing to look for.
        cubbyhole.delete(&place(name))?;
        record.delete(view, name)?;
        Ok(response)
    }

    /// The records of all cubbyholes, as the cubbyhole engine writes them; seal-wrapped if the mount of `path` is.
    fn cubbyhole<'v>(&self, view: &View<'v>, path: &str) -> Result<View<'v>, Error> {
        let id = self.mount(names::CUBBYHOLE)?.map_or(MountId::default(), |mount| mount.id);
        view.below(names::CUBBYHOLE, id, if self.wraps_answers(path)? { critical::EVERY } else { &[] })
    }

    /// Whether answers to requests for `path` are seal-wrapped where they are put away.
    pub(crate) fn wraps_answers(&self, path: &str) -> Result<bool, Error> {
        Ok(self.locate(path)?.is_some_and(|(mount, _)| mount.entry.seal_wrap && mount.id != MountId::default()))
    }
}

impl TokenRecord {
    /// Whether it is a wrapping token's.
    pub(crate) fn wraps(&self) -> bool {
        wraps(&self.policies)
    }
}

/// Whether a token with these policies is a wrapping token. No other token can have just this one.
pub fn wraps(policies: &[String]) -> bool {
    matches!(policies, [only] if only == WRAPPING)
}

fn place(token: &str) -> String {
    format!("{token}/response")
}
