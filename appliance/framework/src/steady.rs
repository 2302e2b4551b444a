//! A clock that does not believe every jump.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::{Clock, Timestamp};

/// A difference up to this is a correction, and is followed at once.
const CORRECTION: Duration = Duration::from_secs(2);

/// Nothing differs.
const AGREED: i64 = 0;

/// The time of another clock, unless that jumps: then time goes on as it did, until the other clock has stood by its jump for a
/// while. A clock that is set wrong and soon set right again ends no lease and no token, and gives none more time.
pub struct SteadyClock<C> {
    inner: C,
    started: Instant,
    /// How long a jump must last to be believed.
    patience: Duration,
    /// The other clock's time at the start, in nanoseconds, as its corrections and the jumps that were believed left it.
    offset: AtomicI64,
    /// Since when it differs: nanoseconds since the start, never [`AGREED`].
    since: AtomicI64,
}

impl<C: Clock> SteadyClock<C> {
    /// Believes jumps that last for `patience`.
    pub fn new(inner: C, patience: Duration) -> Self {
        let offset = AtomicI64::new(inner.now().nanos());
        Self { inner, started: Instant::now(), patience, offset, since: AtomicI64::new(AGREED) }
    }

    fn at(&self, elapsed: Duration, other: Timestamp) -> Timestamp {
        let elapsed = nanos(elapsed);
        let (offset, seen) = (self.offset.load(Ordering::Relaxed), other.nanos().saturating_sub(elapsed));
        let agreed = seen.saturating_sub(offset).unsigned_abs() <= nanos(CORRECTION).unsigned_abs();
        let since = self.since.load(Ordering::Relaxed);
        let lasted = since != AGREED && elapsed.saturating_sub(since) >= nanos(self.patience);
        if agreed || lasted {
            // Threads that come here at once write the same but for the time that passed between them.
            self.offset.store(seen, Ordering::Relaxed);
            if since != AGREED {
                self.since.store(AGREED, Ordering::Relaxed);
            }
            return other;
        }
        if since == AGREED {
            self.since.store(elapsed.max(AGREED + 1), Ordering::Relaxed);
        }
        Timestamp::from_nanos(offset.saturating_add(elapsed))
    }
}

impl<C: Clock> Clock for SteadyClock<C> {
    fn now(&self) -> Timestamp {
        self.at(self.started.elapsed(), self.inner.now())
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_000)
        }
    }

    /// What the clock says, in seconds, when the other one says `other` at `elapsed` seconds.
    fn says(clock: &SteadyClock<Fixed>, elapsed: u64, other: i64) -> i64 {
        clock.at(Duration::from_secs(elapsed), Timestamp::from_secs(other)).secs()
    }

    #[test]
    fn a_jump_is_believed_when_it_lasts() {
        for jump in [1_000_000, -900] {
            let clock = SteadyClock::new(Fixed, Duration::from_secs(60));
            assert_eq!(says(&clock, 10, 1_010), 1_010);
            assert_eq!(says(&clock, 20, 1_021), 1_021, "a correction");
            assert_eq!(says(&clock, 30, 1_031 + jump), 1_031, "not at once");
            assert_eq!(says(&clock, 80, 1_081 + jump), 1_081, "not yet");
            assert_eq!(says(&clock, 85, 1_086), 1_086, "it was set right again");
            assert_eq!(says(&clock, 88, 1_089 + jump), 1_089, "doubted anew");
            assert_eq!(says(&clock, 150, 1_151 + jump), 1_151 + jump, "believed");
            assert_eq!(says(&clock, 160, 1_161 + jump), 1_161 + jump);
        }
    }
}
