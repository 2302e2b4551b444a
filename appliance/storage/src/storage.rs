//! Opening a data directory, and the handle on it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use framework::{
    Batch, Ciphertext, Clock, Error, Key, Page, Prefix, Record, Store, SystemClock, Version, Versioned, Walk,
};

use crate::OpenError;
use crate::archive::{Contents, Refused};
use crate::committer::{Committer, Counters, Verifying};
use crate::disk::{Disk, RealDisk};
use crate::exchange;
use crate::folder::{self, Lock};
use crate::history::{self, Retired};
use crate::index::{self, Index, IndexError, MemoryIndex, SledFiles};
use crate::keeper::Keeper;
use crate::log::{Log, MemoryLog, Position, SegmentLog};
use crate::queue::Queue;
use crate::restore::{Indexes, Restorer};
use crate::scratch;
use crate::slot::Slot;
use crate::snapshot::Snapshot;

/// How long a caller waits for its write before it is told that the disk does not answer.
const LONGEST_WRITE: Duration = Duration::from_secs(60);
const SLED_FOLDER: &str = "index.sled";
/// Most records of a page of a walk, and bytes after which it ends.
const PAGE: (usize, usize) = (256, 1 << 20);

/// What the index is kept in. The journal is the same under each: a data directory may be opened with another one, which
/// is then made from snapshot and journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// sled 0.34.7, with its durability not relied upon.
    Sled,
    /// redb.
    Redb,
    /// Nothing outlives the process, neither index nor journal.
    Memory,
}

/// How much is held where.
#[derive(Clone)]
pub struct Options {
    /// Memory for the index' own cache, in bytes.
    pub cache_bytes: usize,
    /// Memory for records that were read or written lately, in bytes.
    pub recent_bytes: usize,
    /// A journal file is followed by another once it is this large, in bytes.
    pub segment_bytes: u64,
    /// A snapshot is taken once the journal is this large (or as large as the last snapshot, if that is more), in bytes.
    pub snapshot_bytes: u64,
    /// The index is made durable every so many bytes of journal; a start after a crash replays at most about this much.
    pub checkpoint_bytes: u64,
    /// Writers that may wait; more are told [`Error::Busy`].
    pub waiting_writers: usize,
    /// For how long the store can be made again as it was: journal and snapshots of that time are kept.
    pub journal_retention: Duration,
    /// Where the time in the journal comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 48 << 20,
            recent_bytes: 48 << 20,
            segment_bytes: 64 << 20,
            snapshot_bytes: 256 << 20,
            checkpoint_bytes: 8 << 20,
            waiting_writers: 1024,
            journal_retention: Duration::ZERO,
            clock: Arc::new(SystemClock),
        }
    }
}

/// What an operator may want to know.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Sequence number of the last durable transaction.
    pub sequence: u64,
    /// Records held now.
    pub records: u64,
    /// Bytes of journal held now.
    pub journal_bytes: u64,
    /// Syncs of files and folders asked for since the start (sled's own background ones not counted).
    pub syncs: u64,
    /// Transactions written since the start.
    pub transactions: u64,
    /// Groups they were written in, each with one sync of the journal.
    pub groups: u64,
}

/// An open data directory. Dropping it closes it.
pub struct Storage {
    slot: Arc<Slot>,
    queue: Arc<Queue>,
    log: Arc<dyn Log>,
    /// `None` where nothing outlives the process.
    place: Option<Place>,
    counters: Arc<Counters>,
    held: Mutex<Held>,
}

/// Where and how a store is kept.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) sled: Option<PathBuf>,
    pub(crate) options: Options,
    copying: Arc<AtomicBool>,
}

/// One at a time: who copies the whole store, or replaces it. While it lasts, nothing is taken off the journal.
pub(crate) struct Turn(Arc<AtomicBool>);

impl Turn {
    /// It is nobody's turn any more.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Place {
    pub(crate) fn new(kind: Kind, disk: Arc<dyn Disk>, sled: Option<PathBuf>, options: Options) -> Self {
        Self { kind, disk, sled, options, copying: Arc::default() }
    }

    pub(crate) fn turn(&self) -> Result<Turn, Error> {
        if self.copying.swap(true, Ordering::AcqRel) {
            return Err(Error::Busy { reason: "another snapshot is being taken or restored" });
        }
        Ok(Turn(self.copying.clone()))
    }

    /// Puts in place what was decided to be.
    pub(crate) fn finish_exchange(&self) -> Result<bool, OpenError> {
        let finished = exchange::finish(self.disk.as_ref(), self.sled_files().as_ref());
        finished.map_err(OpenError::io("putting what was restored in place"))
    }

    fn sled_files(&self) -> Option<SledFiles> {
        self.sled.clone().map(|folder| SledFiles { folder, life: self.disk.life() })
    }
}

#[derive(Default)]
struct Held {
    committer: Option<JoinHandle<()>>,
    lock: Option<Lock>,
}

/// Opens the data directory `path`, made if it is not there, with mode 0700. `Kind::Memory` takes no path.
pub fn open(kind: Kind, path: Option<&Path>, options: Options) -> Result<Arc<Storage>, OpenError> {
    if kind == Kind::Memory {
        return memory(options);
    }
    let path = path.ok_or(OpenError::NoFolder)?;
    let disk = RealDisk::new(path).map_err(OpenError::io(format!("making the data directory {}", path.display())))?;
    let lock = folder::lock(path)?;
    let storage = open_on(kind, Arc::new(disk), Some(path.join(SLED_FOLDER)), options)?;
    storage.held.lock().unwrap_or_else(PoisonError::into_inner).lock = Some(lock);
    Ok(storage)
}

/// Puts an archive in place of the data directory `path`, which no server may have open; it is made if it is not there. No
/// key is asked: the seal of the archive will be the one that opens it.
pub fn restore(kind: Kind, path: &Path, options: Options, archive: &mut dyn Read) -> Result<Contents, Refused> {
    let (_lock, place) = locked(kind, path, options)?;
    let (contents, candidate) = scratch::receive(&place, None, archive)?;
    candidate.promote()?;
    place.finish_exchange()?;
    Ok(contents)
}

/// A data directory for this process alone, with nothing half-done in it.
pub(crate) fn locked(kind: Kind, path: &Path, options: Options) -> Result<(Lock, Place), OpenError> {
    let disk = RealDisk::new(path).map_err(OpenError::io(format!("making the data directory {}", path.display())))?;
    let lock = folder::lock(path)?;
    let place = Place::new(kind, Arc::new(disk), Some(path.join(SLED_FOLDER)), options);
    place.finish_exchange()?;
    Ok((lock, place))
}

/// Like [`open`], on any disk and without a lock. sled does its own I/O, in `sled_folder`.
pub fn open_on(
    kind: Kind,
    disk: Arc<dyn Disk>,
    sled_folder: Option<PathBuf>,
    options: Options,
) -> Result<Arc<Storage>, OpenError> {
    if kind == Kind::Memory {
        return memory(options);
    }
    if kind == Kind::Sled && sled_folder.is_none() {
        return Err(OpenError::NoFolder);
    }
    let place = Place::new(kind, disk.clone(), sled_folder, options.clone());
    if place.finish_exchange()? {
        tracing::warn!("what was restored is in place; what was there before lies in the folder replaced");
    }
    let sled = place.sled_files();
    let genesis = folder::prepare(disk.as_ref())?;
    if let Retired::Kept = Retired::by(&options) {
        disk.create_folder(history::FOLDER).map_err(OpenError::io("making the folder history"))?;
    }
    let snapshot = Snapshot::newest(disk.as_ref())?;
    let covered = snapshot.as_ref().map_or(0, |snapshot| snapshot.base.sequence);
    let indexes = Indexes {
        kind,
        disk: disk.clone(),
        sled,
        cache_bytes: options.cache_bytes,
        recent_bytes: options.recent_bytes,
        genesis,
    };
    // Both are read through before they are believed, side by side.
    let (index, opened) = std::thread::scope(|scope| {
        let index = scope.spawn(|| indexes.open());
        let retired = Retired::by(&options);
        let opened = SegmentLog::open(disk.clone(), genesis, covered, options.segment_bytes, retired);
        (index.join(), opened)
    });
    let index = index.unwrap_or_else(|_| Err(IndexError::Damaged("opening it panicked".to_owned())));
    let opened = opened?;
    if let Some((file, bytes)) = &opened.cut {
        tracing::warn!(file, bytes, "cut off the end of the journal, torn by a power cut; it was never acknowledged");
    }
    let log = Arc::new(opened.log);
    if let Some(snapshot) = &snapshot {
        witnessed(&log, snapshot.base, "snapshot")?;
        witnessed(&log, snapshot.reach, "snapshot")?;
    }
    if let Some(end) = folder::read_end(disk.as_ref()).map_err(OpenError::io("reading the file \"end\""))? {
        witnessed(&log, end, "last orderly stop")?;
    }
    let restorer = Restorer { indexes, log: log.clone() };
    let index = restorer.restore(index, snapshot.as_ref())?;
    if let Some(snapshot) = &snapshot {
        let retired = snapshot.retire_others(disk.as_ref(), Retired::by(&options));
        retired.map_err(OpenError::io("removing old snapshots"))?;
    }
    history::tidy(disk.as_ref(), &options)?;
    let keeper = Keeper::durable(disk, restorer, snapshot, place.copying.clone());
    start(log, index, keeper, options, opened.epoch.max(1), Some(place), kind == Kind::Redb)
}

fn memory(options: Options) -> Result<Arc<Storage>, OpenError> {
    let genesis = Position { sequence: 0, hash: [0; 32] };
    let log = Arc::new(MemoryLog::new(genesis));
    start(log, Arc::new(MemoryIndex::new(genesis)), Keeper::memory(), options, 1, None, false)
}

/// Whether the journal has the record that somebody has seen, if it still has that part.
fn witnessed(log: &SegmentLog, seen: Position, witness: &'static str) -> Result<(), OpenError> {
    let journal = log.tail()?.sequence;
    match log.hash_at(seen.sequence)? {
        Some(hash) if hash != seen.hash => Err(OpenError::Foreign { sequence: seen.sequence, witness }),
        None if seen.sequence > journal => Err(OpenError::Behind { journal, seen: seen.sequence, witness }),
        _ => Ok(()),
    }
}

fn start(
    log: Arc<dyn Log>,
    index: Arc<dyn Index>,
    keeper: Keeper,
    options: Options,
    epoch: u64,
    place: Option<Place>,
    verify: bool,
) -> Result<Arc<Storage>, OpenError> {
    let tail = index.state().position;
    let slot = Arc::new(Slot::new(index, !verify));
    let counters = Arc::new(Counters::default());
    counters.sequence.store(tail.sequence, Ordering::Relaxed);
    let queue = Queue::new(options.waiting_writers);
    let verifying = verify.then(|| Verifying::start(slot.clone(), queue.clone())).transpose();
    let committer = Committer {
        verifying: verifying.map_err(OpenError::io("starting the check of the index"))?,
        log: log.clone(),
        slot: slot.clone(),
        counters: counters.clone(),
        keeper,
        options,
        epoch,
        tail,
        in_step: true,
        company: 0,
        append_took: Duration::ZERO,
        last_retry: None,
    };
    let thread = std::thread::Builder::new().name("committer".to_owned());
    let thread = thread
        .spawn({
            let queue = Arc::clone(&queue);
            move || committer.run(&queue)
        })
        .map_err(OpenError::io("starting the committer"))?;
    let held = Mutex::new(Held { committer: Some(thread), lock: None });
    Ok(Arc::new(Storage { slot, queue, log, place, counters, held }))
}

impl Storage {
    /// Ends in good order: writes what waits, makes the index durable, lets go of the directory. Later calls are refused.
    pub fn close(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(committer) = held.committer {
            self.queue.close();
            let _ = committer.join();
        }
        // After a committer that died in a panic the index is still there.
        self.slot.close();
    }

    /// Figures for an operator.
    pub fn stats(&self) -> Stats {
        let Counters { sequence, groups, transactions } = self.counters.as_ref();
        Stats {
            sequence: sequence.load(Ordering::Relaxed),
            records: self.slot.now().map_or(0, |index| index.state().count),
            journal_bytes: self.log.bytes(),
            syncs: self.place.as_ref().map_or(0, |place| place.disk.syncs()),
            transactions: transactions.load(Ordering::Relaxed),
            groups: groups.load(Ordering::Relaxed),
        }
    }

    /// The journal, for whoever follows it. Only the committer appends.
    pub fn log(&self) -> &dyn Log {
        self.log.as_ref()
    }

    /// Where it is kept. [`Error::Invalid`] if that is in memory alone.
    pub(crate) fn place(&self) -> Result<&Place, Error> {
        self.place
            .as_ref()
            .ok_or_else(|| Error::invalid("snapshots need storage on a disk; this server keeps all in memory"))
    }

    /// Records in byte order from `from` on. Empty only at the end.
    pub(crate) fn page(&self, from: &str) -> Result<Vec<(String, index::Stored)>, Error> {
        self.slot.wait_verified()?;
        self.read(|index| {
            let (mut page, mut bytes) = (Vec::new(), 0);
            index.walk(from, &mut |key, stored| {
                bytes += stored.value.len();
                page.push((key.to_owned(), stored.clone()));
                page.len() < PAGE.0 && bytes < PAGE.1
            })?;
            Ok(page)
        })
    }

    pub(crate) fn read<T>(&self, look_up: impl Fn(&dyn Index) -> Result<T, IndexError>) -> Result<T, Error> {
        self.slot.read(look_up, || self.queue.look())
    }
}

impl Store<Ciphertext> for Storage {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Ciphertext>>, Error> {
        let mut found = self.read(|index| index.get(key.as_str()))?;
        if found.is_none() && !self.slot.is_verified() {
            self.slot.wait_verified()?;
            found = self.read(|index| index.get(key.as_str()))?;
        }
        Ok(found.map(|stored| Versioned { value: Ciphertext(stored.value), version: Version(stored.version) }))
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let limit = page.limit.unwrap_or(usize::MAX);
        self.slot.wait_verified()?;
        self.read(|index| index::list(index, folder.as_str(), page.after.as_deref(), limit))
    }

    fn apply(&self, batch: Batch<Ciphertext>) -> Result<(), Error> {
        let awaited = self.queue.submit(batch)?;
        framework::waiting(|| awaited.wait(LONGEST_WRITE))
    }
}

impl Walk<Ciphertext> for Storage {
    fn walk(&self, after: Option<&Key>) -> Result<Vec<Record<Ciphertext>>, Error> {
        // The least name that is greater.
        let from = after.map_or_else(String::new, |key| format!("{}\0", key.as_str()));
        let found = self.page(&from)?;
        let record = |(key, stored): (String, index::Stored)| {
            let (value, version) = (Ciphertext(stored.value), Version(stored.version));
            Ok(Record { key: Key::new(key)?, value, version, mount: stored.mount, class: stored.class })
        };
        found.into_iter().map(record).collect()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.close();
    }
}
