//! Records out of segment files, one after the other.

use std::sync::Arc;

use super::frame::{Frames, Next};
use super::segment::Segment;
use super::{LogError, Record};

/// Reads records `next..=last`, all of which are durable and were checked when the log was opened or written.
pub(crate) struct SegmentReader {
    segments: std::vec::IntoIter<Arc<Segment>>,
    current: Option<(Arc<Segment>, Frames)>,
    next: u64,
    last: u64,
}

impl SegmentReader {
    /// `segments` are in order and begin at or before `from`.
    pub(crate) fn new(segments: Vec<Arc<Segment>>, from: u64, last: u64) -> Self {
        Self { segments: segments.into_iter(), current: None, next: from, last }
    }

    fn read(&mut self) -> Result<Option<Record>, LogError> {
        while self.next <= self.last {
            let upcoming = self.segments.as_slice().first().map(|segment| segment.first);
            if self.current.is_none() || upcoming.is_some_and(|first| first <= self.next) {
                let Some(segment) = self.segments.next() else { break };
                let length = segment.file.length().map_err(LogError::io(format!("reading {}", segment.name)))?;
                let frames = Frames::new(segment.file.clone(), segment.near(self.next), length);
                self.current = Some((segment, frames));
                continue;
            }
            let Some((segment, frames)) = &mut self.current else { break };
            let damaged =
                |offset, what: &str| LogError::Damaged { file: segment.name.clone(), offset, what: what.to_owned() };
            match frames.next().map_err(LogError::io(format!("reading {}", segment.name)))? {
                Next::Frame { offset, payload } => {
                    let record = Record::decode(payload.to_vec())
                        .ok_or_else(|| damaged(offset, "the record's content makes no sense"))?;
                    if record.sequence < self.next {
                        continue;
                    }
                    if record.sequence > self.next {
                        return Err(damaged(offset, "a record is missing"));
                    }
                    self.next += 1;
                    return Ok(Some(record));
                }
                Next::End => return Err(damaged(frames.offset(), "it ends too early")),
                Next::Bad(bad) => return Err(damaged(bad.offset, bad.what)),
            }
        }
        Ok(None)
    }
}

impl Iterator for SegmentReader {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.last = 0;
        }
        read.transpose()
    }
}
