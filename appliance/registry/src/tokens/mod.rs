//! Tokens: made, recognised, renewed, revoked.
//!
//! A token is known by its [`Name`](name::Name), made of an HMAC of it under a key that is in guarded memory while the barrier
//! is open; neither records nor memory hold the token itself.

mod batch;
mod cache;
mod create;
mod issue;
mod lifetime;
mod name;
mod record;
mod renew;
mod revoke;
mod roles;
mod rules;

use std::net::IpAddr;
use std::sync::Arc;

use framework::{Caller, Error, Json, Key, Map, Secret, Store, Timestamp, View};

use batch::{BatchTokens, is_batch};
pub use create::TokenSpec;
pub use issue::Issued;
pub(crate) use issue::create_root;
pub(crate) use lifetime::{Wish, granted};
use name::Name;
use record::Known;
pub(crate) use record::TokenRecord;
pub use renew::AskMethod;
pub(crate) use revoke::{empty, tree};
pub use roles::TokenRole;

use crate::registry::{HmacKey, Registry};
use crate::{leases, names};

/// What memory holds about tokens: the keys that name and seal them, and whom they stand for.
pub(crate) struct Tokens {
    key: HmacKey,
    batch: BatchTokens,
    cache: cache::Cache,
}

impl Tokens {
    pub(crate) fn new(key: HmacKey, batch_key: &Secret) -> Result<Self, Error> {
        Ok(Self { key, batch: BatchTokens::new(batch_key)?, cache: cache::Cache::default() })
    }

    /// Forgets a token whose record was changed.
    pub(crate) fn changed(&self, name: &str) {
        if let Some(name) = Name::parse(name) {
            self.cache.remove(&name);
        }
    }

    fn name(&self, token: &Secret) -> Name {
        Name::of(&self.key, token.expose())
    }

    /// The token of this name, valid or not, as it is committed.
    fn known(&self, store: &dyn Store<Secret>, name: &Name) -> Result<Option<Arc<Known>>, Error> {
        if let Some(known) = self.cache.get(name) {
            return Ok(Some(known));
        }
        let changes = self.cache.changes();
        let key = format!("{}{}", names::TOKENS, name.as_str());
        let Some(found) = store.get(&Key::new(&key)?)? else { return Ok(None) };
        let known = Arc::new(names::decode::<TokenRecord>(&key, &found.value)?.known(name.as_str()));
        self.cache.insert(*name, &known, changes);
        Ok(Some(known))
    }

    /// What a batch token says of itself; `None` if this store did not make it, or its parent has ended.
    fn known_batch(
        &self,
        store: &dyn Store<Secret>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<Arc<Known>>, Error> {
        let Some(record) = self.batch.open(token) else { return Ok(None) };
        if let Some(parent) = Name::parse(&record.parent)
            && !self.known(store, &parent)?.is_some_and(|parent| parent.lives(now))
        {
            return Ok(None);
        }
        Ok(Some(Arc::new(record.known(self.name(token).as_str()))))
    }
}

/// Whom a valid token stands for.
#[derive(Clone, Debug)]
pub struct Identified {
    /// What handlers are told.
    pub caller: Arc<Caller>,
    /// How often it may still be used; 0 for any number. If not 0, [`Registry::use_token`] must be committed for each request.
    pub remaining_uses: u64,
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
    /// look-up, unless it is seen for the first time since its record was changed. A batch token is opened each time.
    pub fn identify(
        &self,
        store: &dyn Store<Secret>,
        token: &Secret,
        peer: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Identified>, Error> {
        let tokens = &self.open()?.tokens;
        let known = if is_batch(token) {
            tokens.known_batch(store, token, now)?
        } else if token.is_empty() {
            None
        } else {
            tokens.known(store, &tokens.name(token))?
        };
        let admitted = known.filter(|known| known.lives(now) && known.admits(peer));
        Ok(admitted.map(|known| known.identified.clone()))
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
                view.put(&leases::deadline(now, &caller.token), names::mark())?;
            }
            _ => {}
        }
        record.num_uses -= 1;
        record.put(view, &caller.token)
    }

    /// What is known of a token, in the form of `auth/token/lookup`. `id` is the token's text where it was given, otherwise
    /// empty. [`Error::Denied`] for an unknown token, [`Error::Invalid`] for an unknown accessor.
    pub fn lookup(&self, view: &View<'_>, token: TokenRef<'_>, now: Timestamp) -> Result<Map<String, Json>, Error> {
        let Some((name, record)) = self.find(view, token, now)? else {
            return Err(match token {
                TokenRef::Accessor(accessor) => no_accessor(accessor),
                TokenRef::Token(_) | TokenRef::Own(..) => Error::Denied,
            });
        };
        let id = match token {
            TokenRef::Token(text) | TokenRef::Own(_, Some(text)) => String::from_utf8_lossy(text.expose()).into_owned(),
            TokenRef::Accessor(_) | TokenRef::Own(_, None) => String::new(),
        };
        Ok(record.to_json(&name, id, now))
    }

    /// The accessors of all tokens, in byte order.
    pub fn accessors(&self, view: &View<'_>, page: &framework::Page) -> Result<Vec<String>, Error> {
        view.list(names::TOKENS, page)
    }

    /// The name of the token with this text, whether there is one or not.
    pub(crate) fn token_name(&self, token: &Secret) -> Result<String, Error> {
        Ok(self.open()?.tokens.name(token).as_str().to_owned())
    }

    /// The name and the record of a token that is valid, as the transaction sees it.
    fn find(
        &self,
        view: &View<'_>,
        token: TokenRef<'_>,
        now: Timestamp,
    ) -> Result<Option<(String, TokenRecord)>, Error> {
        let name = match token {
            TokenRef::Token(text) | TokenRef::Own(_, Some(text)) if is_batch(text) => {
                return self.find_batch(view, text, now);
            }
            TokenRef::Token(text) => self.token_name(text)?,
            TokenRef::Own(caller, _) => caller.token.clone(),
            TokenRef::Accessor(accessor) => match Name::parse(accessor) {
                Some(name) => name.as_str().to_owned(),
                None => return Ok(None),
            },
        };
        // The request that spends a token's last use may still do something with it.
        let own = matches!(token, TokenRef::Own(..));
        let record = read_record(view, &name)?.filter(|record| record.valid(now) || (own && record.spent));
        Ok(record.map(|record| (name, record)))
    }

    fn find_batch(
        &self,
        view: &View<'_>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<(String, TokenRecord)>, Error> {
        let Some(record) = self.open()?.tokens.batch.open(token) else { return Ok(None) };
        let orphaned =
            !record.parent.is_empty() && !read_record(view, &record.parent)?.is_some_and(|parent| parent.valid(now));
        if orphaned || !record.valid(now) {
            return Ok(None);
        }
        Ok(Some((self.token_name(token)?, record)))
    }
}

/// The record of a token, valid or not.
pub(crate) fn read_record(view: &View<'_>, name: &str) -> Result<Option<TokenRecord>, Error> {
    if name.is_empty() {
        return Ok(None);
    }
    names::read(view, &format!("{}{name}", names::TOKENS))
}

/// Notes that a secret is leased to a token: it ends with it. Makes this transaction conflict with one that ends the token.
pub(crate) fn owns_lease(view: &View<'_>, name: &str) -> Result<(), Error> {
    let Some(mut record) = read_record(view, name)? else { return Err(Error::Denied) };
    if record.spent {
        let message =
            "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.";
        return Err(Error::invalid(message));
    }
    if record.has_leases {
        return Ok(());
    }
    record.has_leases = true;
    record.put(view, name)
}

/// OpenBao's sentence, in its form.
fn no_accessor(accessor: &str) -> Error {
    let what = if accessor.is_empty() { "missing accessor" } else { "invalid accessor" };
    Error::field("accessor", format!("1 error occurred:\n\t* {what}\n\n"))
}
