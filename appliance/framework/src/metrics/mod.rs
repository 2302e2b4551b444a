//! Figures of a running server: counted with atomic adds where things happen, gathered where they are asked for.
//!
//! Whoever counts keeps its own [`Counter`]s and [`Histogram`]s and writes them, and what it can tell at once, on the [`Page`]
//! that [`Measured::measure`] is given. Names are `vault.…` where Vault has the figure and means the same, ours are `holdfast.…`;
//! Prometheus sees an underscore for each dot.

mod json;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Something that happens.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Once more.
    #[inline]
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of a [`Histogram`], in microseconds: from a memory access to a deadline.
pub const BOUNDS: [u64; 15] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// How long things take.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By the first of [`BOUNDS`] that is not exceeded; the last for those that exceed all.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    /// One more took this long.
    #[inline]
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As it is now.
    pub fn get(&self) -> Times {
        Times {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed)),
            total: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}

/// What a [`Histogram`] held at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    buckets: [u64; BOUNDS.len() + 1],
    total: Duration,
}

impl Times {
    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// How a figure is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// It grows as long as the server runs.
    Counter,
    /// It comes and goes.
    Gauge,
    /// Sum and count; in milliseconds, as Vault's are.
    Summary,
    /// Counts by buckets, and their sum; in seconds.
    Histogram,
}

enum Value {
    Number(f64),
    Times(Times),
}

/// A figure's labels, with their values.
pub type Labels<'l> = &'l [(&'static str, &'l str)];

struct Family {
    kind: Kind,
    about: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, Value)>,
}

/// All figures at one moment.
#[derive(Default)]
pub struct Page {
    families: BTreeMap<&'static str, Family>,
    /// Put on every gauge.
    host: Option<String>,
}

impl Page {
    /// An empty page; with `host`, every gauge has it as a label.
    pub fn new(host: Option<String>) -> Self {
        Self { host, ..Self::default() }
    }

    /// Something that grows.
    pub fn counter(&mut self, name: &'static str, about: &'static str, labels: Labels<'_>, value: u64) {
        self.add(name, about, Kind::Counter, labels, Value::Number(value as f64));
    }

    /// Something that comes and goes.
    pub fn gauge(&mut self, name: &'static str, about: &'static str, labels: Labels<'_>, value: f64) {
        self.add(name, about, Kind::Gauge, labels, Value::Number(value));
    }

    /// Times as Vault tells them: their sum in milliseconds and their number.
    pub fn summary(&mut self, name: &'static str, about: &'static str, labels: Labels<'_>, times: Times) {
        self.add(name, about, Kind::Summary, labels, Value::Times(times));
    }

    /// Times by buckets, in seconds.
    pub fn histogram(&mut self, name: &'static str, about: &'static str, labels: Labels<'_>, times: Times) {
        self.add(name, about, Kind::Histogram, labels, Value::Times(times));
    }

    fn add(&mut self, name: &'static str, about: &'static str, kind: Kind, labels: Labels<'_>, value: Value) {
        let host = self.host.iter().filter(|_| kind == Kind::Gauge).map(|host| ("host", host.clone()));
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).chain(host).collect();
        let family = self.families.entry(name).or_insert(Family { kind, about, samples: Vec::new() });
        family.samples.push((labels, value));
    }
}

/// A part of the server that has figures. Asked while requests run: it takes no lock for longer than it takes to copy a number.
pub trait Measured: Send + Sync {
    /// Writes them on the page.
    fn measure(&self, page: &mut Page);
}
