//! The API of each engine as a file that a review sees change. `UPDATE=1 cargo test -p engines` writes them anew.
#![cfg(test)]

use framework::{Engine, Field};

fn fields(fields: &[Field]) -> String {
    let shown = |field: &Field| {
        let mark = if field.required { "!" } else { "" };
        format!("{}{mark}:{:?}", field.name, field.kind)
    };
    fields.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn describe(engine: &Engine) -> String {
    let mut text = format!("{}\nseal-wrapped: {:?}\n", engine.kind, engine.seal_wrapped);
    for route in &engine.routes {
        let line = format!(
            "\n{} {} {:?}\n  < {}\n  > {}\n",
            route.operation,
            route.pattern.as_str(),
            route.access,
            fields(&route.request),
            fields(&route.response)
        );
        text.push_str(&line);
    }
    text
}

#[test]
fn the_api_is_the_one_in_the_file() {
    for engine in [engines::kv::v1(), engines::kv::v2()] {
        let path = format!("{}/api/{}.txt", env!("CARGO_MANIFEST_DIR"), engine.kind);
        let now = describe(&engine);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), now, "{path}");
    }
}
