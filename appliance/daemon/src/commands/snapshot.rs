//! `holdfast operator snapshot …` and `operator journal …` where they need no server.

use std::fs::File;
use std::path::{Path, PathBuf};

use cli::{Offline, Shown};
use framework::Timestamp;
use serde_json::{Value, json};
use storage::archive::{self, Contents};
use storage::{Moment, Target};

use crate::{config, log};

/// Snapshots and data directories of this machine.
pub(crate) const OFFLINE: Offline = Offline { inspect, restore, span, rewind, undo };

fn inspect(snapshot: &Path) -> Shown {
    archive::inspect(&mut open(snapshot)?).map(|contents| held(&contents)).map_err(said)
}

fn restore(config: &[PathBuf], snapshot: &Path) -> Shown {
    let (storage, path) = data(config)?;
    let restored = storage::restore(storage.kind, &path, storage.options(), &mut open(snapshot)?);
    restored.map(|contents| held(&contents)).map_err(said)
}

fn span(config: &[PathBuf]) -> Shown {
    let span = storage::span(&data(config)?.1).map_err(said)?;
    Ok(json!({
        "first_record": span.first.sequence,
        "first_time": time(span.first),
        "last_record": span.last.sequence,
        "last_time": time(span.last),
    }))
}

fn rewind(config: &[PathBuf], at: &str) -> Shown {
    let target = match at.parse() {
        Ok(sequence) => Target::Sequence(sequence),
        Err(_) => Target::Time(Timestamp::parse(at).ok_or_else(|| {
            format!("-at={at} is neither the number of a record nor a time such as 2026-11-24T20:15:00Z")
        })?),
    };
    let (storage, path) = data(config)?;
    let moment = storage::rewind(storage.kind, &path, storage.options(), target).map_err(said)?;
    Ok(json!({"record": moment.sequence, "time": time(moment)}))
}

fn undo(config: &[PathBuf]) -> Shown {
    let (_, path) = data(config)?;
    match storage::undo(&path).map_err(said)? {
        true => Ok(json!({"undone": true})),
        false => Err("there is nothing to put back: no restore or replay has replaced anything here".to_owned()),
    }
}

/// Where the data lies that a configuration names.
fn data(config: &[PathBuf]) -> Result<(config::Storage, PathBuf), String> {
    let storage = config::load(config).map_err(said)?.storage;
    log::start(tracing::Level::WARN, false);
    let path = storage.path.clone().ok_or("the configuration's storage keeps nothing on a disk")?;
    Ok((storage, path))
}

fn open(snapshot: &Path) -> Result<File, String> {
    File::open(snapshot).map_err(|error| format!("{}: {error}", snapshot.display()))
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

fn time(moment: Moment) -> Value {
    moment.time.map_or(Value::Null, |time| time.to_string().into())
}

fn held(contents: &Contents) -> Value {
    json!({
        "id": format!("holdfast-{}", contents.meta.sequence),
        "version": archive::VERSION,
        "sequence": contents.meta.sequence,
        "created": contents.meta.created.to_string(),
        "identity": contents.meta.identity,
        "records": contents.records,
        "transactions": contents.transactions,
        "bytes": contents.bytes,
    })
}
