//! The registry as a whole: its life from unseal to seal, and what a commit means for what it has in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use framework::acl::Policy;
use framework::{Clock, Cors, Error, Key, Prefix, Rng, Secret, Store, Transaction, View};
use hardening::Guarded;

use crate::audit::{DeclaredDevice, Devices};
use crate::cors;
use crate::latest::Latest;
use crate::lockouts::{LockoutRules, Lockouts};
use crate::mounts::{self, DefaultMount, Migrations, Table, default_mounts};
use crate::names;
use crate::policies::{Policies, PolicySpec};
use crate::tokens::{self, Tokens};

/// How often a transaction of the registry's own is tried while others change the same records.
const ATTEMPTS: usize = 32;

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lifetime of leases and tokens that ask for none.
    pub default_lease_ttl: Duration,
    /// Longest lifetime of leases and tokens.
    pub max_lease_ttl: Duration,
    /// The mounts that every store has.
    pub mounts: Vec<DefaultMount>,
    /// Audit devices of the configuration.
    pub audit: Vec<DeclaredDevice>,
    /// When users are locked out, by kinds of auth methods; `all` for those that are not named.
    pub user_lockout: BTreeMap<String, LockoutRules>,
    /// The version of the engines, as mounts and the audit log show it.
    pub running_version: &'static str,
}

impl Default for Settings {
    /// Vault's lifetimes of 768 hours, the default mounts, no devices.
    fn default() -> Self {
        Self {
            default_lease_ttl: Duration::from_secs(768 * 3600),
            max_lease_ttl: Duration::from_secs(768 * 3600),
            mounts: default_mounts(),
            audit: Vec::new(),
            user_lockout: BTreeMap::new(),
            running_version: concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.holdfast"),
        }
    }
}

/// What a commit changed, for those who have more to do after it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Changed {
    /// The mount table.
    pub mounts: bool,
    /// There is something to be ended or removed: [`Registry::finish_removals`] should run soon.
    pub removals: bool,
    /// The audit devices, or what they record.
    pub audit: bool,
}

/// What the server remembers: mounts, policies, tokens, audit devices. Shared by all threads.
///
/// While sealed it knows nothing, and every method that needs to know gives [`Error::Sealed`].
pub struct Registry {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) settings: Settings,
    open: RwLock<Option<Arc<Open>>>,
}

/// What is known while the barrier is open. Dropped, and so wiped, with the last request that uses it after a seal.
pub(crate) struct Open {
    pub(crate) mounts: Latest<Table>,
    pub(crate) policies: Policies,
    pub(crate) tokens: Tokens,
    pub(crate) devices: Latest<Devices>,
    pub(crate) migrations: Migrations,
    pub(crate) lockouts: Lockouts,
    pub(crate) cors: Latest<Option<Arc<Cors>>>,
}

impl Registry {
    /// A registry that knows nothing yet.
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, settings: Settings) -> Self {
        Self { clock, rng, settings, open: RwLock::new(None) }
    }

    /// Stages what a new store holds: the default mounts, the policy `default`, and a root token, which is returned.
    /// Called once, in the transaction of `sys/init`; needs no [`Registry::load`]. `view` is rooted at the whole store,
    /// `hmac_key` is what `load` will be given, `token` the root token's text where it is not left to chance.
    pub fn initialise(&self, view: &View<'_>, hmac_key: &Secret, token: Option<&Secret>) -> Result<Secret, Error> {
        self.add_default_mounts(view, &self.settings.mounts)?;
        let now = self.clock.now();
        self.put_policy(view, "default", PolicySpec::new(Policy::default_text()), now)?;
        let key = token_key(hmac_key)?;
        tokens::create_root(view, &key, &*self.rng, token, now)
    }

    /// Reads what is stored, after unseal. `hmac_key` names tokens: 32 random bytes that live as long as the store and are
    /// kept in its keyring. Adds default mounts and salts of declared audit devices that the store does not have yet.
    pub fn load(&self, store: &dyn Store<Secret>, hmac_key: &Secret) -> Result<(), Error> {
        let key = token_key(hmac_key)?;
        self.write(store, |view| {
            self.add_default_mounts(view, &self.settings.mounts)?;
            self.add_salts(view)
        })?;
        let open = Open {
            mounts: Latest::new(Table::load(store, &self.settings, &Table::default())?),
            policies: Policies::default(),
            tokens: Tokens::new(key, &derived(hmac_key, b"holdfast registry batch tokens")?)?,
            devices: Latest::new(Devices::load(store, &self.settings.audit, &Devices::default())?),
            migrations: Migrations::default(),
            lockouts: Lockouts::load(store)?,
            cors: Latest::new(cors::load(store)?),
        };
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(open));
        Ok(())
    }

    /// Forgets everything, at seal: caches, keys, salts.
    pub fn forget(&self) {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        // Dropped after the lock is given back: wiping a large cache takes a while.
        drop(open);
    }

    /// Brings what is in memory up to date with a commit; to be called after every commit, before it is acknowledged, with
    /// the names of the changed records and the store that has them. Costs a look at each name where nothing of the
    /// registry's was changed. This is the only way in which what is in memory changes, so a standby does the same with
    /// what it reads from the journal. No effect while sealed.
    pub fn committed(&self, keys: &[Key], store: &dyn Store<Secret>) -> Result<Changed, Error> {
        let mut changed = Changed::default();
        let Ok(open) = self.open() else { return Ok(changed) };
        for key in keys {
            let name = key.as_str();
            if name.starts_with(names::SYS) {
                if let Some(token) = name.strip_prefix(names::TOKENS) {
                    open.tokens.changed(token);
                } else if let Some(policy) = name.strip_prefix(names::POLICIES) {
                    open.policies.changed(policy);
                }
            } else if name.starts_with(names::CORE) {
                changed.mounts |= name.starts_with(names::MOUNTS);
                let marks = [names::REMOVALS, names::REVOCATIONS, names::LEASE_REVOCATIONS, names::TIDY];
                changed.removals |= marks.iter().any(|mark| name.starts_with(mark));
                let audit = [names::AUDIT, names::AUDIT_SALTS, names::AUDITED_HEADERS];
                changed.audit |= audit.iter().any(|folder| name.starts_with(folder));
                if name == names::CORS {
                    open.cors.refresh(|_| cors::load(store))?;
                }
                if let Some(user) = name.strip_prefix(names::LOCKED_USERS) {
                    open.lockouts.changed(user, store)?;
                }
            }
        }
        if changed.mounts {
            open.mounts.refresh(|before| Table::load(store, &self.settings, before))?;
        }
        if changed.audit {
            open.devices.refresh(|old| Devices::load(store, &self.settings.audit, old))?;
        }
        Ok(changed)
    }

    /// Does what is marked to be done: [`Registry::finish_revocations`], then the removal of records of disabled mounts, and
    /// tidying. For a background thread, after [`Registry::load`] and whenever [`Changed::removals`] is set. Returns how
    /// many marks were dealt with.
    pub fn finish_removals(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        Ok(self.finish_revocations(store)? + self.finish_mounts(store)? + self.finish_tidy(store)?)
    }

    /// Ends the tokens whose parents are gone, and the leases that are marked to end. Returns how many marks were dealt with.
    pub fn finish_revocations(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        Ok(self.finish_expired_prefixes(store)? + self.finish_trees(store)?)
    }

    /// The mount that `path` (without `/v1/`) lies under, and the rest of the path. No allocation.
    pub fn locate<'p>(&self, path: &'p str) -> Result<Option<(Arc<mounts::Mount>, &'p str)>, Error> {
        let table = self.open()?.mounts.get();
        Ok(table.locate(path).map(|(mount, rest)| (Arc::clone(mount), rest)))
    }

    /// Whether it can answer: loaded since the barrier was opened, and not forgotten.
    pub fn is_loaded(&self) -> bool {
        self.open().is_ok()
    }

    /// What is known; [`Error::Sealed`] before `load` and after `forget`.
    pub(crate) fn open(&self) -> Result<Arc<Open>, Error> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Sealed)
    }

    /// Carries out a transaction of the registry's own, again while it conflicts, and brings memory up to date.
    pub(crate) fn write<T>(
        &self,
        store: &dyn Store<Secret>,
        work: impl Fn(&View<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempts = 0;
        loop {
            let transaction = Transaction::new(store);
            let view = transaction.view(Prefix::root(), framework::MountId::default(), &[]);
            let result = work(&view);
            drop(view);
            let outcome = result.and_then(|done| Ok((done, transaction.commit()?)));
            match outcome {
                Err(Error::Conflict) if attempts < ATTEMPTS => attempts += 1,
                Err(Error::Conflict) => return Err(Error::Busy { reason: "others keep changing the same records" }),
                Err(error) => return Err(error),
                Ok((done, keys)) => {
                    self.committed(&keys, store)?;
                    return Ok(done);
                }
            }
        }
    }
}

/// A key object for HMAC-SHA256 in guarded memory.
pub(crate) type HmacKey = Guarded<hmac::Key>;

pub(crate) fn hmac_key(bytes: &[u8]) -> Result<HmacKey, Error> {
    Ok(Guarded::with(|| hmac::Key::new(hmac::HMAC_SHA256, bytes))?)
}

/// The key that names tokens.
fn token_key(master: &Secret) -> Result<HmacKey, Error> {
    hmac_key(derived(master, b"holdfast registry token names")?.expose())
}

/// A key of 32 bytes for one purpose. Derived, so that one entry of the keyring may serve several.
fn derived(master: &Secret, purpose: &[u8]) -> Result<Secret, Error> {
    if master.len() < 32 {
        return Err(Error::internal("the key that names tokens is shorter than 32 bytes"));
    }
    let tag = hmac::sign(&*hmac_key(master.expose())?, purpose);
    let derived = Secret::locked(tag.as_ref())?;
    hardening::wipe_stack();
    Ok(derived)
}
