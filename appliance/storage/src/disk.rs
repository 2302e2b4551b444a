//! The few things storage asks of a file system, so that a test can put a simulated disk in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of files. Names are relative, with `/` between folders; a missing file is [`io::ErrorKind::NotFound`].
///
/// What is written is only certain to survive a power cut once the file was synced; a new, renamed or removed name only
/// once its folder was synced with [`Disk::sync_folder`].
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing. With `create` it must not exist yet; without, it must.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, replacing a file that had it; or a folder, whose new name must be free.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes a folder (readable by the owner alone) unless it is there.
    fn create_folder(&self, name: &str) -> io::Result<()>;
    /// Removes a folder, if it is there, and all that is in it.
    fn remove_folder(&self, name: &str) -> io::Result<()>;
    /// The names of the files and folders in a folder (`""` for the root), in no particular order.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Makes names created, renamed or removed in the folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Names the time since the power came on: another text after every time it was off. Empty if that is not known.
    fn life(&self) -> String;
    /// How many syncs of files and folders were asked for since the start.
    fn syncs(&self) -> u64;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Fills `into` from `offset` on; an error of kind [`io::ErrorKind::UnexpectedEof`] if the file is shorter.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`; on an error any part of it may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) to `length`.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the machine's file system.
pub struct RealDisk {
    root: PathBuf,
    syncs: Arc<AtomicU64>,
}

struct RealFile {
    file: File,
    syncs: Arc<AtomicU64>,
}

impl RealDisk {
    /// Takes the folder `root`, made with mode 0700 if it is not there, and with its parents' names synced.
    pub fn new(root: &Path) -> io::Result<Self> {
        if !root.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
            if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Self { root: root.to_owned(), syncs: Arc::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }
}

impl Disk for RealDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(create).mode(0o600).open(self.path(name))?;
        Ok(Arc::new(RealFile { file, syncs: self.syncs.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn remove_folder(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        fs::read_dir(self.path(folder))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        File::open(self.path(folder))?.sync_all()
    }

    fn life(&self) -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        // fdatasync: content and the length needed to read it, not the times.
        self.file.sync_data()
    }
}

/// A folder of a disk, as a disk of its own.
pub(crate) struct Within {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: &'static str,
}

impl Within {
    fn name(&self, name: &str) -> String {
        if name.is_empty() { self.folder.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

impl Disk for Within {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.name(name), create)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.name(from), &self.name(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.name(name))
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        self.disk.create_folder(&self.name(name))
    }

    fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.disk.remove_folder(&self.name(name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.disk.list(&self.name(folder))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.sync_folder(&self.name(folder))
    }

    fn life(&self) -> String {
        self.disk.life()
    }

    fn syncs(&self) -> u64 {
        self.disk.syncs()
    }
}

/// A file read from its beginning to the end it had at first.
pub(crate) struct FileReader {
    file: Arc<dyn DiskFile>,
    offset: u64,
    length: u64,
}

impl FileReader {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let length = file.length()?;
        Ok(Self { file, offset: 0, length })
    }
}

impl Read for FileReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.offset).unwrap_or(usize::MAX);
        let count = left.min(into.len());
        self.file.read_at(self.offset, into.get_mut(..count).unwrap_or_default())?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Whether there is a file or folder of this name in the root.
pub(crate) fn is_there(disk: &dyn Disk, name: &str) -> io::Result<bool> {
    Ok(disk.list("")?.iter().any(|found| found == name))
}

/// Reads a whole small file.
pub(crate) fn read_file(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name, false)?;
    let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts a small file in place so that after a power cut either all of it or nothing of it is there.
pub(crate) fn write_file(disk: &dyn Disk, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}{TEMPORARY}");
    remove_if_there(disk, &temporary)?;
    let file = disk.open(&temporary, true)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync_folder(folder)
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Ending of files that do not count until they are renamed.
pub(crate) const TEMPORARY: &str = ".new";

/// Whether a write failed for want of space; then nothing is wrong with the disk itself.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
