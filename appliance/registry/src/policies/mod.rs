//! Policies: their texts in the store, and what they allow, compiled, in memory. Beside them the policies of passwords.

mod compiled;
mod password;
mod record;

use std::sync::Arc;

use framework::acl::{Acl, Identity, Policy, Values};
use framework::{Error, Key, Page, PolicyNames, Secret, Store, Timestamp, View};

pub(crate) use compiled::Policies;
use record::Record;
pub(crate) use record::{WRAPPING, unassignable};

use crate::names;
use crate::registry::Registry;

/// A policy as it is stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoredPolicy {
    /// Its name, in lower case.
    pub name: String,
    /// Its text, as it was written; empty for `root`.
    pub text: String,
    /// How often it was written; 0 for `root`.
    pub version: u64,
    /// When it was last written; `None` for what nobody wrote.
    pub modified: Option<Timestamp>,
    /// Whether who writes it must say which version is replaced.
    pub cas_required: bool,
    /// From when on it is no more.
    pub expires: Option<Timestamp>,
    /// What its templates may be filled in with.
    pub values: Values,
}

/// A policy as it is to be written.
#[derive(Clone, Debug, Default)]
pub struct PolicySpec {
    /// The rules, in HCL or JSON.
    pub text: String,
    /// The version that is replaced: 0 or -1 for none. `None` replaces whatever is there.
    pub cas: Option<i64>,
    /// Whether who writes it must say which version is replaced, this time and from now on.
    pub cas_required: bool,
    /// From when on it is no more.
    pub expires: Option<Timestamp>,
    /// What its templates may be filled in with.
    pub values: Values,
}

impl PolicySpec {
    /// These rules, for ever, whatever they replace.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Checks what is said about the version that is replaced. The sentences are OpenBao's.
    fn check_version(&self, old: Option<&Record>) -> Result<(), Error> {
        let version = old.map_or(0, |old| old.version);
        let refuse = |message: String| Err(Error::field("cas", message));
        match self.cas {
            None if self.cas_required || old.is_some_and(|old| old.cas_required) => {
                refuse("check-and-set parameter required for this call".to_owned())
            }
            None => Ok(()),
            Some(-1) if old.is_some() => refuse("check-and-set parameter set to -1 on existing entry".to_owned()),
            Some(-1) => Ok(()),
            Some(cas) if u64::try_from(cas) == Ok(version) => Ok(()),
            Some(cas) => refuse(format!("check-and-set parameter {cas} did not match the current version {version}")),
        }
    }
}

impl Registry {
    /// What the policies named (as in [`framework::Caller::policies`]) allow. One look-up unless one of them was changed.
    /// Names without a policy allow nothing. An ACL whose policies hold `{{…}}` is compiled anew for each identity.
    pub fn acl(
        &self,
        store: &dyn Store<Secret>,
        policies: &PolicyNames,
        identity: Option<&Identity>,
        now: Timestamp,
    ) -> Result<Arc<Acl>, Error> {
        let open = self.open()?;
        if identity.is_none()
            && let Some(acl) = open.policies.cached(policies, now)
        {
            return Ok(acl);
        }
        let committed = |name: &str| Ok(store.get(&Key::new(name)?)?.map(|found| found.value));
        open.policies.compile(policies, identity, now, &committed, true)
    }

    /// As [`Registry::acl`], as far as a handler's transaction sees it.
    pub fn acl_in(&self, view: &View<'_>, policies: &PolicyNames, now: Timestamp) -> Result<Arc<Acl>, Error> {
        let open = self.open()?;
        match open.policies.cached(policies, now) {
            Some(acl) => Ok(acl),
            None => open.policies.compile(policies, None, now, &|name| view.get(name), false),
        }
    }

    /// Whether there is a policy of this name.
    pub(crate) fn policy_exists(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<bool, Error> {
        let found = self.open()?.policies.policy(name, &|name| view.get(name), false)?;
        Ok(found.is_some_and(|policy| policy.in_force(now)))
    }

    /// The policy `name`, in whatever case it is given.
    pub fn policy(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<Option<StoredPolicy>, Error> {
        let name = name.to_lowercase();
        if let Some(policy) = record::builtin(&name) {
            let text = policy?.text().to_owned();
            return Ok(Some(StoredPolicy {
                name,
                version: u64::from(!text.is_empty()),
                text,
                ..StoredPolicy::default()
            }));
        }
        Ok(read(view, &name, now)?.map(|record| record.stored(name)))
    }

    /// Writes a policy. [`Error::Invalid`] if its text is not a policy, the name is the server's own, or the version is not the
    /// one it is to replace.
    pub fn put_policy(&self, view: &View<'_>, name: &str, spec: PolicySpec, now: Timestamp) -> Result<(), Error> {
        let name = name.to_lowercase();
        if record::unwritable(&name) {
            return Err(Error::field("name", format!("cannot update {name:?} policy")));
        }
        Policy::parse(&name, &spec.text)?;
        if spec.expires.is_some_and(|end| end <= now) {
            return Err(Error::field("expiration", "refusing to update policy as expiration time has already elapsed"));
        }
        let old = read(view, &name, now)?;
        spec.check_version(old.as_ref())?;
        let record = Record {
            text: spec.text,
            version: old.map_or(0, |old| old.version) + 1,
            modified: now.nanos(),
            cas_required: spec.cas_required,
            expires: spec.expires.map(Timestamp::nanos),
            slashes: spec.values.slashes,
            wildcards: spec.values.wildcards,
        };
        names::write(view, &record::key(&name), &record)
    }

    /// Deletes a policy; one that is not there is no error.
    pub fn delete_policy(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        let name = name.to_lowercase();
        if name == "default" {
            return Err(Error::field("name", "cannot delete default policy"));
        }
        if record::unwritable(&name) {
            return Err(Error::field("name", format!("cannot delete {name:?} policy")));
        }
        view.delete(&record::key(&name))
    }

    /// The names of the policies below `folder` (a name may hold slashes), sorted. Of all policies, where it is empty: then
    /// `root` stands at the end.
    pub fn policies(&self, view: &View<'_>, folder: &str, now: Timestamp) -> Result<Vec<String>, Error> {
        let folder = folder.trim_end_matches('/').to_lowercase();
        let below =
            |name: &str| folder.is_empty() || name.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'));
        let segments = view.list(names::POLICIES, &Page::default())?;
        let mut all = Vec::new();
        for name in segments.iter().map(|segment| names::unsegment(segment)).filter(|name| below(name)) {
            if read(view, &name, now)?.is_some() {
                all.push(name);
            }
        }
        all.extend(folder.is_empty().then(|| "root".to_owned()));
        all.sort();
        Ok(all)
    }
}

/// The record of a policy that is in force. What has expired is gone, whether it lies there still or not.
fn read(view: &View<'_>, name: &str, now: Timestamp) -> Result<Option<Record>, Error> {
    let found: Option<Record> = names::read(view, &record::key(name))?;
    Ok(found.filter(|record| record.in_force(now)))
}
