//! Policies: their texts in the store, and what they allow, compiled, in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use framework::acl::{Acl, Identity, Policy};
use framework::{Error, Key, Page, Secret, Store, Timestamp, View};
use serde::{Deserialize, Serialize};

use crate::names;
use crate::registry::Registry;

/// How many compiled policies, and how many sets of them, are kept. A full cache is emptied: compiling costs microseconds.
const KEPT: usize = 4096;
/// Policies of the server's own that nobody may write.
const INTERNAL: [&str; 2] = ["response-wrapping", "control-group"];

/// A policy as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredPolicy {
    /// Its name, in lower case.
    pub name: String,
    /// Its text, as it was written; empty for `root`.
    pub text: String,
    /// How often it was written; 0 for `root`.
    pub version: u64,
    /// When it was last written.
    pub modified: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
struct Record {
    text: String,
    version: u64,
    modified: i64,
}

/// What is compiled. Both maps are emptied of what a changed policy feeds; neither is changed in any other way.
#[derive(Default)]
pub(crate) struct Policies {
    /// By name; `None` where there is no such policy.
    compiled: RwLock<HashMap<String, Option<Arc<Policy>>>>,
    /// By sorted names.
    acls: RwLock<HashMap<Box<[String]>, Arc<Acl>>>,
    /// Counts changes, so that nothing is kept that was read before one.
    changes: AtomicU64,
}

impl Policies {
    /// Forgets what rests on the policy whose record is `segment`.
    pub(crate) fn changed(&self, segment: &str) {
        let name = names::unsegment(segment);
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.compiled.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
        let mut acls = self.acls.write().unwrap_or_else(PoisonError::into_inner);
        acls.retain(|policies, _| !policies.contains(&name));
    }

    fn cached(&self, policies: &[String], now: Timestamp) -> Option<Arc<Acl>> {
        let acls = self.acls.read().unwrap_or_else(PoisonError::into_inner);
        acls.get(policies).filter(|acl| acl.expires().is_none_or(|at| now < at)).cloned()
    }

    fn policy(&self, name: &str, get: &Reader<'_>, keep: bool) -> Result<Option<Arc<Policy>>, Error> {
        if let Some(known) = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(known.clone());
        }
        let before = self.changes.load(Ordering::Acquire);
        let key = record_name(name);
        let policy = match get(&key)? {
            None => None,
            Some(bytes) => Some(Arc::new(Policy::parse(name, &names::decode::<Record>(&key, &bytes)?.text)?)),
        };
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if keep && before == self.changes.load(Ordering::Acquire) {
            if compiled.len() >= KEPT {
                compiled.clear();
            }
            compiled.insert(name.to_owned(), policy.clone());
        }
        Ok(policy)
    }

    /// Compiles; `keep` only where `get` reads what is committed.
    fn compile(
        &self,
        policies: &[String],
        identity: Option<&Identity>,
        now: Timestamp,
        get: &Reader<'_>,
        keep: bool,
    ) -> Result<Arc<Acl>, Error> {
        let before = self.changes.load(Ordering::Acquire);
        let mut parsed = Vec::with_capacity(policies.len());
        for name in policies {
            match name.as_str() {
                "root" => parsed.push(Arc::new(Policy::root())),
                name => parsed.extend(self.policy(name, get, keep)?),
            }
        }
        let acl = Arc::new(Acl::compile(parsed.iter().map(|policy| &**policy), identity, now));
        let personal = identity.is_some() && parsed.iter().any(|policy| policy.templated());
        let mut acls = self.acls.write().unwrap_or_else(PoisonError::into_inner);
        if keep && !personal && before == self.changes.load(Ordering::Acquire) {
            if acls.len() >= KEPT {
                acls.clear();
            }
            acls.insert(policies.into(), Arc::clone(&acl));
        }
        Ok(acl)
    }
}

type Reader<'r> = dyn Fn(&str) -> Result<Option<Secret>, Error> + 'r;

fn committed(store: &dyn Store<Secret>) -> impl Fn(&str) -> Result<Option<Secret>, Error> {
    move |name| Ok(store.get(&Key::new(name)?)?.map(|found| found.value))
}

impl Registry {
    /// What the policies named (sorted, as in [`framework::Caller::policies`]) allow. One look-up unless one of them was
    /// changed. Names without a policy allow nothing. An ACL whose policies hold `{{…}}` is compiled anew for each identity.
    pub fn acl(
        &self,
        store: &dyn Store<Secret>,
        policies: &[String],
        identity: Option<&Identity>,
        now: Timestamp,
    ) -> Result<Arc<Acl>, Error> {
        let open = self.open()?;
        if identity.is_none()
            && let Some(acl) = open.policies.cached(policies, now)
        {
            return Ok(acl);
        }
        open.policies.compile(policies, identity, now, &committed(store), true)
    }

    /// As [`Registry::acl`], as far as a handler's transaction sees it.
    pub fn acl_in(&self, view: &View<'_>, policies: &[String], now: Timestamp) -> Result<Arc<Acl>, Error> {
        let open = self.open()?;
        match open.policies.cached(policies, now) {
            Some(acl) => Ok(acl),
            None => open.policies.compile(policies, None, now, &|name| view.get(name), false),
        }
    }

    /// Whether there is a policy of this name.
    pub(crate) fn policy_exists(&self, view: &View<'_>, name: &str) -> Result<bool, Error> {
        if let Some(known) = self.open()?.policies.compiled.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(known.is_some());
        }
        Ok(name == "root" || view.get(&record_name(name))?.is_some())
    }

    /// The policy `name`, in whatever case it is given.
    pub fn policy(&self, view: &View<'_>, name: &str) -> Result<Option<StoredPolicy>, Error> {
        let name = name.to_lowercase();
        if name == "root" {
            return Ok(Some(StoredPolicy { name, text: String::new(), version: 0, modified: None }));
        }
        let found: Option<Record> = names::read(view, &record_name(&name))?;
        Ok(found.map(|Record { text, version, modified }| StoredPolicy {
            name,
            text,
            version,
            modified: Some(Timestamp::from_nanos(modified)),
        }))
    }

    /// Writes a policy. [`Error::Invalid`] if its text is not a policy, or the name is the server's own.
    pub fn put_policy(&self, view: &View<'_>, name: &str, text: &str, now: Timestamp) -> Result<(), Error> {
        let name = name.to_lowercase();
        Policy::parse(&name, text)?;
        if name == "root" || INTERNAL.contains(&name.as_str()) {
            return Err(Error::field("name", format!("cannot update {name:?} policy")));
        }
        let key = record_name(&name);
        let version = names::read::<Record>(view, &key)?.map_or(0, |old| old.version) + 1;
        names::write(view, &key, &Record { text: text.to_owned(), version, modified: now.nanos() })
    }

    /// Deletes a policy; one that is not there is no error.
    pub fn delete_policy(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        let name = name.to_lowercase();
        if name == "default" {
            return Err(Error::field("name", "cannot delete default policy"));
        }
        if name == "root" || INTERNAL.contains(&name.as_str()) {
            return Err(Error::field("name", format!("cannot delete {name:?} policy")));
        }
        view.delete(&record_name(&name))
    }

    /// The names of all policies, sorted, with `root` at the end.
    pub fn policies(&self, view: &View<'_>) -> Result<Vec<String>, Error> {
        let segments = view.list(names::POLICIES, &Page::default())?;
        let mut all: Vec<String> = segments.iter().map(|segment| names::unsegment(segment)).collect();
        all.sort();
        all.push("root".to_owned());
        Ok(all)
    }
}

/// Whether a token may not be given this policy.
pub(crate) fn unassignable(name: &str) -> bool {
    INTERNAL.contains(&name)
}

fn record_name(name: &str) -> String {
    format!("{}{}", names::POLICIES, names::segment(name))
}
