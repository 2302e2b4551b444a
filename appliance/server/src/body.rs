//! Reading a body: bounded in size, in time, and in the memory that all of them take together.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// Bodies up to this size are not counted: the number of connections bounds them.
const FREE: usize = 32 << 10;
/// Bytes that one permit stands for.
const UNIT: usize = 1 << 10;

/// How many times a large body is in memory while it is worked on, measured on redb: parsed, as the handler has it, as it is
/// stored, encrypted, in the journal, and in pages of the index, which are up to twice as large.
const COPIES: usize = 10;

/// Memory that may be taken by large bodies and answers, all together.
#[derive(Clone)]
pub(crate) struct Budget {
    permits: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(total)), total: total * UNIT }
    }

    /// Room for `bytes`, until what is returned is dropped. `None` if there is not that much.
    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_many_owned(u32::try_from(bytes.div_ceil(UNIT)).ok()?).ok()
    }
}

/// What a request holds of the [`Budget`].
#[derive(Debug, Default)]
pub(crate) struct Charge {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Charge {
    /// Grows to a body of this size. `false` if there is not that much room.
    pub(crate) fn body(&mut self, length: usize, budget: &Budget) -> bool {
        length <= FREE || self.grow(length, budget)
    }

    /// Grows to what the work on a body takes that has arrived. `false` if there is not that much room; what takes more than all
    /// of it is let in when it is the only one.
    pub(crate) fn work(&mut self, bytes: usize, budget: &Budget) -> bool {
        bytes <= FREE || self.grow(bytes.saturating_mul(COPIES), budget)
    }

    /// The work is over and its answer has this size: gives back what that does not need. `false` if there is no room for it.
    /// Nothing waits for room, here or elsewhere, so that nobody can wait for somebody who waits.
    pub(crate) fn answer(&mut self, bytes: usize, budget: &Budget) -> bool {
        let needed = if bytes <= FREE { 0 } else { bytes };
        if needed > self.bytes {
            return self.grow(needed, budget);
        }
        let units = self.bytes / UNIT - needed.div_ceil(UNIT).min(self.bytes / UNIT);
        drop(self.permit.as_mut().and_then(|permit| permit.split(units)));
        self.bytes -= units * UNIT;
        true
    }

    fn grow(&mut self, bytes: usize, budget: &Budget) -> bool {
        let bytes = bytes.min(budget.total);
        let Some(missing) = bytes.checked_sub(self.bytes).filter(|&missing| missing > 0) else { return true };
        // In large steps: not every frame of a body goes to the semaphore.
        let missing = missing.max(8 * FREE).min(budget.total.saturating_sub(self.bytes));
        let Some(more) = budget.take(missing) else { return false };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.bytes += missing;
        true
    }
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// It is larger than the limit. Twice the limit was read, so that an honest client gets to see the answer.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// Its framing is malformed, or the client went away.
    Broken,
    /// The bodies of other requests take all the memory there is for them.
    NoRoom,
}

/// Reads a body. `impatient` clients wait for a sign before they send it, so an oversized one is refused unread.
pub(crate) async fn read(
    body: Body,
    impatient: bool,
    limits: &Limits,
    budget: &Budget,
) -> Result<(Bytes, Charge), Failure> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), Charge::default()));
    }
    if impatient && body.size_hint().lower() > u64::try_from(limits.body).unwrap_or(u64::MAX) {
        return Err(Failure::TooLarge);
    }
    let deadline: Duration = limits.upload;
    tokio::time::timeout(deadline, collect(body, limits.body, budget)).await.unwrap_or(Err(Failure::TooSlow))
}

async fn collect(mut body: Body, limit: usize, budget: &Budget) -> Result<(Bytes, Charge), Failure> {
    let mut charge = Charge::default();
    let mut frames = Frames::default();
    let mut length: usize = 0;
    let mut failure = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > limit {
            failure = Some(Failure::TooLarge);
            if length > limit.saturating_mul(2) {
                break;
            }
        } else if failure.is_none() && !charge.body(length, budget) {
            failure = Some(Failure::NoRoom);
        }
        if failure.is_some() {
            (frames, charge) = Default::default();
        } else {
            frames.push(data);
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok((frames.whole(), charge)),
    }
}

/// The smallest and the largest block that frames are gathered in. A block of the largest size goes back to the kernel as soon as
/// it is freed, where frames by themselves, of some KiB each, would leave the process as large as it once was.
const BLOCK: RangeInclusive<usize> = 16 << 10..=1 << 20;

/// A body that arrives.
#[derive(Default)]
struct Frames {
    /// The usual body is one frame, whatever its size, and is not copied.
    first: Bytes,
    blocks: Vec<Vec<u8>>,
    length: usize,
}

impl Frames {
    fn push(&mut self, frame: Bytes) {
        let before = self.length;
        self.length += frame.len();
        if before == 0 {
            self.first = frame;
            return;
        }
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let room = self.blocks.last().map_or(0, |block| block.capacity() - block.len());
            if room == 0 {
                self.blocks.push(Vec::with_capacity(before.clamp(*BLOCK.start(), *BLOCK.end())));
                continue;
            }
            let (part, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            if let Some(block) = self.blocks.last_mut() {
                block.extend_from_slice(part);
            }
            rest = later;
        }
    }

    /// In one piece: made when its length is known, each block freed when it is copied, so that the body is in memory once.
    fn whole(self) -> Bytes {
        if self.blocks.is_empty() {
            return self.first;
        }
        let mut body = Vec::with_capacity(self.length);
        body.extend_from_slice(&self.first);
        self.blocks.into_iter().for_each(|block| body.extend_from_slice(&block));
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_frames_is_the_body() {
        for frames in [vec![], vec![5], vec![0, 7, 0], vec![8191; 400], vec![1; 70_000], vec![3 << 20, 1, 2 << 20]] {
            let (mut whole, mut expected) = (Frames::default(), Vec::new());
            for (number, length) in frames.into_iter().enumerate() {
                let frame = vec![u8::try_from(number % 251).unwrap(); length];
                expected.extend_from_slice(&frame);
                whole.push(frame.into());
            }
            assert_eq!(whole.whole(), expected);
        }
    }
}
