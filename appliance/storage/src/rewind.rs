//! Making the store again as it was: from a snapshot, and the journal up to a record or a time. Offline, on a data directory
//! that no server has open.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use framework::Timestamp;

use crate::disk::{Disk, FileReader};
use crate::folder::JOURNAL;
use crate::log::segment::Segment;
use crate::log::{Position, SegmentReader};
use crate::scratch::{Candidate, Scratch};
use crate::snapshot::{self, Snapshot};
use crate::storage::{Place, locked};
use crate::{Kind, OpenError, Options, exchange, folder, history};

/// What the store is to be made again as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// As it was after this record of the journal.
    Sequence(u64),
    /// As it was at this time: after the last record that is not younger.
    Time(Timestamp),
}

/// A record of the journal, and when it was written, if it says that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// Its sequence number.
    pub sequence: u64,
    /// By the server's clock.
    pub time: Option<Timestamp>,
}

/// What a data directory can be made again as: any record from `first` to `last`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// The oldest.
    pub first: Moment,
    /// The newest, which is how it is now.
    pub last: Moment,
}

/// All that a data directory has, kept for a start or kept for this.
struct Sources {
    disk: Arc<dyn Disk>,
    genesis: Position,
    snapshots: Vec<Snapshot>,
    segments: Vec<Arc<Segment>>,
    last: u64,
}

impl Sources {
    fn find(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        if folder::identity(disk.as_ref())?.is_none() {
            return Err(OpenError::NotOurs { what: "it has no file \"format\"".to_owned() });
        }
        let genesis = folder::prepare(disk.as_ref())?;
        let (mut segments, mut snapshots) = (Vec::new(), Vec::new());
        for (journal, snapshot) in [(history::FOLDER, history::FOLDER), (JOURNAL, snapshot::FOLDER)] {
            segments.extend(history::segments(disk.as_ref(), journal)?);
            snapshots.extend(history::snapshots(disk.as_ref(), snapshot)?);
        }
        segments.sort_by_key(|segment| (segment.first, segment.generation));
        snapshots.sort_by_key(|snapshot| snapshot.base.sequence);
        let last = match segments.last() {
            Some(last) => last.check(None)?.tail.sequence,
            None => 0,
        };
        Ok(Self { disk, genesis, snapshots, segments, last })
    }

    /// Where the journal can be followed from, by the newest snapshot that holds nothing after `sequence`.
    fn base(&self, sequence: u64) -> Option<(Option<&Snapshot>, Position)> {
        let followed = |base: Position| {
            let next = base.sequence + 1;
            self.segments.first().is_some_and(|first| first.first <= next) && self.last >= base.sequence
        };
        let mut snapshots = self.snapshots.iter().rev();
        let snapshot = snapshots.find(|snapshot| snapshot.reach.sequence <= sequence && followed(snapshot.base));
        snapshot
            .map(|snapshot| (Some(snapshot), snapshot.base))
            .or_else(|| followed(self.genesis).then_some((None, self.genesis)))
    }

    fn records(&self, from: u64, to: u64) -> SegmentReader {
        let begin = self.segments.iter().rposition(|segment| segment.first <= from).unwrap_or(0);
        SegmentReader::new(self.segments.iter().skip(begin).cloned().collect(), from, to)
    }

    fn moment(&self, sequence: u64) -> Result<Moment, OpenError> {
        // A snapshot may stand for a record that is gone itself.
        let held = self.segments.first().is_some_and(|first| (first.first..=self.last).contains(&sequence));
        let record = if held { self.records(sequence, sequence).next().transpose()? } else { None };
        Ok(Moment { sequence, time: record.and_then(|record| record.time) })
    }

    fn span(&self) -> Result<Span, OpenError> {
        let from_start = self.base(0).map(|_| 0);
        let oldest =
            self.snapshots.iter().map(|snapshot| snapshot.reach.sequence).find(|reach| self.base(*reach).is_some());
        let first = from_start.or(oldest).unwrap_or(self.last);
        Ok(Span { first: self.moment(first)?, last: self.moment(self.last)? })
    }

    /// The record after which the store was as it is wanted.
    fn resolve(&self, target: Target) -> Result<u64, OpenError> {
        let Span { first, last } = self.span()?;
        let found = match target {
            Target::Sequence(sequence) => Some(sequence),
            Target::Time(time) => {
                let mut found = first.time.filter(|at| *at <= time).map(|_| first.sequence);
                for record in self.records(first.sequence + 1, last.sequence) {
                    let record = record?;
                    if record.time.is_some_and(|at| at <= time) {
                        found = Some(record.sequence);
                    }
                }
                found
            }
        };
        found.filter(|sequence| (first.sequence..=last.sequence).contains(sequence)).ok_or_else(|| {
            OpenError::Snapshot {
                what: format!("the store can be made again as it was after {first} to {last}, and not as it was then"),
            }
        })
    }

    /// The store as it was after the record `sequence`, beside the live one.
    fn build(&self, place: &Place, sequence: u64) -> Result<Candidate, OpenError> {
        let unreachable =
            || OpenError::Snapshot { what: format!("there is none to follow the journal from to {sequence}") };
        let (snapshot, base) = self.base(sequence).ok_or_else(unreachable)?;
        let mut scratch = Scratch::new(&self.disk, place.options.segment_bytes)?;
        scratch.begin(&folder::identity(self.disk.as_ref())?.unwrap_or_default())?;
        if let Some(snapshot) = snapshot {
            let io = |error| OpenError::io("reading the snapshot")(error);
            let mut file = FileReader::new(self.disk.open(&snapshot.name, false).map_err(io)?).map_err(io)?;
            let mut part = vec![0; 256 << 10];
            loop {
                match file.read(&mut part).map_err(io)? {
                    0 => break,
                    count => scratch.write_state(part.get(..count).unwrap_or_default())?,
                }
            }
        }
        scratch.end_state(base)?;
        for record in self.records(base.sequence + 1, sequence) {
            // That it follows the one before it is checked where it is appended.
            scratch.append(record?)?;
        }
        scratch.flush()?;
        Candidate::open(scratch, place, None)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {}", self.sequence)?;
        self.time.map_or(Ok(()), |time| write!(f, " ({time})"))
    }
}

/// What the data directory `path` can be made again as. How far back that goes, [`Options::journal_retention`] decides.
pub fn span(path: &Path) -> Result<Span, OpenError> {
    let (_lock, place) = locked(Kind::Memory, path, Options::default())?;
    Sources::find(place.disk.clone())?.span()
}

/// Makes the data directory `path` again as it was, and puts that in its place. Gives the record it stands at.
pub fn rewind(kind: Kind, path: &Path, options: Options, target: Target) -> Result<Moment, OpenError> {
    let (_lock, place) = locked(kind, path, options)?;
    let sources = Sources::find(place.disk.clone())?;
    let moment = sources.moment(sources.resolve(target)?)?;
    let candidate = sources.build(&place, moment.sequence)?;
    candidate.promote()?;
    place.finish_exchange()?;
    Ok(moment)
}

/// Puts back what the last restore or rewind of the data directory `path` replaced; what is there now can be put back in the
/// same way. Whether there was something.
pub fn undo(path: &Path) -> Result<bool, OpenError> {
    let (_lock, place) = locked(Kind::Memory, path, Options::default())?;
    let doing = |error| OpenError::io("putting back what was replaced")(error);
    Ok(exchange::decide_back(place.disk.as_ref()).map_err(doing)? && place.finish_exchange()?)
}
