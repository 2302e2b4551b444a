//! Tokens: made, recognised, renewed, revoked.
//!
//! A token is known by its *name*, an HMAC-SHA256 of it under a key that is in guarded memory while the barrier is open;
//! neither records nor memory hold the token itself.

mod cache;
mod create;
mod lifetime;
mod record;
mod renew;
mod revoke;
mod rules;
mod sweep;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framework::{Caller, Error, Json, Key, Map, Secret, Store, Timestamp, View};

pub(crate) use create::create_root;
pub use create::{Issued, TokenSpec};
use record::TokenRecord;

use crate::names;
use crate::registry::{HmacKey, Registry};

/// What memory holds about tokens: the key that names them, and whom they stand for.
pub(crate) struct Tokens {
    key: HmacKey,
    cache: cache::Cache,
}

/// The HMAC of a token.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(crate) struct Name([u8; 32]);

impl Name {
    pub(crate) fn of(key: &hmac::Key, token: &[u8]) -> Self {
        let tag = hmac::sign(key, token);
        let mut name = [0; 32];
        name.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Self(name)
    }

    /// As it stands in the names of records, 43 characters, and in [`Caller::token`].
    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut name = [0; 32];
        (URL_SAFE_NO_PAD.decode_slice(text, &mut name) == Ok(32)).then_some(Self(name))
    }
}

impl Tokens {
    pub(crate) fn new(key: HmacKey) -> Self {
        Self { key, cache: cache::Cache::default() }
    }

    /// Forgets a token whose record was changed.
    pub(crate) fn changed(&self, name: &str) {
        if let Some(name) = Name::parse(name) {
            self.cache.remove(&name);
        }
    }
}

/// Whom a valid token stands for.
#[derive(Clone, Debug)]
pub struct Identified {
    /// What handlers are told.
    pub caller: Arc<Caller>,
    /// How often it may still be used; 0 for any number. If not 0, [`Registry::use_token`] must be committed for each request.
    pub remaining_uses: u64,
    /// When it ends, unless renewed; `None` for never.
    pub expires: Option<Timestamp>,
}

/// Which token is meant.
#[derive(Clone, Copy, Debug)]
pub enum TokenRef<'a> {
    /// The one with this text.
    Token(&'a Secret),
    /// The one with this accessor.
    Accessor(&'a str),
    /// The caller's own, and its text where that is known. The request that spends its last use still finds it.
    Own(&'a Caller, Option<&'a Secret>),
}

impl Registry {
    /// Whom a token stands for; `None` if it is unknown, has ended, is used up, or may not be used from `peer`. An HMAC and one
    /// look-up, unless it is seen for the first time since its record was changed.
    pub fn identify(
        &self,
        store: &dyn Store<Secret>,
        token: &Secret,
        peer: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Identified>, Error> {
        let tokens = &self.open()?.tokens;
        if token.is_empty() {
            return Ok(None);
        }
        let name = Name::of(&tokens.key, token.expose());
        let known = match tokens.cache.get(&name) {
            Some(known) => known,
            None => {
                let changes = tokens.cache.changes();
                let text = name.text();
                let key = format!("{}{text}", names::TOKENS);
                let Some(found) = store.get(&Key::new(&key)?)? else { return Ok(None) };
                let known = Arc::new(names::decode::<TokenRecord>(&key, &found.value)?.known(text));
                tokens.cache.insert(name, &known, changes);
                known
            }
        };
        Ok(known.valid(peer, now).then(|| known.identified.clone()))
    }

    /// Counts one use of a token whose uses are limited; no effect on others. Two requests that use the same token at once
    /// conflict, and one of them runs again. The last use ends the token: the request it is for goes on, the next is refused,
    /// and the next sweep removes what belongs to it. [`Error::Denied`] if there is no use left.
    pub fn use_token(&self, view: &View<'_>, caller: &Caller, now: Timestamp) -> Result<(), Error> {
        let found = read_record(view, &caller.token)?;
        let Some(mut record) = found.filter(|record| record.valid(now)) else { return Err(Error::Denied) };
        match record.num_uses {
            0 => return Ok(()),
            1 => {
                record.spent = true;
                view.put(&record::deadline(now, &caller.token), Secret::transient(b"token".to_vec()))?;
            }
            _ => {}
        }
        record.num_uses -= 1;
        record.put(view, &caller.token)
    }

    /// What is known of a token, in the form of `auth/token/lookup`. `id` is the token's text where it was given, otherwise
    /// empty. [`Error::Denied`] for an unknown token, [`Error::Invalid`] for an unknown accessor.
    pub fn lookup(&self, view: &View<'_>, token: TokenRef<'_>, now: Timestamp) -> Result<Map<String, Json>, Error> {
        let Some((_, record)) = self.find(view, token, now)? else {
            return Err(match token {
                TokenRef::Accessor(accessor) => no_accessor(accessor),
                TokenRef::Token(_) | TokenRef::Own(..) => Error::Denied,
            });
        };
        let id = match token {
            TokenRef::Token(text) | TokenRef::Own(_, Some(text)) => String::from_utf8_lossy(text.expose()).into_owned(),
            TokenRef::Accessor(_) | TokenRef::Own(_, None) => String::new(),
        };
        Ok(record.to_json(id, now))
    }

    /// The accessors of all tokens, in byte order.
    pub fn accessors(&self, view: &View<'_>, page: &framework::Page) -> Result<Vec<String>, Error> {
        view.list(names::ACCESSORS, page)
    }

    /// The name and the record of a token that is valid, as the transaction sees it.
    fn find(
        &self,
        view: &View<'_>,
        token: TokenRef<'_>,
        now: Timestamp,
    ) -> Result<Option<(String, TokenRecord)>, Error> {
        let name = match token {
            TokenRef::Token(text) => Name::of(&self.open()?.tokens.key, text.expose()).text(),
            TokenRef::Own(caller, _) => caller.token.clone(),
            TokenRef::Accessor(accessor) => {
                let key = format!("{}{}", names::ACCESSORS, names::segment(accessor));
                match view.get(&key).map_err(|_| no_accessor(accessor))? {
                    Some(name) => String::from_utf8_lossy(name.expose()).into_owned(),
                    None => return Ok(None),
                }
            }
        };
        // The request that spends a token's last use may still do something with it.
        let own = matches!(token, TokenRef::Own(..));
        let record = read_record(view, &name)?.filter(|record| record.valid(now) || (own && record.spent));
        Ok(record.map(|record| (name, record)))
    }
}

/// The record of a token, valid or not.
fn read_record(view: &View<'_>, name: &str) -> Result<Option<TokenRecord>, Error> {
    if name.is_empty() {
        return Ok(None);
    }
    names::read(view, &format!("{}{name}", names::TOKENS))
}

/// OpenBao's sentence, in its form.
fn no_accessor(accessor: &str) -> Error {
    let what = if accessor.is_empty() { "missing accessor" } else { "invalid accessor" };
    Error::field("accessor", format!("1 error occurred:\n\t* {what}\n\n"))
}
