//! The data directory: one server at a time, one format, one identity.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::OpenError;
use crate::disk::{Disk, read_file, write_file};
use crate::log::Position;
use crate::record::sha256;
use crate::{bytes::Reader, snapshot};

/// First line of the format file.
pub(crate) const FORMAT: &str = "holdfast data 1";
pub(crate) const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
/// Where the journal stood when a server last ended in good order: a journal that was cut off later is noticed by it.
pub(crate) const END_FILE: &str = "end";
pub(crate) const JOURNAL: &str = "journal";

/// The directory belongs to this process for as long as this lives; the kernel lets go when the process ends.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone is not enough while a child that was just forked still has a copy of the descriptor.
        let _ = self.0.unlock();
    }
}

/// Takes the directory for this process.
pub(crate) fn lock(root: &Path) -> Result<Lock, OpenError> {
    let path = root.join(LOCK_FILE);
    let failed = |source| OpenError::Io { doing: format!("locking {}", path.display()), source };
    let mode = std::fs::metadata(root).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            // For the message alone; on a full disk it says nothing.
            let _ = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            Ok(Lock(file))
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let holder = file.read_to_string(&mut holder).ok().map(|_| holder).filter(|holder| !holder.is_empty());
            Err(OpenError::InUse { folder: root.display().to_string(), holder })
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Checks the format, or makes a new data directory of it. What is returned stands before the journal's first record and
/// differs between data directories, so that their journals cannot be mixed up.
pub(crate) fn prepare(disk: &dyn Disk) -> Result<Position, OpenError> {
    match identity(disk)? {
        Some(identity) => Ok(genesis(&identity)),
        None => {
            let mut identity = [0; 16];
            hardening::random_bytes(&mut identity);
            create(disk, &framework::hex::encode(&identity))
        }
    }
}

/// The name that the directory was given when it was made: 32 hexadecimal digits. `None` if it is not made yet.
pub(crate) fn identity(disk: &dyn Disk) -> Result<Option<String>, OpenError> {
    let bytes = match read_file(disk, FORMAT_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(OpenError::io("reading the file \"format\""))?,
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = text.lines();
    let format = lines.next().unwrap_or_default();
    if format != FORMAT {
        return Err(OpenError::Format { found: format.to_owned() });
    }
    let identity = lines.next().unwrap_or_default();
    if identity.len() != 32 || lines.next().is_some() {
        return Err(OpenError::NotOurs { what: "its file \"format\" is damaged".to_owned() });
    }
    Ok(Some(identity.to_owned()))
}

/// Makes an empty directory of that identity.
pub(crate) fn create(disk: &dyn Disk, identity: &str) -> Result<Position, OpenError> {
    disk.create_folder(JOURNAL).map_err(OpenError::io("making the folder journal"))?;
    disk.create_folder(snapshot::FOLDER).map_err(OpenError::io("making the folder snapshot"))?;
    for folder in [JOURNAL, snapshot::FOLDER] {
        let names = disk.list(folder).map_err(OpenError::io(format!("listing the folder {folder}")))?;
        if !names.is_empty() {
            let what = format!("it has a {folder}, but no file \"format\"");
            return Err(OpenError::NotOurs { what });
        }
    }
    let text = format!("{FORMAT}\n{identity}\n");
    write_file(disk, "", FORMAT_FILE, text.as_bytes()).map_err(OpenError::io("writing the file \"format\""))?;
    Ok(genesis(identity))
}

fn genesis(identity: &str) -> Position {
    Position { sequence: 0, hash: sha256(format!("holdfast journal of {identity}").as_bytes()) }
}

/// Where the journal stood when a server last ended in good order. It has never been shorter since.
pub(crate) fn read_end(disk: &dyn Disk) -> io::Result<Option<Position>> {
    let bytes = match read_file(disk, END_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let mut reader = Reader::new(&bytes);
    let position = reader.u64().zip(reader.array()).map(|(sequence, hash)| Position { sequence, hash });
    let sound = reader.array() == bytes.get(..40).map(sha256);
    position.filter(|_| sound).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
}

/// Says where the journal stands as a server ends in good order.
pub(crate) fn write_end(disk: &dyn Disk, Position { sequence, hash }: Position) -> io::Result<()> {
    let position = [sequence.to_le_bytes().as_slice(), &hash].concat();
    write_file(disk, "", END_FILE, &[position.as_slice(), &sha256(&position)].concat())
}
