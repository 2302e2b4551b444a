//! Whether sled's files may be opened at all.
//!
//! Over files that a power cut has torn sled may not only panic: it may turn in circles and take memory until the process is
//! killed (seen: 200 MB a second). So only those files are opened that were closed in good order, or that a killed
//! process left while the machine stayed up: then the kernel has all that was written. A file beside the folder tells.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::IndexError;

const CLOSED: &str = "closed";
const OPENING: &str = "opening";

/// The folder of a sled index and what is known of its files.
#[derive(Clone)]
pub(crate) struct SledFiles {
    pub(crate) folder: PathBuf,
    /// Names the time since the machine was started.
    pub(crate) life: String,
}

impl SledFiles {
    fn note(&self) -> PathBuf {
        self.folder.with_extension("state")
    }

    /// Whether there is something sound to open, or nothing at all.
    pub(crate) fn may_be_opened(&self) -> Result<(), IndexError> {
        if !self.folder.exists() {
            return Ok(());
        }
        match fs::read_to_string(self.note()).unwrap_or_default().as_str() {
            CLOSED => Ok(()),
            OPENING => Err(IndexError::Stale("the process ended while it was opened".to_owned())),
            open if !self.life.is_empty() && open == self.open() => Ok(()),
            _ => Err(IndexError::Stale("the machine went down while it was open".to_owned())),
        }
    }

    fn open(&self) -> String {
        format!("open since {}", self.life)
    }

    /// From here on the files may be changed by sled.
    pub(crate) fn set_opening(&self) -> io::Result<()> {
        self.set(OPENING)
    }

    /// The files are sound, and sled works on them.
    pub(crate) fn set_open(&self) -> io::Result<()> {
        self.set(&self.open())
    }

    /// sled has let go of the files. Makes them durable first.
    pub(crate) fn set_closed(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(&self.folder)?.sync_all()?;
        self.set(CLOSED)
    }

    fn set(&self, text: &str) -> io::Result<()> {
        let temporary = self.folder.with_extension("state.new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.note())?;
        self.folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// Puts the files of another index, if there are any, in place of none. They are opened only if they were closed in
    /// good order.
    pub(crate) fn take_over(&self, other: &Self) -> io::Result<()> {
        let moved = |from: &Path, to: &Path| match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        moved(&other.folder, &self.folder)?;
        moved(&other.note(), &self.note())
    }

    /// Makes room for a new index. A damaged one is kept, in place of one that was kept before.
    pub(crate) fn set_aside(&self, keep: bool) -> io::Result<()> {
        let broken = self.folder.with_extension("sled.broken");
        if keep && self.folder.exists() {
            remove(&broken)?;
            fs::rename(&self.folder, &broken)
        } else {
            remove(&self.folder)
        }
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
