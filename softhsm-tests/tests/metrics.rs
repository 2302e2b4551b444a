//! `sys/metrics`: the form, who may see it, and that what happens is counted.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde_json::json;
use softhsm_tests::{Fault, Order, Seal, Server, Setup};

/// Samples by name and labels, as they stand in the text.
type Samples = BTreeMap<String, f64>;

/// Reads Prometheus' text form, and panics at what it does not allow.
fn parse(text: &str) -> Samples {
    let (mut kinds, mut samples) = (BTreeMap::new(), Samples::new());
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", _, about] => assert!(!about.is_empty(), "{line}"),
            ["#", "TYPE", name, kind] => {
                assert!(["counter", "gauge", "summary", "histogram"].contains(kind), "{line}");
                assert!(kinds.insert((*name).to_owned(), (*kind).to_owned()).is_none(), "twice: {line}");
            }
            _ => {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let name = series.split('{').next().unwrap();
                let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
                assert!(name.chars().all(valid) && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let kind = kinds.get(name).or_else(|| kinds.get(base?)).unwrap_or_else(|| panic!("untyped: {line}"));
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite() && (kind == "gauge" || value >= 0.0), "{line}");
                assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
    }
    for (name, _) in kinds.iter().filter(|(_, kind)| *kind == "histogram") {
        let bucket = format!("{name}_bucket");
        let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (sample, value) in samples.iter().filter(|(sample, _)| sample.starts_with(&bucket)) {
            let (labels, bound) = sample.strip_suffix("\"}").unwrap().rsplit_once("le=\"").unwrap();
            let labels = labels[bucket.len() + 1..].trim_end_matches(',').to_owned();
            series.entry(labels).or_default().push((bound.parse().unwrap_or(f64::INFINITY), *value));
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels}");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, samples[&format!("{name}_count{labels}")])), "{name}");
        }
    }
    samples
}

fn scrape(server: &Server, token: &str) -> Samples {
    let url = format!("{}/v1/sys/metrics?format=prometheus", server.address());
    let mut answer = ureq::get(url).header("X-Vault-Token", token).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    parse(&answer.body_mut().read_to_string().unwrap())
}

#[test]
fn what_happens_is_counted() {
    let extra = "telemetry { prometheus_retention_time = \"1h\" usage_gauge_period = \"1s\" }\n".to_owned();
    let server = Server::start(Setup { extra, ..Setup::new(Seal::CloudHsm, "redb") });
    let client = server.client();
    server.mount("kv2", true);
    let before = scrape(&server, &server.root_token);
    for n in 0..5 {
        assert!(client.put(&format!("kv2/data/s{n}"), "v"));
        client.get("kv2/data/s0").ok();
    }
    client.delete("kv2/data/s4");
    client.with_token("hvs.no").get("kv2/data/s0").is(403);
    server.hsm().faults().inject(Fault::always("C_Encrypt", [Order::Return(0x31)]));
    client.post("kv2/data/s0", json!({"data": {}})).is(503);
    server.hsm().faults().clear();
    // A new mount does not make the others begin anew.
    server.mount("other", false);

    let after = scrape(&server, &server.root_token);
    let grown = |name: &str| after[name] - before.get(name).copied().unwrap_or_default();
    let requests = |operation: &str| {
        grown(&format!("holdfast_requests_total{{mount=\"kv2/\",type=\"kv\",operation=\"{operation}\"}}"))
    };
    assert_eq!((requests("read"), requests("write"), requests("delete"), requests("list")), (6.0, 6.0, 1.0, 0.0));
    assert!(grown("vault_core_handle_request_count") >= 14.0);
    assert!(grown("holdfast_journal_records_total") >= 6.0 && grown("holdfast_journal_syncs_total") >= 1.0);
    assert!(
        grown("holdfast_hsm_operation_seconds_count{seal=\"pkcs11\",operation=\"encrypt\",mechanism=\"0x1087\"}")
            >= 5.0,
        "{after:?}"
    );
    assert!(grown("holdfast_hsm_errors_total{seal=\"pkcs11\",code=\"CKR_DEVICE_MEMORY\"}") >= 1.0);
    assert!(after["vault_runtime_alloc_bytes"] > 1e5 && after["holdfast_guarded_memory_bytes{state=\"used\"}"] > 0.0);
    let unsealed = after.iter().find(|(name, _)| name.starts_with("vault_core_unsealed{cluster=\"")).unwrap();
    assert_eq!(*unsealed.1, 1.0);
    softhsm_tests::eventually("the tokens are counted", || {
        let now = scrape(&server, &server.root_token);
        (now.get("vault_token_count{namespace=\"root\"}").copied() >= Some(1.0)).then_some(())
    });

    let json = client.get("sys/metrics").ok();
    let counters = json["Counters"].as_array().unwrap().iter();
    let mut kv2 =
        counters.filter(|counter| counter["Labels"]["mount"] == "kv2/" && counter["Labels"]["operation"] == "write");
    assert_eq!(kv2.next().unwrap()["Count"], 6.0, "{json}");
    assert!(json["Gauges"].as_array().unwrap().iter().any(|gauge| gauge["Name"] == "vault.core.unsealed"));
    client.get("sys/metrics?format=xml").is(400);
    client.with_token("hvs.no").get("sys/metrics").is(403);
}

#[test]
fn who_asks_without_a_token_is_let_in_where_the_configuration_says_so() {
    let extra = "telemetry { unauthenticated_metrics_access = true  disable_hostname = false }\n".to_owned();
    let server = Server::start(Setup { extra, ..Setup::new(Seal::Shamir, "memory") });
    let sealed =
        |samples: &Samples| samples.iter().find(|(name, _)| name.starts_with("vault_core_unsealed")).unwrap().1 == &0.0;
    let open = scrape(&server, "");
    assert!(!sealed(&open) && open.keys().any(|name| name.contains("host=\"")), "{open:?}");
    server.client().post("sys/seal", json!({})).ok();
    assert!(sealed(&scrape(&server, "")));

    let extra = "telemetry { prometheus_retention_time = 0 }\n".to_owned();
    let server = Server::start(Setup { extra, ..Setup::new(Seal::Shamir, "memory") });
    server.client().get("sys/metrics?format=prometheus").is(400);
    server.client().with_token("").get("sys/metrics").is(403);
    server.client().get("sys/metrics").ok();

    let server = Server::prepare(Setup {
        extra: "telemetry { statsd_address = \"a:1\" }\n".into(),
        ..Setup::new(Seal::Shamir, "memory")
    });
    let (code, said) = server.refused();
    assert!(code == 1 && said.contains("statsd_address"), "{code} {said}");
}
