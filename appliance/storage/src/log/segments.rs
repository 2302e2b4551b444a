//! The journal in local segment files.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::frame;
use super::reader::SegmentReader;
use super::segment::{self, Checked, FOLDER, HEADER, Segment};
use super::{Append, Log, LogError, Position, Record, Records};
use crate::disk::{Disk, DiskFile, TEMPORARY, is_full};
use crate::history::Retired;

/// Records larger than this are written without a copy of them, and buffers larger than this are given back after a write.
const LARGE: usize = 1 << 20;

/// The journal in local files: `journal/<first sequence>-<generation>.log`.
///
/// After a failed write or sync nobody knows what is on disk, and syncing again would prove nothing, since the kernel has
/// forgotten the pages it could not write. So that file is never written again: what is known to be durable in it stays,
/// and the log goes on in a new file, whose name and header say where the old one ends. Until that file exists,
/// appends are refused.
pub(crate) struct SegmentLog {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    retired: Retired,
    shared: Mutex<Shared>,
    grown: Condvar,
    /// Taken out while an append runs, so that no lock is held across its sync.
    writer: Mutex<Option<Writer>>,
}

struct Shared {
    segments: Vec<Arc<Segment>>,
    tail: Position,
    /// Where the next frame goes in the last segment.
    end: u64,
    /// Bytes in the segments before the last one.
    earlier: u64,
    sizes: HashMap<String, u64>,
}

struct Writer {
    /// Whether what stands in the last segment is known.
    sound: bool,
    buffer: Vec<u8>,
}

/// What was found when a log was opened.
pub(crate) struct Opened {
    pub(crate) log: SegmentLog,
    /// Epoch of the last record; 0 if there is none.
    pub(crate) epoch: u64,
    /// File and number of bytes of a torn tail that was cut off.
    pub(crate) cut: Option<(String, u64)>,
}

impl SegmentLog {
    /// Opens the log, reads all of it, follows its chain and cuts a torn tail.
    ///
    /// `genesis` stands before the first record. Segments that hold nothing after `covered` are left-overs of
    /// [`Log::truncate`] and are removed.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        genesis: Position,
        covered: u64,
        segment_bytes: u64,
        retired: Retired,
    ) -> Result<Opened, LogError> {
        disk.create_folder(FOLDER).map_err(LogError::io("making the folder journal"))?;
        let mut names = Vec::new();
        for name in disk.list(FOLDER).map_err(LogError::io("listing the folder journal"))? {
            match segment::parse(&name) {
                Some((first, generation)) => names.push((first, generation, name)),
                None if name.ends_with(TEMPORARY) => {}
                None => {
                    let what = "it is no file of the journal; move it elsewhere".to_owned();
                    return Err(LogError::Damaged { file: format!("{FOLDER}/{name}"), offset: 0, what });
                }
            }
        }
        names.sort();
        let begin = names.iter().rposition(|(first, ..)| *first <= covered + 1).unwrap_or(0);
        // Of files that begin at the same place the earlier generations may hold what `covered` needs not.
        for (_, _, name) in names.drain(..begin) {
            let gone = retired.dispose(disk.as_ref(), &format!("{FOLDER}/{name}"));
            gone.map_err(LogError::io(format!("removing {name}")))?;
        }
        let mut segments = Vec::new();
        for (first, generation, name) in &names {
            segments.push(Arc::new(Segment::open(disk.as_ref(), FOLDER, name, *first, *generation)?));
        }
        if segments.is_empty() {
            if covered > 0 {
                let what = format!("the journal's files after record {covered} are missing");
                return Err(LogError::Damaged { file: FOLDER.to_owned(), offset: 0, what });
            }
            let created = Segment::create(disk.as_ref(), genesis, 0).map_err(LogError::io("making the journal"))?;
            segments.push(Arc::new(created));
        }
        let checked = check_all(&segments)?;
        Self::connect(&segments, &checked, genesis, covered)?;
        let Some((last, tail)) = segments.last().zip(checked.last()) else {
            return Err(LogError::Damaged { file: FOLDER.to_owned(), offset: 0, what: "it is empty".to_owned() });
        };
        let mut cut = None;
        let length = last.file.length().map_err(LogError::io(format!("reading {}", last.name)))?;
        if tail.torn.is_some() || length > tail.end {
            last.file
                .set_length(tail.end)
                .and_then(|()| last.file.sync())
                .map_err(LogError::io(format!("cutting the torn end of {}", last.name)))?;
            cut = Some((last.name.clone(), length - tail.end));
        }
        let sizes: HashMap<_, _> =
            segments.iter().zip(&checked).map(|(segment, checked)| (segment.name.clone(), checked.end)).collect();
        let earlier = sizes.values().sum::<u64>() - tail.end;
        let shared = Shared { tail: tail.tail, end: tail.end, earlier, sizes, segments: segments.clone() };
        let log = Self {
            disk,
            segment_bytes,
            retired,
            shared: Mutex::new(shared),
            grown: Condvar::new(),
            writer: Mutex::new(Some(Writer { sound: true, buffer: Vec::new() })),
        };
        let epoch = checked.iter().map(|checked| checked.epoch).max().unwrap_or(0);
        Ok(Opened { log, epoch, cut })
    }

    /// Checks that each file goes on where the one before it ends, and that the first one reaches back to `covered`.
    fn connect(
        segments: &[Arc<Segment>],
        checked: &[Checked],
        genesis: Position,
        covered: u64,
    ) -> Result<(), LogError> {
        let damaged = |segment: &Segment, what| Err(LogError::Damaged { file: segment.name.clone(), offset: 0, what });
        let Some(first) = segments.first() else { return Ok(()) };
        if first.first > covered + 1 {
            return damaged(first, format!("the journal begins here, records from {} on are missing", covered + 1));
        }
        if first.first == genesis.sequence + 1 && first.previous != genesis.hash {
            return damaged(first, "the file belongs to another data directory".to_owned());
        }
        for (before, segment) in checked.iter().zip(segments.iter().skip(1)) {
            if segment.previous != before.tail.hash {
                return damaged(segment, format!("the file does not follow record {}", before.tail.sequence));
            }
        }
        Ok(())
    }

    /// The hash of the record `sequence`, if the journal still knows it.
    pub(crate) fn hash_at(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        let (tail, before) = {
            let shared = self.shared();
            let next = shared.segments.iter().find(|segment| segment.first == sequence + 1);
            (shared.tail, next.map(|next| next.previous))
        };
        if before.is_some() {
            return Ok(before);
        }
        if sequence > tail.sequence || self.begins_after(sequence) {
            return Ok(None);
        }
        Ok(self.read(sequence)?.next().transpose()?.map(|record| record.position().hash))
    }

    /// Whether the record `sequence` is older than everything held.
    pub(crate) fn begins_after(&self, sequence: u64) -> bool {
        self.shared().segments.first().is_none_or(|first| first.first > sequence)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_writer<T>(&self, f: impl FnOnce(&mut Writer) -> T) -> Result<T, LogError> {
        let slot = || self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut writer) = slot().take() else {
            let source = std::io::Error::other("another append is under way");
            return Err(LogError::Io { doing: "writing the journal".to_owned(), source });
        };
        let result = f(&mut writer);
        *slot() = Some(writer);
        Ok(result)
    }

    /// Goes on in a new file.
    fn roll(&self) -> Result<(), LogError> {
        let (tail, first, generation) = {
            let shared = self.shared();
            let last = shared.segments.last();
            (shared.tail, last.map_or(0, |last| last.first), last.map_or(0, |last| last.generation))
        };
        let mut generation = if first == tail.sequence + 1 { generation + 1 } else { 0 };
        // A file left by a roll that failed half-way has the name already; it holds nothing.
        let taken = self.disk.list(FOLDER).map_err(LogError::io("listing the folder journal"))?;
        let taken: Vec<_> = taken.iter().filter_map(|name| segment::parse(name)).collect();
        while taken.contains(&(tail.sequence + 1, generation)) {
            generation += 1;
        }
        let segment = Segment::create(self.disk.as_ref(), tail, generation)
            .map_err(LogError::io("making a new file for the journal"))?;
        let mut shared = self.shared();
        shared.earlier += shared.end;
        shared.end = HEADER;
        shared.sizes.insert(segment.name.clone(), HEADER);
        shared.segments.push(Arc::new(segment));
        Ok(())
    }

    fn write(&self, writer: &mut Writer, records: &[Record]) -> Append {
        let (tail, end) = {
            let shared = self.shared();
            (shared.tail, shared.end)
        };
        let Some(first) = records.first().map(|record| record.sequence) else { return Append::Appended };
        if first <= tail.sequence {
            return match self.read(first).map(|mut records| records.next()) {
                Ok(Some(Ok(record))) => Append::Taken(Box::new(record)),
                Ok(Some(Err(error))) | Err(error) => Append::Refused(error),
                Ok(None) => Append::Appended,
            };
        }
        let mut expected = tail;
        for record in records {
            if record.sequence != expected.sequence + 1 || record.previous != expected.hash {
                let source = std::io::Error::other("a record does not follow the one before it");
                return Append::Refused(LogError::Io { doing: "writing the journal".to_owned(), source });
            }
            expected = record.position();
        }
        let mut starts = Vec::with_capacity(records.len());
        let mut size = 0;
        for record in records {
            starts.push((record.sequence, size));
            size += (frame::HEADER + record.encoded().len()) as u64;
        }
        if (!writer.sound || (end > HEADER && end + size > self.segment_bytes))
            && let Err(error) = self.roll()
        {
            return Append::Refused(error);
        }
        writer.sound = true;
        let (segment, end) = {
            let shared = self.shared();
            match shared.segments.last() {
                Some(last) => (last.clone(), shared.end),
                None => return Append::Appended,
            }
        };
        let file = &segment.file;
        if let Err(source) = write_frames(file.as_ref(), &mut writer.buffer, records, first, end) {
            // Out of space leaves the file in order once the partial record is cut off; anything else may not.
            let mended = file.set_length(end).is_ok() && is_full(&source) && file.sync().is_ok();
            let error = LogError::Io { doing: format!("writing {}", segment.name), source };
            writer.sound = mended;
            return if mended { Append::Refused(error) } else { Append::Unknown(error) };
        }
        if let Err(source) = file.sync() {
            writer.sound = false;
            // Not relied upon: it makes it likelier that a later start does not see what was not acknowledged.
            let _ = file.set_length(end);
            return Append::Unknown(LogError::Io { doing: format!("syncing {}", segment.name), source });
        }
        for (sequence, start) in starts {
            segment.mark(sequence, end + start);
        }
        let mut shared = self.shared();
        shared.tail = expected;
        shared.end = end + size;
        shared.sizes.insert(segment.name.clone(), end + size);
        drop(shared);
        self.grown.notify_all();
        Append::Appended
    }
}

/// Writes records that share a sync, from `at` on.
fn write_frames(
    file: &dyn DiskFile,
    buffer: &mut Vec<u8>,
    records: &[Record],
    group: u64,
    mut at: u64,
) -> std::io::Result<()> {
    buffer.clear();
    for record in records {
        let payload = record.encoded();
        buffer.extend_from_slice(&frame::encode(group, payload));
        if payload.len() <= LARGE {
            buffer.extend_from_slice(payload);
            continue;
        }
        for bytes in [buffer.as_slice(), payload] {
            file.write_at(at, bytes)?;
            at += bytes.len() as u64;
        }
        buffer.clear();
    }
    if buffer.is_empty() { Ok(()) } else { file.write_at(at, buffer) }
}

impl Log for SegmentLog {
    fn append(&self, records: &[Record]) -> Append {
        let appended = self.with_writer(|writer| {
            let appended = self.write(writer, records);
            if writer.buffer.capacity() > LARGE {
                writer.buffer = Vec::new();
            }
            appended
        });
        appended.unwrap_or_else(Append::Refused)
    }

    fn read(&self, from: u64) -> Result<Records<'_>, LogError> {
        let shared = self.shared();
        let begin = shared.segments.iter().rposition(|segment| segment.first <= from);
        if from <= shared.tail.sequence && begin.is_none() {
            let what = format!("record {from} is no longer in the journal");
            return Err(LogError::Damaged { file: FOLDER.to_owned(), offset: 0, what });
        }
        let segments = shared.segments.iter().skip(begin.unwrap_or(0)).cloned().collect();
        Ok(Box::new(SegmentReader::new(segments, from, shared.tail.sequence)))
    }

    fn tail(&self) -> Result<Position, LogError> {
        let settled = self.with_writer(|writer| {
            if !writer.sound {
                self.roll()?;
                writer.sound = true;
            }
            Ok(())
        });
        // While an append is under way elsewhere, the tail is what was durable before it.
        settled.unwrap_or(Ok(())).map(|()| self.shared().tail)
    }

    fn watch(&self, from: u64, patience: Duration) -> Result<Records<'_>, LogError> {
        let shared = self.shared();
        let waited = self.grown.wait_timeout_while(shared, patience, |shared| shared.tail.sequence < from);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.read(from)
    }

    fn truncate(&self, below: u64, snapshot: Position) -> Result<(), LogError> {
        let below = below.min(snapshot.sequence + 1);
        loop {
            let oldest = {
                let mut shared = self.shared();
                if shared.segments.get(1).is_none_or(|next| next.first > below) {
                    return Ok(());
                }
                let oldest = shared.segments.remove(0);
                let size = shared.sizes.remove(&oldest.name).unwrap_or(0);
                shared.earlier = shared.earlier.saturating_sub(size);
                oldest
            };
            // One by one and oldest first, so that a power cut in between leaves no gap.
            self.retired
                .dispose(self.disk.as_ref(), &oldest.name)
                .and_then(|()| self.disk.sync_folder(FOLDER))
                .map_err(LogError::io(format!("removing {}", oldest.name)))?;
        }
    }

    fn bytes(&self) -> u64 {
        let shared = self.shared();
        shared.earlier + shared.end
    }
}

/// Reads all segments, on as many threads as there are processors: a start waits for this.
fn check_all(segments: &[Arc<Segment>]) -> Result<Vec<Checked>, LogError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4).min(segments.len());
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Checked, LogError>>>> = segments.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((segment, result)) = segments.get(at).zip(results.get(at)) else { return };
            let checked = segment.check(segments.get(at + 1).map(|next| next.first));
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(checked);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    results.into_iter().filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}
