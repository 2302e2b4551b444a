//! Asking the HSM from time to time, so that its loss is noticed before somebody needs it. Nothing is ever sealed for it.

use std::time::{Duration, Instant};

use hardening::random_bytes;

use super::HsmSeal;

/// How often the HSM is asked: the settings `health_check_…` of the seal stanza, with OpenBao's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// Whether at all.
    pub enabled: bool,
    /// Pause between two questions.
    pub interval: Duration,
    /// The same while it does not answer as it should.
    pub interval_unhealthy: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for HealthCheck {
    /// Every 10 minutes, every 10 seconds in trouble, 5 seconds each.
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(600),
            interval_unhealthy: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        }
    }
}

/// When the HSM is asked next.
pub struct Heartbeat {
    check: HealthCheck,
    next: Instant,
    /// The connection that was asked last.
    connection: u64,
}

impl Heartbeat {
    /// Begins at once.
    pub fn new(check: HealthCheck) -> Self {
        Self { check, next: Instant::now(), connection: 0 }
    }

    /// Asks if it is time to, or if the HSM process is a new one. Call it often. May take as long as the timeout.
    pub fn tick(&mut self, seal: &HsmSeal) {
        let connection = seal.state().connections;
        if !self.check.enabled || (Instant::now() < self.next && connection == self.connection) {
            return;
        }
        self.connection = connection;
        // What goes wrong is kept in the seal's state, and said in the log there.
        let healthy = seal.describe_within(Some(self.check.timeout)).is_ok();
        let pause = if healthy { self.check.interval } else { self.check.interval_unhealthy };
        self.next = Instant::now() + jittered(pause);
    }
}

/// A tenth more or less, so that many servers do not ask one HSM at the same time.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    random_bytes(&mut random);
    pause * 9 / 10 + pause * u32::from(random[0]) / 1280
}
