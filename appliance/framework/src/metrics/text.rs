//! Prometheus' text form, version 0.0.4.

use std::fmt::Write;

use super::{BOUNDS, Kind, Page, Times, Value};

impl Page {
    /// Its media type.
    pub const TEXT: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// The page as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            let name = &name.replace('.', "_");
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Summary => "summary",
                Kind::Histogram => "histogram",
            };
            // Writing to text does not fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.about);
            for (labels, value) in &family.samples {
                let labels: Vec<String> = labels.iter().map(|(label, value)| label_text(label, value)).collect();
                match value {
                    Value::Number(number) => sample(&mut text, name, "", &labels, *number),
                    Value::Times(times) if family.kind == Kind::Histogram => histogram(&mut text, name, labels, times),
                    Value::Times(times) => {
                        sample(&mut text, name, "_sum", &labels, times.total.as_secs_f64() * 1e3);
                        sample(&mut text, name, "_count", &labels, times.count() as f64);
                    }
                }
            }
        }
        text
    }
}

fn histogram(text: &mut String, name: &str, labels: Vec<String>, times: &Times) {
    let bounds = BOUNDS.iter().map(|micros| (*micros as f64 / 1e6).to_string());
    let mut below = 0;
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(times.buckets) {
        below += count;
        let mut labels = labels.clone();
        labels.push(label_text("le", &bound));
        sample(text, name, "_bucket", &labels, below as f64);
    }
    sample(text, name, "_sum", &labels, times.total.as_secs_f64());
    sample(text, name, "_count", &labels, times.count() as f64);
}

fn sample(text: &mut String, name: &str, suffix: &str, labels: &[String], value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "{name}{suffix}{labels} {value}");
}

fn label_text(label: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{label}=\"{value}\"")
}
