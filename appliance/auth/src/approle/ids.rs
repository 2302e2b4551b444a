//! Where secret ids are: by their HMACs, by their accessors, and by when they end. All in one transaction, so none of the
//! three is ever there without the others.

use std::collections::BTreeMap;

use framework::{Context, Error, Names, Page, Paging, Secret, Timestamp, View, deadlines};
use serde::{Deserialize, Serialize};

/// How many secret ids one transaction removes.
const PORTION: usize = 256;

/// The record of a secret id. Times are nanoseconds since 1970, lifetimes seconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct SecretId {
    pub(super) accessor: String,
    /// Uses left; 0 for any number.
    pub(super) num_uses: u64,
    /// The lifetime that was asked for; 0 for none.
    pub(super) ttl: u64,
    pub(super) created: i64,
    /// 0 for never.
    pub(super) expires: i64,
    pub(super) updated: i64,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) cidr_list: Vec<String>,
    pub(super) token_bound_cidrs: Vec<String>,
}

impl SecretId {
    pub(super) fn valid(&self, now: Timestamp) -> bool {
        self.expires == 0 || now < Timestamp::from_nanos(self.expires)
    }
}

/// The secret ids of one role.
pub(super) struct Ids<'t> {
    view: View<'t>,
    /// In front of the folders.
    prefix: &'static str,
    role: String,
}

/// The part of the mount where secret ids of all clusters are, or of this one alone.
fn part<'t>(cx: &Context<'t>, local: bool) -> (View<'t>, &'static str) {
    if local { (cx.view.local(), "local/") } else { (cx.view.clone(), "") }
}

impl<'t> Ids<'t> {
    pub(super) fn of(cx: &Context<'t>, role: &str, local: bool) -> Self {
        let (view, prefix) = part(cx, local);
        Self { view, prefix, role: role.to_owned() }
    }

    fn name(&self, hmac: &str) -> String {
        format!("{}secret-id/{}/{hmac}", self.prefix, self.role)
    }

    fn accessors(&self) -> String {
        format!("{}accessor/{}", self.prefix, self.role)
    }

    fn expiry(&self, expires: i64, hmac: &str) -> String {
        let id = format!("{}.{hmac}", self.role);
        format!("{}expiry/{}", self.prefix, deadlines::entry(Timestamp::from_nanos(expires), &id))
    }

    pub(super) fn get(&self, hmac: &str) -> Result<Option<SecretId>, Error> {
        self.view.read(&self.name(hmac))
    }

    /// The HMAC and the record of the secret id with this accessor.
    pub(super) fn by_accessor(&self, accessor: &str) -> Result<Option<(String, SecretId)>, Error> {
        // A name that cannot be one is nobody's accessor.
        let Ok(Some(hmac)) = self.view.get(&format!("{}/{accessor}", self.accessors())) else { return Ok(None) };
        let hmac = String::from_utf8_lossy(hmac.expose()).into_owned();
        Ok(self.get(&hmac)?.map(|found| (hmac, found)))
    }

    /// The accessors of all.
    pub(super) fn list(&self, paging: Paging) -> Result<Names, Error> {
        Names::below(&self.view, &self.accessors(), paging)
    }

    /// Stages a new secret id.
    pub(super) fn add(&self, hmac: &str, record: &SecretId) -> Result<(), Error> {
        self.view.put(&format!("{}/{}", self.accessors(), record.accessor), Secret::from(hmac))?;
        if record.expires != 0 {
            self.view.put(&self.expiry(record.expires, hmac), Secret::transient(Vec::new()))?;
        }
        self.change(hmac, record)
    }

    /// Stages a change that leaves accessor and end as they are.
    pub(super) fn change(&self, hmac: &str, record: &SecretId) -> Result<(), Error> {
        self.view.write(&self.name(hmac), record)
    }

    /// Stages the end of a secret id.
    pub(super) fn remove(&self, hmac: &str, record: &SecretId) -> Result<(), Error> {
        self.view.delete(&self.name(hmac))?;
        self.view.delete(&format!("{}/{}", self.accessors(), record.accessor))?;
        if record.expires != 0 {
            self.view.delete(&self.expiry(record.expires, hmac))?;
        }
        Ok(())
    }

    fn mark(&self) -> String {
        format!("{}removed/{}", self.prefix, self.role)
    }

    /// Stages the end of as many as one transaction should hold; true if those were all.
    fn remove_portion(&self) -> Result<bool, Error> {
        let folder = format!("{}secret-id/{}", self.prefix, self.role);
        let hmacs = self.view.list(&folder, &Page { after: None, limit: Some(PORTION) })?;
        for hmac in &hmacs {
            if let Some(record) = self.get(hmac)? {
                self.remove(hmac, &record)?;
            }
        }
        Ok(hmacs.len() < PORTION)
    }
}

/// Stages the end of all secret ids of a role that is gone. Of many, [`sweep`] removes the rest; without their role they are
/// of no use.
pub(super) fn remove_all(ids: &Ids<'_>) -> Result<(), Error> {
    if ids.remove_portion()? { Ok(()) } else { ids.view.put(&ids.mark(), Secret::transient(Vec::new())) }
}

/// Removes a portion of what has expired, and of what roles that are gone have left.
pub(super) fn sweep(cx: &Context<'_>) -> Result<bool, Error> {
    let mut more = false;
    for local in [false, true] {
        more |= sweep_removed(cx, local)? | sweep_expired(cx, local)?;
    }
    Ok(more)
}

fn sweep_removed(cx: &Context<'_>, local: bool) -> Result<bool, Error> {
    let (view, prefix) = part(cx, local);
    let Some(role) = view.list(&format!("{prefix}removed"), &Page { after: None, limit: Some(1) })?.pop() else {
        return Ok(false);
    };
    let ids = Ids::of(cx, &role, local);
    if ids.remove_portion()? {
        view.delete(&ids.mark())?;
    }
    Ok(true)
}

fn sweep_expired(cx: &Context<'_>, local: bool) -> Result<bool, Error> {
    let (view, prefix) = part(cx, local);
    let index = format!("{prefix}expiry/");
    let due = deadlines::due(cx.now, PORTION, |folder, limit| {
        view.list(&format!("{index}{folder}"), &Page { after: None, limit })
    })?;
    for entry in &due {
        // An entry that is out of date must not stay, or it is found again for ever.
        view.delete(&format!("{index}{entry}"))?;
        if let Some((role, hmac)) = deadlines::id(entry).split_once('.') {
            let ids = Ids::of(cx, role, local);
            if let Some(record) = ids.get(hmac)?.filter(|record| !record.valid(cx.now)) {
                ids.remove(hmac, &record)?;
            }
        }
    }
    Ok(due.len() == PORTION)
}
