//! A body: what is taken has no more values than allowed, and reads the same when it is written and read again.
#![no_main]

use serde_json::Value;

const VALUES: usize = 50;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let Some(fields) = server::fuzzing::json(body, VALUES) else { return };
    let fields = Value::Object(fields);
    // A short body may have as many values as it has bytes.
    assert!(count(&fields) <= VALUES.max(body.len()), "{}", count(&fields));
    let again = server::fuzzing::json(fields.to_string().as_bytes(), usize::MAX).map(Value::Object);
    assert_eq!(again, Some(fields));
});

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(|value| 1 + count(value)).sum(),
        _ => 0,
    }
}
