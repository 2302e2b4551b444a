//! Putting a data directory that was made beside the live one in its place, so that a power cut at any moment leaves the one
//! or the other.
//!
//! A file, [`DECIDED`], is the one moment: until it is durable the live directory counts, from then on the candidate. What
//! follows is moving folders about, in steps, each done again from its beginning as often as it is interrupted:
//!
//! ```text
//! DECIDED says "back":   replaced/ ─▶ incoming/                                   (only where the last exchange is undone)
//! DECIDED says "clear":  each of journal, snapshot, history, format, end ─▶ replaced/ · remove the index, which is made again
//! DECIDED says "fill":   each of them in incoming/ ─▶ its place · remove DECIDED
//! ```

use std::io;

use crate::archive::SPOOL;
use crate::disk::{Disk, is_there, read_file, remove_if_there, write_file};
use crate::folder::{END_FILE, FORMAT_FILE, JOURNAL};
use crate::history;
use crate::index::{REDB_FILE, RedbIndex, SledFiles};
use crate::scratch::{SCRATCH, sled_of_candidate};
use crate::snapshot;

/// Says that the candidate counts.
const DECIDED: &str = "restore";
/// Where the data goes that was there before. It stays until the next restore begins.
const REPLACED: &str = "replaced";
/// What the data is; all that moves.
const PARTS: [&str; 5] = [JOURNAL, snapshot::FOLDER, history::FOLDER, FORMAT_FILE, END_FILE];
const BACK: &[u8] = b"back\n";
const CLEAR: &[u8] = b"clear\n";
const FILL: &[u8] = b"fill\n";

/// From here on the candidate counts. It must be whole and durable.
pub(crate) fn decide(disk: &dyn Disk) -> io::Result<()> {
    disk.remove_folder(REPLACED)?;
    disk.create_folder(REPLACED)?;
    disk.sync_folder(SCRATCH)?;
    disk.sync_folder("")?;
    write_file(disk, "", DECIDED, CLEAR)
}

/// From here on what was replaced last counts again, and what counts now is what was replaced. Whether there is such.
pub(crate) fn decide_back(disk: &dyn Disk) -> io::Result<bool> {
    let there = is_there(disk, REPLACED)? && !disk.list(REPLACED)?.is_empty();
    if there {
        disk.remove_folder(SCRATCH)?;
        disk.sync_folder("")?;
        write_file(disk, "", DECIDED, BACK)?;
    }
    Ok(there)
}

/// Finishes what was decided, or clears away what was not. Whether there is other data now.
pub(crate) fn finish(disk: &dyn Disk, sled: Option<&SledFiles>) -> io::Result<bool> {
    let mut step = match read_file(disk, DECIDED) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.remove_folder(SCRATCH)?;
            disk.remove_folder(SPOOL)?;
            return Ok(false);
        }
        step => step?,
    };
    if step == BACK {
        if !is_there(disk, SCRATCH)? {
            disk.rename(REPLACED, SCRATCH)?;
        }
        disk.sync_folder("")?;
        write_file(disk, "", DECIDED, CLEAR)?;
        CLEAR.clone_into(&mut step);
    }
    if step == CLEAR {
        clear_live(disk, sled)?;
        write_file(disk, "", DECIDED, FILL)?;
    }
    let arrived = disk.list(SCRATCH)?;
    // The candidate's index is as good as a new one.
    for part in PARTS.into_iter().chain([REDB_FILE]).filter(|part| arrived.iter().any(|name| name == part)) {
        disk.rename(&format!("{SCRATCH}/{part}"), part)?;
    }
    if let Some(sled) = sled {
        sled.take_over(&sled_of_candidate(sled))?;
    }
    disk.sync_folder(SCRATCH)?;
    disk.sync_folder("")?;
    remove_if_there(disk, DECIDED)?;
    disk.sync_folder("")?;
    disk.remove_folder(SCRATCH)?;
    Ok(true)
}

fn clear_live(disk: &dyn Disk, sled: Option<&SledFiles>) -> io::Result<()> {
    RedbIndex::set_aside(disk, false)?;
    if let Some(sled) = sled {
        sled.set_aside(false)?;
    }
    disk.create_folder(REPLACED)?;
    let there = disk.list("")?;
    for part in PARTS.into_iter().filter(|part| there.iter().any(|name| name == part)) {
        disk.rename(part, &format!("{REPLACED}/{part}"))?;
    }
    disk.sync_folder(REPLACED)?;
    disk.sync_folder("")
}

/// Removes a candidate that was not promoted.
pub(crate) fn clear(disk: &dyn Disk) -> io::Result<()> {
    if is_there(disk, DECIDED)? { Ok(()) } else { disk.remove_folder(SCRATCH) }
}

/// Removes what the last restore replaced.
pub(crate) fn forget_replaced(disk: &dyn Disk) -> io::Result<()> {
    disk.remove_folder(REPLACED)
}
