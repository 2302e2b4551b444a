//! The form of Vault's `sys/metrics` in JSON: names with dots, in lists by their kind.

use crate::{Json, Map, Timestamp};

use super::{Kind, Page, Value};

impl Page {
    /// The page as Vault's clients read it.
    pub fn json(&self, now: Timestamp) -> Map<String, Json> {
        let (mut gauges, mut counters, mut samples) = (Vec::new(), Vec::new(), Vec::new());
        for (name, family) in &self.families {
            for (labels, value) in &family.samples {
                let labels: Map<String, Json> =
                    labels.iter().map(|(label, value)| ((*label).to_owned(), value.as_str().into())).collect();
                let mut entry = Map::from_iter([("Name".to_owned(), Json::from(*name))]);
                let list = match (family.kind, value) {
                    (Kind::Gauge, Value::Number(number)) => {
                        entry.insert("Value".into(), (*number).into());
                        &mut gauges
                    }
                    (_, Value::Number(number)) => {
                        // All that is known of a counter is how far it has come.
                        entry.extend(aggregate(*number, *number));
                        &mut counters
                    }
                    (kind, Value::Times(times)) => {
                        let unit = if kind == Kind::Summary { 1e3 } else { 1.0 };
                        entry.extend(aggregate(times.count() as f64, times.total.as_secs_f64() * unit));
                        &mut samples
                    }
                };
                entry.insert("Labels".into(), Json::Object(labels));
                list.push(Json::Object(entry));
            }
        }
        let text = now.to_string();
        let timestamp =
            format!("{} {} +0000 UTC", text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default());
        Map::from_iter([
            ("Timestamp".to_owned(), timestamp.into()),
            ("Gauges".to_owned(), gauges.into()),
            ("Points".to_owned(), Json::Array(Vec::new())),
            ("Counters".to_owned(), counters.into()),
            ("Samples".to_owned(), samples.into()),
            ("PrecisionGauges".to_owned(), Json::Array(Vec::new())),
        ])
    }
}

/// How many, their sum, and their mean.
fn aggregate(count: f64, sum: f64) -> [(String, Json); 3] {
    let mean = if count > 0.0 { sum / count } else { 0.0 };
    [("Count".to_owned(), count.into()), ("Sum".to_owned(), sum.into()), ("Mean".to_owned(), mean.into())]
}
