//! Version 2: every write adds a version; versions can be deleted, brought back and destroyed.

use std::collections::BTreeMap;
use std::time::Duration;

use framework::{
    Context, Engine, Error, Input, Json, Map, Names, Operation, Output, Paging, Reply, Route, Secs, duration, fields,
};

use super::history::{History, Settings, VersionState, value_name};

/// The engine, kind `kv-v2`.
pub fn engine() -> Engine {
    use Operation::{Delete, List, Patch, Read, Update};
    Engine {
        kind: "kv-v2",
        about: "Stores arbitrary secrets, each write to a path as a new version of it.",
        routes: vec![
            Route::new(Read, "config", "Read the backend level settings.", read_config),
            Route::new(
                Update,
                "config",
                "Configure backend level settings that are applied to every key.",
                write_config,
            ),
            Route::new(Read, "data/{path*}", "Retrieve a version of a secret, by default the current one.", read),
            Route::new(Update, "data/{path*}", "Write a new version of a secret.", write).creates_unless(exists),
            Route::new(
                Patch,
                "data/{path*}",
                "Write a new version that is a merge of the current one and the body.",
                patch,
            ),
            Route::new(Delete, "data/{path*}", "Delete the current version of a secret.", delete_current),
            Route::new(Update, "delete/{path*}", "Delete versions of a secret.", delete),
            Route::new(Update, "undelete/{path*}", "Bring deleted versions back.", undelete),
            Route::new(Update, "destroy/{path*}", "Destroy versions of a secret for good.", destroy),
            Route::new(Read, "subkeys/{path*}", "Read the structure of a secret without its values.", subkeys),
            Route::new(Read, "metadata/{path*}", "Read the settings and versions of a secret.", read_metadata),
            Route::new(Update, "metadata/{path*}", "Configure a secret.", write_metadata).creates_unless(exists),
            Route::new(Patch, "metadata/{path*}", "Change some settings of a secret.", patch_metadata),
            Route::new(Delete, "metadata/{path*}", "Remove a secret with all its versions.", delete_metadata),
            Route::new(List, "metadata/{path*}", "List the names directly below a path.", list),
            Route::new(
                List,
                "detailed-metadata/{path*}",
                "List the names below a path with their settings.",
                list_detailed,
            ),
            Route::new(Read, "{path*}", "Says which paths there are.", elsewhere),
        ],
        seal_wrapped: &["versions/", "metadata/"],
        ..Engine::default()
    }
}

fields! {
    struct Nothing {}

    struct At {
        /// Location of the secret.
        path: String,
    }

    struct Config {
        /// The number of versions to keep for each key; 0 for ten.
        max_versions: Option<u32>,
        /// If true, all keys require the cas parameter on every write.
        cas_required: Option<bool>,
        /// If true, all keys require the metadata_cas parameter on every write of their settings.
        metadata_cas_required: Option<bool>,
        /// How long until a new version is deleted; 0 for never.
        delete_version_after: Option<Secs>,
    }

    struct ConfigAnswer {
        /// The number of versions kept; 0 for ten.
        max_versions: u32,
        /// Whether every write must state the version it replaces.
        cas_required: bool,
        /// Whether every write of settings must state the one it replaces.
        metadata_cas_required: bool,
        /// How long until a new version is deleted.
        delete_version_after: String,
    }

    struct Read {
        /// Location of the secret.
        path: String,
        /// Which version; 0 for the current one.
        version: u64 = 0,
    }

    struct Secret {
        /// The value; null if the version is deleted.
        data: Json,
        /// What is known of the version.
        metadata: Json,
    }

    struct Write {
        /// Location of the secret.
        path: String,
        /// The contents of the data map will be stored and returned on read.
        data: Option<Json>,
        /// Options for writing a KV entry. Set the "cas" value to use a Check-And-Set operation.
        options: Option<Map<String, Json>>,
        /// Accepted as Vault does, and of no effect on a write.
        version: Option<u64>,
    }

    struct VersionAnswer {
        /// When the version was written.
        created_time: String,
        /// The secret's own metadata.
        custom_metadata: Json,
        /// When the version is or was deleted; empty for never.
        deletion_time: String,
        /// Whether the value is gone for good.
        destroyed: bool,
        /// The version's number.
        version: u64,
    }

    struct Versions {
        /// Location of the secret.
        path: String,
        /// The versions.
        versions: Vec<String>,
    }

    struct Subkeys {
        /// Location of the secret.
        path: String,
        /// Which version; 0 for the current one.
        version: u64 = 0,
        /// How deep to look; 0 for all the way.
        depth: u64 = 0,
    }

    struct SubkeysAnswer {
        /// The value's keys, with null for every value.
        subkeys: Json,
        /// What is known of the version.
        metadata: Json,
    }

    struct Metadata {
        /// Location of the secret.
        path: String,
        /// The number of versions to keep; 0 for the mount's setting.
        max_versions: Option<u32>,
        /// If true the key will require the cas parameter to be set on all write requests.
        cas_required: Option<bool>,
        /// If true the key will require the metadata_cas parameter on all writes of its settings.
        metadata_cas_required: Option<bool>,
        /// The number of the settings that this write replaces.
        metadata_cas: Option<u64>,
        /// How long until a new version is deleted; 0 for the mount's setting.
        delete_version_after: Option<Secs>,
        /// User-provided key-value pairs that are used to describe arbitrary and version-agnostic information about a secret.
        custom_metadata: Option<Json>,
    }

    struct MetadataAnswer {
        /// Whether every write must state the version it replaces.
        cas_required: bool,
        /// When the first version was written.
        created_time: String,
        /// How often the settings were written.
        current_metadata_version: u64,
        /// The current version's number.
        current_version: u64,
        /// The secret's own metadata.
        custom_metadata: Json,
        /// How long until a new version is deleted.
        delete_version_after: String,
        /// The number of versions kept; 0 for the mount's setting.
        max_versions: u32,
        /// Whether every write of settings must state the one it replaces.
        metadata_cas_required: bool,
        /// The lowest version that is still known.
        oldest_version: u64,
        /// When anything was last changed.
        updated_time: String,
        /// The versions, by number.
        versions: Map<String, Json>,
    }

    struct Folder {
        /// Path whose direct children are listed.
        path: String,
    }

    struct DetailedNames {
        /// The names; folders end in a slash.
        keys: Vec<String>,
        /// The settings of those that are secrets.
        key_info: Map<String, Json>,
    }
}

fn settings(cx: &Context<'_>) -> Result<Settings, Error> {
    Ok(cx.view.read("config")?.unwrap_or_default())
}

fn nanos(after: Secs) -> u64 {
    u64::try_from(after.0.as_nanos()).unwrap_or(u64::MAX)
}

/// A client that takes the mount for one of version 1.
fn elsewhere(_: &Context<'_>, _: At) -> Result<Output, Error> {
    let warning = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
                   If using the CLI, use 'kv get' for this operation.";
    Ok(Output { status: Some(404), warnings: vec![warning.to_owned()], ..Output::default() })
}

fn read_config(cx: &Context<'_>, _: Nothing) -> Result<ConfigAnswer, Error> {
    let settings = settings(cx)?;
    Ok(ConfigAnswer {
        max_versions: settings.max_versions,
        cas_required: settings.cas_required,
        metadata_cas_required: settings.metadata_cas_required,
        delete_version_after: duration::format(Duration::from_nanos(settings.delete_version_after)),
    })
}

fn write_config(cx: &Context<'_>, config: Config) -> Result<(), Error> {
    let old = settings(cx)?;
    let settings = Settings {
        max_versions: config.max_versions.unwrap_or(old.max_versions),
        cas_required: config.cas_required.unwrap_or(old.cas_required),
        metadata_cas_required: config.metadata_cas_required.unwrap_or(old.metadata_cas_required),
        delete_version_after: config.delete_version_after.map_or(old.delete_version_after, nanos),
    };
    cx.view.write("config", &settings)
}

fn exists(cx: &Context<'_>, input: &Input) -> Result<bool, Error> {
    Ok(History::load(cx, input.part("path"))?.is_some())
}

/// A version, and its value unless it is deleted; what to answer with otherwise.
fn version(cx: &Context<'_>, path: &str, number: u64) -> Result<(Json, Option<Json>), Error> {
    let history = History::load(cx, path)?.ok_or(Error::NotFound)?;
    let number = if number == 0 { history.current } else { number };
    let state = history.versions.get(&number).ok_or(Error::NotFound)?;
    let value = if state.is_readable(cx.now) {
        // The history says that it is there: if it is not, somebody has just destroyed it, and this read starts again.
        Some(cx.view.read(&value_name(path, number))?.ok_or(Error::Conflict)?)
    } else {
        None
    };
    Ok((Json::Object(framework::Fields::emit(describe(&history, state, number))), value))
}

fn describe(history: &History, state: &VersionState, number: u64) -> VersionAnswer {
    VersionAnswer {
        created_time: state.created().to_string(),
        custom_metadata: custom(history),
        deletion_time: state.deletion_time(),
        destroyed: state.destroyed,
        version: number,
    }
}

fn custom(history: &History) -> Json {
    match &history.custom {
        None => Json::Null,
        Some(map) => Json::Object(map.iter().map(|(k, v)| (k.clone(), Json::String(v.clone()))).collect()),
    }
}

fn read(cx: &Context<'_>, read: Read) -> Result<Reply<Secret>, Error> {
    let (metadata, value) = version(cx, &read.path, read.version)?;
    Ok(match value {
        Some(data) => Reply::new(Secret { data, metadata }),
        None => Reply::new(Secret { data: Json::Null, metadata }).with_status(404),
    })
}

/// The version that a write says it replaces.
fn check_and_set(options: Option<&Map<String, Json>>) -> Result<Option<u64>, Error> {
    let Some(cas) = options.and_then(|options| options.get("cas")) else { return Ok(None) };
    let number = match cas {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| Error::field("options", "error parsing check-and-set parameter"))
}

fn check_version(history: &History, settings: &Settings, cas: Option<u64>) -> Result<(), Error> {
    match cas {
        None if settings.cas_required || history.cas_required => {
            Err(Error::field("options", "check-and-set parameter required for this call"))
        }
        Some(cas) if cas != history.current => {
            Err(Error::field("options", "check-and-set parameter did not match the current version"))
        }
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), Error> {
    if path.is_empty() || path.ends_with('/') {
        return Err(Error::field("path", "cannot write to a path ending in '/'"));
    }
    Ok(())
}

fn write(cx: &Context<'_>, write: Write) -> Result<VersionAnswer, Error> {
    check_path(&write.path)?;
    let data = match write.data {
        Some(data @ (Json::Object(_) | Json::Null)) => data,
        Some(_) => return Err(Error::field("data", "error converting input for field \"data\": expected an object")),
        None => return Err(Error::field("data", "no data provided")),
    };
    let settings = settings(cx)?;
    let mut history = History::load_or_new(cx, &write.path)?;
    check_version(&history, &settings, check_and_set(write.options.as_ref())?)?;
    add(cx, &write.path, &mut history, &settings, &data)
}

fn add(
    cx: &Context<'_>,
    path: &str,
    history: &mut History,
    settings: &Settings,
    data: &Json,
) -> Result<VersionAnswer, Error> {
    let number = history.add(cx, path, settings, serde_json::to_vec(data).map_err(Error::internal)?)?;
    history.save(cx, path)?;
    let state = history.versions.get(&number).copied().unwrap_or_default();
    Ok(describe(history, &state, number))
}

fn patch(cx: &Context<'_>, write: Write) -> Result<VersionAnswer, Error> {
    check_path(&write.path)?;
    let changes = write.data.ok_or_else(|| Error::field("data", "no data provided"))?;
    if !changes.is_object() {
        return Err(Error::field("data", "error converting input for field \"data\": expected an object"));
    }
    let settings = settings(cx)?;
    let mut history = History::load(cx, &write.path)?.ok_or(Error::NotFound)?;
    let (_, value) = version(cx, &write.path, 0)?;
    let mut value = value.ok_or(Error::NotFound)?;
    check_version(&history, &settings, check_and_set(write.options.as_ref())?)?;
    merge(&mut value, changes);
    add(cx, &write.path, &mut history, &settings, &value)
}

/// RFC 7396, section 2.
fn merge(target: &mut Json, patch: Json) {
    let Json::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Json::Object(Map::new());
    }
    if let Json::Object(map) = target {
        for (name, change) in changes {
            if change.is_null() {
                map.remove(&name);
            } else {
                merge(map.entry(name).or_insert(Json::Null), change);
            }
        }
    }
}

fn delete_current(cx: &Context<'_>, at: At) -> Result<(), Error> {
    let Some(mut history) = History::load(cx, &at.path)? else { return Ok(()) };
    let current = history.current;
    match history.versions.get_mut(&current) {
        Some(state) => state.delete(cx.now),
        None => return Ok(()),
    }
    history.save(cx, &at.path)
}

/// Changes the named versions that exist.
fn change(
    cx: &Context<'_>,
    versions: &Versions,
    mut each: impl FnMut(u64, &mut VersionState) -> Result<(), Error>,
) -> Result<(), Error> {
    if versions.versions.is_empty() {
        return Err(Error::field("versions", "No version number provided"));
    }
    let numbers = versions.versions.iter().map(|text| {
        text.parse::<u64>()
            .map_err(|_| Error::field("versions", "error converting input for field \"versions\": expected numbers"))
    });
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let Some(mut history) = History::load(cx, &versions.path)? else { return Ok(()) };
    for number in numbers {
        if let Some(state) = history.versions.get_mut(&number) {
            each(number, state)?;
        }
    }
    history.save(cx, &versions.path)
}

fn delete(cx: &Context<'_>, versions: Versions) -> Result<(), Error> {
    change(cx, &versions, |_, state| {
        state.delete(cx.now);
        Ok(())
    })
}

fn undelete(cx: &Context<'_>, versions: Versions) -> Result<(), Error> {
    change(cx, &versions, |_, state| {
        state.undelete();
        Ok(())
    })
}

fn destroy(cx: &Context<'_>, versions: Versions) -> Result<(), Error> {
    change(cx, &versions, |number, state| {
        state.destroyed = true;
        cx.view.delete(&value_name(&versions.path, number))
    })
}

fn subkeys(cx: &Context<'_>, read: Subkeys) -> Result<Reply<SubkeysAnswer>, Error> {
    let (metadata, value) = version(cx, &read.path, read.version)?;
    Ok(match value {
        Some(mut value) => {
            hollow(&mut value, if read.depth == 0 { u64::MAX } else { read.depth });
            Reply::new(SubkeysAnswer { subkeys: value, metadata })
        }
        None => Reply::new(SubkeysAnswer { subkeys: Json::Null, metadata }).with_status(404),
    })
}

/// Puts null for every value, and for everything below `depth`.
fn hollow(value: &mut Json, depth: u64) {
    match value {
        Json::Object(map) if depth > 0 && !map.is_empty() => {
            map.values_mut().for_each(|inner| hollow(inner, depth - 1))
        }
        other => *other = Json::Null,
    }
}

fn read_metadata(cx: &Context<'_>, at: At) -> Result<MetadataAnswer, Error> {
    if at.path.is_empty() || at.path.ends_with('/') {
        return Err(Error::NotFound);
    }
    History::load(cx, &at.path)?.map(metadata).ok_or(Error::NotFound)
}

fn metadata(history: History) -> MetadataAnswer {
    let versions = history.versions.iter().map(|(number, state)| {
        let mut answer = framework::Fields::emit(describe(&history, state, *number));
        answer.remove("custom_metadata");
        answer.remove("version");
        (number.to_string(), Json::Object(answer))
    });
    MetadataAnswer {
        cas_required: history.cas_required,
        created_time: history.created().to_string(),
        current_metadata_version: history.metadata_version,
        current_version: history.current,
        custom_metadata: custom(&history),
        delete_version_after: duration::format(Duration::from_nanos(history.delete_version_after)),
        max_versions: history.max_versions,
        metadata_cas_required: history.metadata_cas_required,
        oldest_version: history.oldest,
        updated_time: history.updated().to_string(),
        versions: versions.collect(),
    }
}

fn write_metadata(cx: &Context<'_>, wanted: Metadata) -> Result<(), Error> {
    check_path(&wanted.path)?;
    let history = History::load_or_new(cx, &wanted.path)?;
    configure(cx, wanted, history, false)
}

fn patch_metadata(cx: &Context<'_>, wanted: Metadata) -> Result<(), Error> {
    check_path(&wanted.path)?;
    let history = History::load(cx, &wanted.path)?.ok_or(Error::NotFound)?;
    configure(cx, wanted, history, true)
}

fn configure(cx: &Context<'_>, wanted: Metadata, mut history: History, patch: bool) -> Result<(), Error> {
    match wanted.metadata_cas {
        None if history.metadata_cas_required || settings(cx)?.metadata_cas_required => {
            return Err(Error::field("metadata_cas", "metadata check-and-set parameter required for this call"));
        }
        Some(cas) if cas != history.metadata_version => {
            return Err(Error::field(
                "metadata_cas",
                "metadata check-and-set parameter did not match the current version",
            ));
        }
        _ => {}
    }
    history.max_versions = wanted.max_versions.unwrap_or(history.max_versions);
    history.cas_required = wanted.cas_required.unwrap_or(history.cas_required);
    history.metadata_cas_required = wanted.metadata_cas_required.unwrap_or(history.metadata_cas_required);
    history.delete_version_after = wanted.delete_version_after.map_or(history.delete_version_after, nanos);
    if let Some(given) = wanted.custom_metadata {
        let mut all = match &history.custom {
            Some(_) if patch => custom(&history),
            _ => Json::Object(Map::new()),
        };
        merge(&mut all, given);
        history.custom = Some(check_custom(all)?);
    }
    history.metadata_version += 1;
    history.save(cx, &wanted.path)
}

/// Vault's limits on a secret's own metadata.
fn check_custom(custom: Json) -> Result<BTreeMap<String, String>, Error> {
    let refuse = |why: String| Error::field("custom_metadata", format!("custom_metadata validation failed: {why}"));
    let map =
        <BTreeMap<String, String> as framework::FieldType>::parse(custom).map_err(|why| refuse(why.to_owned()))?;
    if map.len() > 64 {
        return Err(refuse(format!("payload must contain at most 64 keys, provided {}", map.len())));
    }
    for (key, value) in &map {
        if key.is_empty() || key.len() > 128 {
            return Err(refuse(format!("length of key {key:?} is {} but must be 0 < len(key) <= 128", key.len())));
        }
        if value.is_empty() || value.len() > 512 {
            return Err(refuse(format!(
                "length of value for key {key:?} is {} but must be 0 < len(value) <= 512",
                value.len()
            )));
        }
    }
    Ok(map)
}

fn delete_metadata(cx: &Context<'_>, at: At) -> Result<(), Error> {
    let Some(history) = History::load(cx, &at.path)? else { return Ok(()) };
    for number in history.versions.keys() {
        cx.view.delete(&value_name(&at.path, *number))?;
    }
    cx.view.delete(&format!("metadata/{}", at.path))
}

fn list(cx: &Context<'_>, (folder, paging): (Folder, Paging)) -> Result<Names, Error> {
    Names::below(&cx.view, &format!("metadata/{}", folder.path), paging)
}

fn list_detailed(cx: &Context<'_>, (folder, paging): (Folder, Paging)) -> Result<DetailedNames, Error> {
    let Names { keys } = Names::below(&cx.view, &format!("metadata/{}", folder.path), paging)?;
    let folder = folder.path.trim_end_matches('/');
    let mut key_info = Map::new();
    for name in keys.iter().filter(|name| !name.ends_with('/')) {
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if let Some(history) = History::load(cx, &path)? {
            key_info.insert(name.clone(), Json::Object(framework::Fields::emit(metadata(history))));
        }
    }
    Ok(DetailedNames { keys, key_info })
}
