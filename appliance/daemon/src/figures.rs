//! All figures of this server, for `sys/metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use barrier::{Barrier, SealWrap};
use framework::metrics::{Histogram, Measured, Page};
use framework::{Error, MountId, Prefix, SealControl, Transaction};
use hardening::arena;
use pipeline::Shares;
use registry::{Registry, Rewrap, Usage};
use storage::Storage;

/// Whoever has figures.
pub(crate) struct Figures {
    pub(crate) control: Arc<dyn SealControl>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) barrier: Arc<Barrier<SealWrap<Arc<Storage>>>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) hsms: Vec<Arc<seals::HsmSeal>>,
    /// What seal-wrapped mounts have of them, if there are any.
    pub(crate) shares: Option<Arc<Shares>>,
    /// How long requests took.
    pub(crate) handled: Arc<Histogram>,
    /// The name of the machine, where gauges are to have it.
    pub(crate) host: Option<String>,
    pub(crate) usage: Mutex<Option<Usage>>,
}

impl Figures {
    /// All of them, now.
    pub(crate) fn page(&self) -> Page {
        let mut page = Page::new(self.host.clone());
        let status = self.control.status();
        let cluster = [("cluster", status.cluster_name.as_deref().unwrap_or_default())];
        page.gauge(
            "vault.core.unsealed",
            "Whether the server is unsealed.",
            &cluster,
            if status.sealed { 0.0 } else { 1.0 },
        );
        page.gauge(
            "vault.core.active",
            "Whether the server answers by itself.",
            &cluster,
            if status.sealed { 0.0 } else { 1.0 },
        );
        let handled = self.handled.get();
        page.summary(
            "vault.core.handle_request",
            "Milliseconds from a worker's taking a request to its answer.",
            &[],
            handled,
        );
        page.histogram("holdfast.request_seconds", "From a worker's taking a request to its answer.", &[], handled);
        self.storage.measure(&mut page);
        self.registry.measure(&mut page);
        self.hsms.iter().for_each(|hsm| hsm.measure(&mut page));
        self.shares.iter().for_each(|shares| shares.measure(&mut page));
        self.keys(&mut page);
        self.usage(&mut page);
        self.memory(&mut page);
        page
    }

    /// Counts tokens and leases anew; [`Error::Sealed`] while sealed.
    pub(crate) fn count_usage(&self) -> Result<(), Error> {
        let usage = self.registry.usage(&*self.barrier)?;
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
        Ok(())
    }

    fn keys(&self, page: &mut Page) {
        let cached = self.barrier.store().cached();
        page.gauge(
            "holdfast.entry_keys_cached",
            "Entry keys of seal-wrapped values in guarded memory.",
            &[],
            cached as f64,
        );
        if let Some(newest) = self.barrier.terms().ok().and_then(|terms| terms.last().copied()) {
            let term = newest.term.to_string();
            let about = "Values encrypted with the data key in use: never less than the true number.";
            page.counter("vault.barrier.estimated_encryptions", about, &[("term", &term)], newest.encryptions);
        }
        let transaction = Transaction::new(&*self.barrier);
        let view = transaction.view(Prefix::root(), MountId::default(), &[]);
        if let Ok(rewrap) = Rewrap::read(&view) {
            page.gauge(
                "holdfast.rewrap_running",
                "Whether a full rewrap is under way.",
                &[],
                f64::from(u8::from(rewrap.running)),
            );
            for (result, number) in [("succeeded", rewrap.processed - rewrap.failed), ("failed", rewrap.failed)] {
                page.gauge(
                    "holdfast.rewrap_records",
                    "Records of the last full rewrap.",
                    &[("result", result)],
                    number as f64,
                );
            }
        }
    }

    fn usage(&self, page: &mut Page) {
        let Some(usage) = *self.usage.lock().unwrap_or_else(PoisonError::into_inner) else { return };
        page.gauge("vault.token.count", "Service tokens.", &[("namespace", "root")], usage.tokens as f64);
        page.gauge("vault.expire.num_leases", "Secrets and tokens that end.", &[], usage.leases as f64);
        let about = "Secrets that could not be taken back.";
        page.gauge("vault.expire.num_irrevocable_leases", about, &[], usage.irrevocable as f64);
    }

    fn memory(&self, page: &mut Page) {
        let guarded = arena::usage();
        for (state, bytes) in [("size", guarded.size), ("used", guarded.used)] {
            page.gauge("holdfast.guarded_memory_bytes", "Locked memory for keys.", &[("state", state)], bytes as f64);
        }
        // What the kernel says of the process lies in /proc, which the process may not read.
        let heap = hardening::heap_usage();
        page.gauge("vault.runtime.alloc_bytes", "Memory in use on the heap.", &[], heap.used as f64);
        page.gauge("vault.runtime.sys_bytes", "Memory that the heap has from the system.", &[], heap.size as f64);
    }
}
