//! Looking leases up. The forms and sentences are OpenBao's.

use framework::{Error, Json, Key, Map, Page, Secret, Store, Timestamp, View};

use super::record::split;
use super::revoke::ids_below;
use super::{Entry, LeaseRecord, entry, left, record_name};
use crate::mounts::MountEntry;
use crate::registry::Registry;
use crate::{names, tokens};

/// A lease whose secret could not be taken back.
#[derive(Clone, Debug)]
pub struct IrrevocableLease {
    /// The lease's id.
    pub id: String,
    /// The accessor of the mount that gave the secret out.
    pub mount: String,
    /// What its engine says.
    pub trouble: String,
    /// When it ended.
    pub ended: Timestamp,
}

impl Registry {
    /// What is known of a lease, in the form of `sys/leases/lookup`. [`Error::Invalid`] if there is none.
    pub fn lookup_lease(&self, view: &View<'_>, id: &str, now: Timestamp) -> Result<Map<String, Json>, Error> {
        let unknown = || Error::field("lease_id", "invalid lease");
        let times = match entry(view, id).map_err(|_| unknown())?.ok_or_else(unknown)? {
            Entry::Secret(record) => Times::of_secret(&record),
            Entry::Token(name) => Times::of_token(&tokens::read_record(view, &name)?.ok_or_else(unknown)?),
        };
        let shown = |at: Option<Timestamp>| at.map_or(Json::Null, |at| at.to_string().into());
        let mut map = Map::new();
        let mut set = |name: &str, value: Json| drop(map.insert(name.to_owned(), value));
        set("id", id.into());
        set("path", split(id).0.into());
        set("issue_time", times.issued.to_string().into());
        set("expire_time", shown(times.expires));
        set("last_renewal", shown(times.last_renewal));
        set("renewable", times.renewable.into());
        set("ttl", left(times.expires, now).into());
        if let Some(trouble) = times.trouble {
            set("revoke_error", trouble.into());
        }
        Ok(map)
    }

    /// What lies directly below a path among the leases: leases, and folders with a final `/`.
    pub fn leases(&self, view: &View<'_>, prefix: &str, page: &Page) -> Result<Vec<String>, Error> {
        view.list(&record_name(prefix), page)
    }

    /// The leases whose secrets could not be taken back, the oldest first.
    pub fn irrevocable_leases(&self, view: &View<'_>) -> Result<Vec<IrrevocableLease>, Error> {
        let mut found = Vec::new();
        for short in view.list(names::IRREVOCABLE, &Page::default())? {
            let Some(id) = view.get(&format!("{}{short}", names::IRREVOCABLE))? else { continue };
            let id = String::from_utf8_lossy(id.expose()).into_owned();
            let Some(Entry::Secret(record)) = entry(view, &id)? else { continue };
            let mount = self.mount_by_uuid(view, &record.mount)?;
            found.push(IrrevocableLease {
                id,
                mount: mount
                    .map_or_else(|| "mount-accessor-not-found".to_owned(), |mount| mount.entry.accessor.clone()),
                ended: record.expires(),
                trouble: record.trouble.unwrap_or_default(),
            });
        }
        found.sort_by(|a, b| (a.ended, &a.id).cmp(&(b.ended, &b.id)));
        Ok(found)
    }

    /// Whether a mount has leased secrets that are not taken back yet.
    pub(crate) fn leases_of(&self, store: &dyn Store<Secret>, mount: &MountEntry) -> Result<bool, Error> {
        for id in ids_below(store, &mount.path)? {
            let name = record_name(&id);
            if let Some(found) = store.get(&Key::new(&name)?)?
                && !found.value.is_empty()
                && names::decode::<LeaseRecord>(&name, &found.value)?.mount == mount.uuid
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What tokens and leased secrets have in common.
struct Times {
    issued: Timestamp,
    expires: Option<Timestamp>,
    last_renewal: Option<Timestamp>,
    renewable: bool,
    trouble: Option<String>,
}

impl Times {
    fn of_secret(record: &LeaseRecord) -> Self {
        Self {
            issued: record.issued(),
            expires: Some(record.expires()),
            last_renewal: record.last_renewal.map(Timestamp::from_nanos),
            renewable: record.renewable && record.trouble.is_none(),
            trouble: record.trouble.clone(),
        }
    }

    fn of_token(record: &tokens::TokenRecord) -> Self {
        Self {
            issued: record.created(),
            expires: record.expires(),
            last_renewal: record.last_renewal.map(Timestamp::from_nanos),
            renewable: record.renewable,
            trouble: None,
        }
    }
}
