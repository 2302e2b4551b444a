//! A data directory that is made beside the live one, to be checked there before it takes its place.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use framework::Error;

use crate::archive::{self, Check, Contents, Meta, Part, Refused};
use crate::disk::{Disk, DiskFile, TEMPORARY, Within, is_there};
use crate::exchange;
use crate::folder::{self, END_FILE};
use crate::history::Retired;
use crate::index::SledFiles;
use crate::log::segment::Segment;
use crate::log::{Append, Log, Position, Record, SegmentLog};
use crate::snapshot::{self, Content, Source};
use crate::storage::{Place, Storage, Turn};
use crate::{OpenError, Options};

/// Its name in the live one.
pub(crate) const SCRATCH: &str = "incoming";
/// Records are appended together up to this size.
const APPEND_BYTES: usize = 4 << 20;

/// A data directory in the making.
pub(crate) struct Scratch {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    state: Option<(Arc<dyn DiskFile>, u64)>,
    log: Option<SegmentLog>,
    waiting: Vec<Record>,
    waiting_bytes: usize,
}

impl Scratch {
    /// An empty one; what was left of another is removed.
    pub(crate) fn new(live: &Arc<dyn Disk>, segment_bytes: u64) -> Result<Self, OpenError> {
        let doing = |error| OpenError::io(format!("making the folder {SCRATCH}"))(error);
        live.remove_folder(SCRATCH).map_err(doing)?;
        live.create_folder(SCRATCH).map_err(doing)?;
        let disk: Arc<dyn Disk> = Arc::new(Within { disk: live.clone(), folder: SCRATCH });
        let (waiting, waiting_bytes) = (Vec::new(), 0);
        Ok(Self { disk, segment_bytes, state: None, log: None, waiting, waiting_bytes })
    }

    /// Takes the parts of an archive.
    pub(crate) fn unpack(&mut self, part: Part<'_>) -> Result<(), OpenError> {
        match part {
            Part::Meta(Meta { identity, .. }) => self.begin(identity),
            Part::State(bytes) => self.write_state(bytes),
            Part::StateEnds(Content { base, .. }) => self.end_state(*base),
            Part::Record(record) => self.append(record),
            Part::End => self.flush(),
        }
    }

    /// As the data directory `identity`.
    pub(crate) fn begin(&mut self, identity: &str) -> Result<(), OpenError> {
        folder::create(self.disk.as_ref(), identity).map(drop)
    }

    /// More bytes of the snapshot it begins with.
    pub(crate) fn write_state(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let io = |error| OpenError::io("writing the snapshot")(error);
        let (file, end) = match &mut self.state {
            Some(state) => state,
            state => state.insert((self.disk.open(&unnamed(), true).map_err(io)?, 0)),
        };
        file.write_at(*end, bytes).map_err(io)?;
        *end += bytes.len() as u64;
        Ok(())
    }

    /// The snapshot is whole; records follow after `base`.
    pub(crate) fn end_state(&mut self, base: Position) -> Result<(), OpenError> {
        if let Some((file, _)) = self.state.take() {
            let named = || {
                file.sync()?;
                self.disk.rename(&unnamed(), &snapshot::name(base))?;
                self.disk.sync_folder(snapshot::FOLDER)
            };
            named().map_err(OpenError::io("writing the snapshot"))?;
        }
        self.follow(base)
    }

    /// Records follow after `base`.
    pub(crate) fn follow(&mut self, base: Position) -> Result<(), OpenError> {
        let genesis = folder::prepare(self.disk.as_ref())?;
        Segment::create(self.disk.as_ref(), base, 0).map_err(OpenError::io("making the journal"))?;
        let opened = SegmentLog::open(self.disk.clone(), genesis, base.sequence, self.segment_bytes, Retired::Removed)?;
        self.log = Some(opened.log);
        Ok(())
    }

    /// The next record.
    pub(crate) fn append(&mut self, record: Record) -> Result<(), OpenError> {
        self.waiting_bytes += record.encoded().len();
        self.waiting.push(record);
        if self.waiting_bytes >= APPEND_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes all of it durable.
    pub(crate) fn flush(&mut self) -> Result<(), OpenError> {
        let records = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        match self.log.as_ref().map(|log| log.append(&records)) {
            None | Some(Append::Appended) => Ok(()),
            Some(Append::Refused(error) | Append::Unknown(error)) => Err(error.into()),
            Some(Append::Taken(record)) => {
                let what = format!("record {} is there twice", record.sequence);
                Err(OpenError::Snapshot { what })
            }
        }
    }
}

fn unnamed() -> String {
    format!("{}/unpacked{TEMPORARY}", snapshot::FOLDER)
}

/// A whole data directory beside the live one, open for reading. It goes when it is dropped, unless it was promoted.
pub struct Candidate {
    live: Arc<dyn Disk>,
    storage: Arc<Storage>,
    turn: Option<Turn>,
}

impl Candidate {
    /// Opens what was made: reads all of it once more, and makes an index of it.
    pub(crate) fn open(scratch: Scratch, place: &Place, turn: Option<Turn>) -> Result<Self, OpenError> {
        let Scratch { disk, log, .. } = scratch;
        drop(log);
        let sled = place.sled.as_deref().map(scratch_sled).transpose()?;
        let options = Options { journal_retention: std::time::Duration::ZERO, ..place.options.clone() };
        let live = place.disk.clone();
        let storage =
            crate::open_on(place.kind, disk, sled, options).inspect_err(|_| drop(exchange::clear(live.as_ref())))?;
        Ok(Self { live, storage, turn })
    }

    /// The records, for whoever can read them.
    pub fn store(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// From the moment in which this succeeds, the next start finds the new data in place of the old, whatever happens in
    /// between; what the running server still writes to the old data is lost with it. Before that moment nothing is changed.
    pub fn promote(mut self) -> Result<(), OpenError> {
        self.storage.close();
        let disk = Within { disk: self.live.clone(), folder: SCRATCH };
        // Written only if all of it could be made durable.
        if !is_there(&disk, END_FILE).map_err(OpenError::io("looking at what was restored"))? {
            return Err(OpenError::Snapshot { what: "what was restored could not be made durable".to_owned() });
        }
        exchange::decide(self.live.as_ref()).map_err(OpenError::io("putting what was restored in place"))?;
        if let Some(turn) = self.turn.take() {
            turn.keep();
        }
        Ok(())
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.storage.close();
        if let Err(error) = exchange::clear(self.live.as_ref()) {
            tracing::warn!(%error, "the folder {SCRATCH} could not be removed; it goes at the next start");
        }
    }
}

/// sled does its own I/O, in a folder that lies below the candidate's like the live one below its.
pub(crate) fn scratch_sled(live: &Path) -> Result<PathBuf, OpenError> {
    let (folder, name) = (live.parent().unwrap_or(live), live.file_name().unwrap_or_default());
    let folder = folder.join(SCRATCH);
    std::fs::create_dir_all(&folder).map_err(OpenError::io(format!("making the folder {SCRATCH}")))?;
    Ok(folder.join(name))
}

/// The sled index of the candidate below the data directory of `live`.
pub(crate) fn sled_of_candidate(live: &SledFiles) -> SledFiles {
    let (folder, name) = (live.folder.parent().unwrap_or(&live.folder), live.folder.file_name().unwrap_or_default());
    SledFiles { folder: folder.join(SCRATCH).join(name), life: live.life.clone() }
}

impl Storage {
    /// Unpacks an archive beside the live data, checks all of it that can be checked without a key, and opens the result.
    /// Nothing live is changed. [`Error::Busy`] while another snapshot is being taken or restored.
    pub fn receive(&self, archive: &mut dyn Read) -> Result<(Contents, Candidate), Error> {
        let place = self.place()?;
        let turn = place.turn()?;
        Ok(receive(place, Some(turn), archive)?)
    }

    /// Asks `check` of every record, as it lies on the disk.
    pub fn check(&self, check: Check<'_>) -> Result<(), Error> {
        let mut checked = Ok(());
        self.walk("", &mut |key, stored| {
            checked = framework::Key::new(key).and_then(|key| check(&key, &stored.value));
            checked.is_ok()
        })
        .map_err(Error::internal)?;
        checked
    }
}

pub(crate) fn receive(
    place: &Place,
    turn: Option<Turn>,
    archive: &mut dyn Read,
) -> Result<(Contents, Candidate), Refused> {
    // What the last restore replaced makes room for this one.
    exchange::forget_replaced(place.disk.as_ref()).map_err(OpenError::io("removing what was replaced before"))?;
    let mut scratch = Scratch::new(&place.disk, place.options.segment_bytes)?;
    let contents = archive::read(archive, &mut |part| scratch.unpack(part));
    let contents = contents.inspect_err(|_| drop(place.disk.remove_folder(SCRATCH)))?;
    Ok((contents, Candidate::open(scratch, place, turn)?))
}
