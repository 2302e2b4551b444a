//! Where lines go: a file that is appended to, standard output, or nowhere.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use framework::Timestamp;

/// How long an open file is taken to be the one at its path. What is written to a file within this time of its deletion is
/// gone, as is everything that was written to it before.
const UNWATCHED: i64 = 10_000_000;

/// A destination of lines. Each line is one write(2) in append mode, so lines of many threads do not mix and no lock is held.
pub(crate) enum Target {
    File(Appended),
    Stdout,
    Discard,
}

/// A file by its path.
pub(crate) struct Appended {
    path: PathBuf,
    /// Permissions it is given; 0 leaves them alone.
    mode: u32,
    open: RwLock<Option<Arc<Opened>>>,
}

struct Opened {
    file: File,
    /// When the path was last looked at, in nanoseconds since 1970.
    looked: AtomicI64,
    /// Device and inode; `None` where it is no regular file, which is not watched.
    id: Option<(u64, u64)>,
    /// The last line is incomplete.
    torn: AtomicBool,
}

impl Target {
    pub(crate) fn new(path: &str, mode: u32) -> Self {
        match path {
            "stdout" => Self::Stdout,
            "discard" => Self::Discard,
            _ => Self::File(Appended { path: PathBuf::from(path), mode, open: RwLock::new(None) }),
        }
    }

    /// Whether lines could be written now. Creates the file, and the folders above it, where they are missing.
    pub(crate) fn probe(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.open().map(drop),
            Self::Stdout | Self::Discard => Ok(()),
        }
    }

    pub(crate) fn write(&self, now: Timestamp, line: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(now, &line()),
            Self::Stdout => whole(&File::from(io::stdout().as_fd().try_clone_to_owned()?), &line()),
            Self::Discard => Ok(()),
        }
    }

    /// Opens the file anew at the next line, as after a rotation.
    pub(crate) fn reopen(&self) {
        if let Self::File(file) = self {
            file.open.write().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

impl Appended {
    fn write(&self, now: Timestamp, line: &[u8]) -> io::Result<()> {
        let opened = self.current(now)?;
        // After an incomplete line a new one begins, so that only one is lost to a reader.
        let torn = opened.torn.load(Ordering::Relaxed) && opened.torn.swap(false, Ordering::Relaxed);
        let result = if torn { whole(&opened.file, &[b"\n", line].concat()) } else { whole(&opened.file, line) };
        if result.is_err() {
            opened.torn.store(true, Ordering::Relaxed);
        }
        result
    }

    /// The open file, if it is still the one at its path: after a rotation or a deletion the path is opened anew.
    fn current(&self, now: Timestamp) -> io::Result<Arc<Opened>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        match open {
            Some(open) if self.is_at_path(&open, now) => Ok(open),
            _ => {
                let fresh = Arc::new(self.open()?);
                *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
                Ok(fresh)
            }
        }
    }

    fn is_at_path(&self, open: &Opened, now: Timestamp) -> bool {
        // A clock that was set back makes it look at once.
        if (0..UNWATCHED).contains(&now.nanos().saturating_sub(open.looked.load(Ordering::Relaxed))) {
            return true;
        }
        open.looked.store(now.nanos(), Ordering::Relaxed);
        match (open.id, fs::metadata(&self.path)) {
            (None, _) => true,
            (Some(id), Ok(there)) => id == (there.dev(), there.ino()),
            // Where the path cannot be looked at, the open file is better than none.
            (Some(_), Err(error)) => error.kind() != ErrorKind::NotFound,
        }
    }

    fn open(&self) -> io::Result<Opened> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mode = if self.mode == 0 { 0o600 } else { self.mode };
        let file = OpenOptions::new().read(true).append(true).create(true).mode(mode).open(&self.path)?;
        let there = file.metadata()?;
        let mut last = [b'\n'];
        if there.is_file() {
            if self.mode != 0 && there.permissions().mode() & 0o7777 != self.mode {
                file.set_permissions(Permissions::from_mode(self.mode))?;
            }
            if there.len() > 0 {
                file.read_exact_at(&mut last, there.len() - 1)?;
            }
        }
        let id = there.is_file().then(|| (there.dev(), there.ino()));
        Ok(Opened { file, looked: AtomicI64::new(0), id, torn: AtomicBool::new(last != [b'\n']) })
    }
}

/// One write of everything. A part only is a failure: writing the rest later would mix it with other lines.
fn whole(mut file: &File, line: &[u8]) -> io::Result<()> {
    loop {
        match file.write(line) {
            Ok(count) if count == line.len() => return Ok(()),
            Ok(_) => return Err(io::Error::new(ErrorKind::WriteZero, "only a part of the record was written")),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
