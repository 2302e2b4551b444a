//! What has to be done to journal and index from time to time: checkpoints, snapshots, a new index for a failed one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::folder::write_end;
use crate::history::{self, Retired};
use crate::index::{Index, IndexError};
use crate::log::{Log, Position};
use crate::restore::Restorer;
use crate::slot::Slot;
use crate::snapshot::{self, Snapshot, SnapshotError};
use crate::{OpenError, Options};

/// A replay costs more for many small records than their bytes tell.
const RECORD_COST: u64 = 1024;
/// How long an index in memory serves before the disk is tried again.
const TRY_DISK_AGAIN: Duration = Duration::from_secs(3);

/// Belongs to the committer's thread.
pub(crate) struct Keeper {
    /// `None` where nothing outlives the process.
    durable: Option<Durable>,
    since_checkpoint: u64,
}

struct Durable {
    disk: Arc<dyn Disk>,
    restorer: Restorer,
    snapshot: Option<Snapshot>,
    running: Option<Running>,
    /// Journal bytes below which a snapshot that failed is not tried again.
    not_before: u64,
    /// While the index is one in memory: when it was last tried to have one on disk again.
    makeshift: Option<Instant>,
    /// Set while somebody copies the journal: nothing is taken off it.
    copying: Arc<AtomicBool>,
}

struct Running {
    thread: JoinHandle<()>,
    done: Receiver<Result<Snapshot, SnapshotError>>,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    pub(crate) fn memory() -> Self {
        Self { durable: None, since_checkpoint: 0 }
    }

    pub(crate) fn durable(
        disk: Arc<dyn Disk>,
        restorer: Restorer,
        snapshot: Option<Snapshot>,
        copying: Arc<AtomicBool>,
    ) -> Self {
        let durable = Durable { disk, restorer, snapshot, running: None, not_before: 0, makeshift: None, copying };
        Self { durable: Some(durable), since_checkpoint: 0 }
    }

    pub(crate) fn wrote(&mut self, bytes: u64, records: u64) {
        self.since_checkpoint += bytes + records * RECORD_COST;
    }

    /// Does what is due. An error means that the index has to be opened again.
    pub(crate) fn upkeep(&mut self, log: &dyn Log, slot: &Slot, options: &Options) -> Result<(), IndexError> {
        let Some(durable) = &mut self.durable else {
            if self.since_checkpoint >= options.checkpoint_bytes {
                self.since_checkpoint = 0;
                if let Some(index) = slot.now() {
                    let position = index.state().position;
                    let _ = log.truncate(position.sequence + 1, position);
                }
            }
            return Ok(());
        };
        durable.collect(log, options);
        let journal = log.bytes();
        let limit = options.snapshot_bytes.max(durable.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes));
        let snapshot_due = durable.running.is_none() && journal >= limit.max(durable.not_before);
        if !snapshot_due && self.since_checkpoint < options.checkpoint_bytes {
            return Ok(());
        }
        self.since_checkpoint = 0;
        let Some(index) = slot.now() else { return Ok(()) };
        index.checkpoint()?;
        if snapshot_due {
            // The index is durable at `base`, so no start needs the journal before it.
            durable.not_before = journal + limit / 4;
            durable.start(index.state().position, index);
        }
        Ok(())
    }

    /// Opens the failed index again, or makes it again, and puts it in place. Where the disk does not let us, an index in
    /// memory takes its place: reading needs no space, and the journal has everything.
    pub(crate) fn replace_index(&mut self, slot: &Slot) -> Result<(), String> {
        let Some(durable) = &mut self.durable else { return Err("an index in memory cannot be made again".to_owned()) };
        durable.stop();
        if slot.now().is_some() {
            drop(slot.take().ok_or("the failed storage index is still being read")?);
        }
        match durable.restore() {
            Ok(index) => {
                tracing::warn!("the storage index was opened again");
                slot.put(index);
                durable.makeshift = None;
            }
            Err(error) => {
                let index = durable.restorer.makeshift(durable.snapshot.as_ref());
                slot.put(index.map_err(|other| format!("{error}; {other}"))?);
                tracing::error!(%error, "the storage index is held in memory until the disk has a place for it");
                durable.makeshift = Some(Instant::now());
            }
        }
        Ok(())
    }

    /// Whether the index is one in memory for want of one on disk.
    pub(crate) fn is_makeshift(&self) -> bool {
        self.durable.as_ref().is_some_and(|durable| durable.makeshift.is_some())
    }

    /// Whether it is time to try to have an index on disk again.
    pub(crate) fn may_end_makeshift(&self) -> bool {
        let since = self.durable.as_ref().and_then(|durable| durable.makeshift);
        since.is_some_and(|since| since.elapsed() >= TRY_DISK_AGAIN)
    }

    /// Tries to have an index on disk again, while the one in memory serves.
    pub(crate) fn end_makeshift(&mut self, slot: &Slot) {
        let Some(durable) = &mut self.durable else { return };
        durable.stop();
        match durable.restore() {
            Ok(index) => {
                slot.put(index);
                durable.makeshift = None;
                tracing::warn!("the storage index is on disk again");
            }
            Err(error) => {
                tracing::error!(%error, "the storage index stays in memory");
                durable.makeshift = Some(Instant::now());
            }
        }
    }

    /// The end in good order: what is in the index is made durable, and the journal's end is written down.
    pub(crate) fn finish(mut self, in_step: bool, slot: &Slot) {
        let Some(durable) = &mut self.durable else { return slot.close() };
        durable.stop();
        let index = slot.now().filter(|_| in_step && !slot.has_failed());
        let position = index.as_ref().map(|index| index.state().position);
        let checkpoint = index.map(|index| index.checkpoint().map_err(|error| error.to_string()));
        slot.close();
        let on_disk = durable.makeshift.is_none();
        let closed = || durable.restorer.indexes.closed().map_err(|error| error.to_string());
        if let Some(Err(error)) = checkpoint.map(|done| if on_disk { done.and_then(|()| closed()) } else { done }) {
            tracing::error!(%error, "the storage index could not be closed; the next start makes it again if need be");
        }
        if let Some(position) = position
            && let Err(error) = write_end(durable.disk.as_ref(), position)
        {
            tracing::error!(%error, "the end of the journal could not be written down");
        }
    }
}

impl Durable {
    fn restore(&self) -> Result<Arc<dyn Index>, OpenError> {
        self.restorer.restore(self.restorer.indexes.open_failed(), self.snapshot.as_ref())
    }

    fn start(&mut self, base: Position, index: Arc<dyn Index>) {
        let (sender, done) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (disk, asked) = (self.disk.clone(), stop.clone());
        let work = move || {
            let taken = snapshot::take(disk.as_ref(), index.as_ref(), base, &asked);
            drop(index);
            let _ = sender.send(taken);
        };
        match std::thread::Builder::new().name("snapshot".to_owned()).spawn(work) {
            Ok(thread) => self.running = Some(Running { thread, done, stop }),
            Err(error) => tracing::warn!(%error, "no thread for a storage snapshot; it is tried again later"),
        }
    }

    /// Takes over a snapshot that is finished, and lets go of the journal before it.
    fn collect(&mut self, log: &dyn Log, options: &Options) {
        let Some(running) = self.running.take() else { return };
        match running.done.try_recv() {
            Ok(taken) => {
                let _ = running.thread.join();
                match taken {
                    Ok(snapshot) => self.adopt(snapshot, log, options),
                    Err(error) => tracing::warn!(%error, "a storage snapshot failed; it is tried again later"),
                }
            }
            Err(TryRecvError::Empty) => self.running = Some(running),
            Err(TryRecvError::Disconnected) => tracing::warn!("a storage snapshot panicked; it is tried again later"),
        }
    }

    fn adopt(&mut self, snapshot: Snapshot, log: &dyn Log, options: &Options) {
        self.not_before = 0;
        let retired =
            snapshot.retire_others(self.disk.as_ref(), Retired::by(options)).map_err(|error| error.to_string());
        // What is kept for a copy goes with the next snapshot.
        let below = if self.copying.load(Ordering::Acquire) { 0 } else { snapshot.base.sequence + 1 };
        let truncated = log.truncate(below, snapshot.base).map_err(|error| error.to_string());
        tracing::info!(base = snapshot.base.sequence, bytes = snapshot.bytes, "storage snapshot taken and verified");
        self.snapshot = Some(snapshot);
        let tidied = history::tidy(self.disk.as_ref(), options).map_err(|error| error.to_string());
        if let Err(error) = retired.and(truncated).and(tidied) {
            tracing::warn!(%error, "old storage files could not be removed; they go at the next start");
        }
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.store(true, Ordering::Relaxed);
            let _ = running.thread.join();
        }
    }
}
