//! Any text: the parser ends, and what it takes can be read by every accessor.
#![no_main]

use framework::hcl::{self, Body, Value};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match hcl::parse(text) {
        Ok(body) => walk(&body),
        Err(error) => assert!(error.at.line >= 1 && error.at.column >= 1 && !error.message.is_empty()),
    }
});

fn walk(body: &Body) {
    let mut reader = body.reader("it");
    for item in body.items.iter().take(50) {
        let key = item.key.as_str();
        let _ = reader.string(key);
        let _ = reader.boolean(key);
        let _ = reader.integer(key);
        let _ = reader.duration(key);
        let _ = reader.strings(key);
        for labels in 0..3 {
            let _ = body.blocks(key, labels);
        }
        if let Value::Object(body) = &item.value {
            walk(body);
        }
    }
    let _ = body.reader("it").finish();
    let _ = format!("{body:?}");
}
