//! Reading a body: bounded in size, in time, and in the memory that all of them take together.

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

/// Memory that may be taken by large bodies, all together.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Room for `bytes`, until what is returned is dropped. `None` if there is not that much.
    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(bytes.div_ceil(UNIT)).ok()?).ok()
    }
}

/// What a request holds of the [`Budget`].
#[derive(Default)]
pub(crate) struct Charge {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Charge {
    /// Grows to `bytes`. `false` if there is not that much room.
    pub(crate) fn grow(&mut self, bytes: usize, budget: &Budget) -> bool {
        let Some(missing) = bytes.checked_sub(self.bytes.max(FREE)).filter(|&missing| missing > 0) else { return true };
        // In large steps: not every frame of a body goes to the semaphore.
        let missing = missing.max(2 * FREE);
        let Some(more) = budget.take(missing) else { return false };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.bytes = self.bytes.max(FREE) + missing;
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
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut length: usize = 0;
    let mut failure = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > limit {
            (first, rest, charge) = Default::default();
            failure = Some(Failure::TooLarge);
            if length > limit.saturating_mul(2) {
                break;
            }
        } else if failure.is_some() || !charge.grow(length.saturating_mul(2), budget) {
            failure = Some(Failure::NoRoom);
            (first, rest, charge) = Default::default();
        } else if first.is_empty() && rest.is_empty() {
            // The usual body is one frame, and is not copied.
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(body.size_hint().lower().min(1 << 20) as usize + length);
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok((if rest.is_empty() { first } else { Bytes::from(rest) }, charge)),
    }
}
