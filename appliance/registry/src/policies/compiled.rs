//! What policies allow, compiled, in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use framework::acl::{Acl, Identity, Policy};
use framework::{Error, PolicyNames, Secret, Timestamp};

use super::record::{self, Record};
use crate::names;

/// How many compiled policies, and how many sets of them, are kept. A full cache is emptied: compiling costs microseconds.
const KEPT: usize = 4096;

/// Reads a record of the store, or of a transaction.
pub(super) type Reader<'r> = dyn Fn(&str) -> Result<Option<Secret>, Error> + 'r;

/// What is compiled. Both maps are emptied of what a changed policy feeds; neither is changed in any other way.
#[derive(Default)]
pub(crate) struct Policies {
    /// By name; `None` where there is no such policy.
    compiled: RwLock<HashMap<String, Option<Arc<Policy>>>>,
    acls: RwLock<HashMap<PolicyNames, Arc<Acl>>>,
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

    pub(super) fn cached(&self, policies: &PolicyNames, now: Timestamp) -> Option<Arc<Acl>> {
        let acls = self.acls.read().unwrap_or_else(PoisonError::into_inner);
        acls.get(policies).filter(|acl| acl.expires().is_none_or(|at| now < at)).cloned()
    }

    /// The policy `name`, in force or not; `keep` only where `get` reads what is committed.
    pub(super) fn policy(&self, name: &str, get: &Reader<'_>, keep: bool) -> Result<Option<Arc<Policy>>, Error> {
        if let Some(known) = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(known.clone());
        }
        let before = self.changes.load(Ordering::Acquire);
        let policy = match record::builtin(name) {
            Some(policy) => Some(Arc::new(policy?)),
            None => {
                let key = record::key(name);
                let found = get(&key)?.map(|bytes| names::decode::<Record>(&key, &bytes)).transpose()?;
                found.map(|record| record.policy(name).map(Arc::new)).transpose()?
            }
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
    pub(super) fn compile(
        &self,
        policies: &PolicyNames,
        identity: Option<&Identity>,
        now: Timestamp,
        get: &Reader<'_>,
        keep: bool,
    ) -> Result<Arc<Acl>, Error> {
        let before = self.changes.load(Ordering::Acquire);
        let mut parsed = Vec::with_capacity(policies.len());
        for name in policies.iter() {
            parsed.extend(self.policy(name, get, keep)?);
        }
        let acl = Arc::new(Acl::compile(parsed.iter().map(|policy| &**policy), identity, now));
        let personal = identity.is_some() && parsed.iter().any(|policy| policy.templated());
        let mut acls = self.acls.write().unwrap_or_else(PoisonError::into_inner);
        if keep && !personal && before == self.changes.load(Ordering::Acquire) {
            if acls.len() >= KEPT {
                acls.clear();
            }
            acls.insert(policies.clone(), Arc::clone(&acl));
        }
        Ok(acl)
    }
}
