//! How long calls of the HSM take, and how they fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use framework::metrics::{Histogram, Measured, Page};

use super::HsmSeal;

/// Most codes that are told apart: a library may make up any.
const CODES: usize = 64;

/// Calls by what was asked and by which mechanism; failures by their code.
#[derive(Default)]
pub(super) struct Figures {
    calls: Mutex<BTreeMap<(&'static str, u32), Arc<Histogram>>>,
    failures: Mutex<BTreeMap<String, u64>>,
}

impl Figures {
    /// A call came back as it should.
    pub(super) fn took(&self, operation: &'static str, mechanism: u32, took: Duration) {
        // An `Arc`, so that the lock does not span the counting.
        let histogram = Arc::clone(lock(&self.calls).entry((operation, mechanism)).or_default());
        histogram.observe(took);
    }

    /// A call failed, and this is what was said.
    pub(super) fn failed(&self, message: &str) {
        let code =
            message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).find(|word| word.starts_with("CKR_"));
        let code = code.unwrap_or("other");
        let mut failures = lock(&self.failures);
        let code = if failures.len() < CODES || failures.contains_key(code) { code } else { "other" };
        *failures.entry(code.to_owned()).or_default() += 1;
    }
}

impl Measured for HsmSeal {
    fn measure(&self, page: &mut Page) {
        let seal = ("seal", self.name());
        let calls = lock(&self.figures.calls).clone();
        for ((operation, mechanism), histogram) in calls {
            let (times, mechanism) = (histogram.get(), format!("{mechanism:#06x}"));
            let labels = [seal, ("operation", operation), ("mechanism", mechanism.as_str())];
            page.histogram(
                "holdfast.hsm_operation_seconds",
                "Calls of the HSM that came back as they should.",
                &labels,
                times,
            );
            let vaults = match operation {
                "encrypt" => "vault.seal.encrypt.time",
                _ => "vault.seal.decrypt.time",
            };
            page.summary(vaults, "Milliseconds that the seal took.", &[("seal_name", self.name())], times);
        }
        for (code, number) in &*lock(&self.figures.failures) {
            page.counter(
                "holdfast.hsm_errors_total",
                "Failed calls of the HSM, by the CKR_ name.",
                &[seal, ("code", code)],
                *number,
            );
        }
        let state = self.state();
        let unhealthy = state.unhealthy_since.map_or(Duration::ZERO, |since| since.elapsed());
        let flag = |is: bool| f64::from(u8::from(is));
        page.gauge(
            "holdfast.hsm_healthy",
            "Whether the last call of the HSM came back as it should.",
            &[seal],
            flag(unhealthy.is_zero()),
        );
        page.gauge(
            "vault.seal.unreachable.time",
            "Milliseconds since the HSM does not do its part.",
            &[seal],
            unhealthy.as_secs_f64() * 1e3,
        );
        page.gauge("holdfast.hsm_queue", "Calls of the HSM under way.", &[seal], state.in_flight as f64);
        page.gauge(
            "holdfast.hsm_queue_limit",
            "Most calls of the HSM that may be under way.",
            &[seal],
            self.shared.limits().in_flight as f64,
        );
        page.counter(
            "holdfast.hsm_refused_total",
            "Calls that were refused since the queue was full or the HSM in trouble.",
            &[seal],
            state.refused,
        );
        page.counter(
            "holdfast.hsm_connections_total",
            "Processes of the HSM that were connected to.",
            &[seal],
            state.connections,
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
