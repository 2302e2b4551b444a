//! The stanza `telemetry`, at the top and in a listener.

use std::time::Duration;

use framework::hcl::{ParseError, Reader};

use super::read::one;

/// What Vault and OpenBao take and what means nothing here: the figures are few, and leases are counted, not put in buckets.
const MEANINGLESS: &[&str] = &[
    "add_lease_metrics_namespace_labels",
    "add_mount_point_rollback_metrics",
    "enable_hostname_label",
    "filter_default",
    "lease_metrics_epsilon",
    "maximum_gauge_cardinality",
    "metrics_prefix",
    "num_lease_metrics_buckets",
    "prefix_filter",
];

/// Figures for those who watch the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    /// Whether Prometheus' form is given. What is counted is kept for the life of the server, so the time itself says no more.
    prometheus: Option<bool>,
    unauthenticated: Option<bool>,
    hostname: Option<bool>,
    usage: Option<Duration>,
}

impl Telemetry {
    /// The stanza at the top.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Result<(), ParseError> {
        let Some(block) = one(reader, "telemetry", 0)? else { return Ok(()) };
        let mut inner = block.reader("telemetry");
        let retention = inner.duration("prometheus_retention_time")?;
        self.prometheus = retention.map(|retention| !retention.is_zero()).or(self.prometheus);
        self.hostname = inner.boolean("disable_hostname")?.map(|disabled| !disabled).or(self.hostname);
        self.usage = match inner.text("usage_gauge_period")? {
            Some("none") => Some(Duration::ZERO),
            Some(period) => {
                let parsed = framework::duration::parse(period);
                Some(parsed.ok_or_else(|| {
                    inner.error(
                        "usage_gauge_period",
                        "usage_gauge_period must be a duration such as \"10m\", or \"none\"",
                    )
                })?)
            }
            None => self.usage,
        };
        self.unauthenticated = inner.boolean("unauthenticated_metrics_access")?.or(self.unauthenticated);
        for (key, at) in inner.ignore(MEANINGLESS) {
            warnings.push(format!("line {}: `{key}` of telemetry has no effect on this server", at.line));
        }
        inner.finish()
    }

    /// The stanza in a listener. It holds for the whole server.
    pub(super) fn read_listener(&mut self, reader: &mut Reader<'_>) -> Result<(), ParseError> {
        let Some(block) = one(reader, "telemetry", 0)? else { return Ok(()) };
        let mut inner = block.reader("telemetry");
        self.unauthenticated = inner.boolean("unauthenticated_metrics_access")?.or(self.unauthenticated);
        inner.finish()
    }

    /// Whether Prometheus' form is given.
    pub(crate) fn prometheus(&self) -> bool {
        self.prometheus.unwrap_or(true)
    }

    /// Whether anybody gets the figures.
    pub(crate) fn unauthenticated(&self) -> bool {
        self.unauthenticated.unwrap_or(false)
    }

    /// Whether the gauges name the machine.
    pub(crate) fn hostname(&self) -> bool {
        self.hostname.unwrap_or(false)
    }

    /// How often tokens and leases are counted; `None` for never.
    pub(crate) fn usage_period(&self) -> Option<Duration> {
        Some(self.usage.unwrap_or(Duration::from_secs(600))).filter(|period| !period.is_zero())
    }
}
