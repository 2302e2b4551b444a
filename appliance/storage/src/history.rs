//! What no start needs any more and is kept all the same, so that the store can be made again as it was at a time that is
//! not long past: journal files that a snapshot covers, and the snapshots that newer ones have replaced.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use framework::Timestamp;

use crate::disk::{Disk, TEMPORARY};
use crate::log::segment::{self, Segment};
use crate::snapshot::{self, Snapshot};
use crate::{OpenError, Options};

pub(crate) const FOLDER: &str = "history";

/// What becomes of a file that no start needs any more.
#[derive(Clone, Copy)]
pub(crate) enum Retired {
    Removed,
    Kept,
}

impl Retired {
    pub(crate) fn by(options: &Options) -> Self {
        if options.journal_retention > Duration::ZERO { Self::Kept } else { Self::Removed }
    }

    /// Takes `name`, a folder's file, away from where it counts.
    pub(crate) fn dispose(self, disk: &dyn Disk, name: &str) -> io::Result<()> {
        match (self, name.rsplit_once('/')) {
            (Self::Kept, Some((_, file))) if !name.ends_with(TEMPORARY) => {
                disk.rename(name, &format!("{FOLDER}/{file}"))
            }
            _ => disk.remove(name),
        }
    }
}

/// Makes the folder, and removes from it what the store will not be made from any more. Without retention, all of it.
pub(crate) fn tidy(disk: &dyn Disk, options: &Options) -> Result<(), OpenError> {
    let io = |error| OpenError::io("tidying the folder history")(error);
    if let Retired::Removed = Retired::by(options) {
        return disk.remove_folder(FOLDER).map_err(io);
    }
    disk.create_folder(FOLDER).map_err(io)?;
    let retention = i64::try_from(options.journal_retention.as_nanos()).unwrap_or(i64::MAX);
    let oldest = Timestamp::from_nanos(options.clock.now().nanos().saturating_sub(retention));
    prune(disk, oldest)
}

/// Removes what is not needed for any moment from `oldest` on.
fn prune(disk: &dyn Disk, oldest: Timestamp) -> Result<(), OpenError> {
    let io = |error| OpenError::io("removing old history")(error);
    let segments = segments(disk, FOLDER)?;
    let begins_before = |segment: &Arc<Segment>| {
        let began = segment.first_time().unwrap_or_default();
        began.is_none_or(|began| began <= oldest)
    };
    // What was written at `oldest` or later stands in this file or behind it.
    let after = segments.partition_point(begins_before);
    let Some(from) = after.checked_sub(1).and_then(|at| segments.get(at)).map(|segment| segment.first) else {
        return Ok(());
    };
    let snapshots = snapshots(disk, FOLDER)?;
    let Some(base) = snapshots.iter().rev().find(|snapshot| snapshot.reach.sequence <= from) else { return Ok(()) };
    for old in snapshots.iter().filter(|old| old.base.sequence < base.base.sequence) {
        disk.remove(&old.name).map_err(io)?;
    }
    for pair in segments.windows(2) {
        if let [old, next] = pair
            && next.first <= base.base.sequence + 1
        {
            disk.remove(&old.name).map_err(io)?;
        }
    }
    disk.sync_folder(FOLDER).map_err(io)
}

/// The journal's files in a folder, in order; none if it is not there.
pub(crate) fn segments(disk: &dyn Disk, folder: &'static str) -> Result<Vec<Arc<Segment>>, OpenError> {
    let mut names: Vec<_> =
        list(disk, folder)?.iter().filter_map(|name| Some((segment::parse(name)?, name.clone()))).collect();
    names.sort();
    let open =
        |((first, generation), name): &((u64, u32), String)| Segment::open(disk, folder, name, *first, *generation);
    names.iter().map(|name| Ok(Arc::new(open(name)?))).collect()
}

/// The snapshots in a folder, in order; none if it is not there.
pub(crate) fn snapshots(disk: &dyn Disk, folder: &str) -> Result<Vec<Snapshot>, OpenError> {
    let mut names = list(disk, folder)?;
    names.retain(|name| snapshot::is_name(name));
    names.sort();
    names.iter().map(|name| Ok(Snapshot::open(disk, &format!("{folder}/{name}"))?)).collect()
}

fn list(disk: &dyn Disk, folder: &str) -> Result<Vec<String>, OpenError> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(OpenError::io(format!("listing the folder {folder}"))),
    }
}
