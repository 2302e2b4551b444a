//! The API of each auth method as a file that a review sees change. `UPDATE=1 cargo test -p auth` writes them anew.
#![cfg(test)]
#![allow(clippy::unwrap_used)]

#[test]
fn the_api_is_the_one_in_the_file() {
    for engine in [auth::userpass::engine(), auth::approle::engine(), auth::cert::engine()] {
        let path = format!("{}/api/{}.txt", env!("CARGO_MANIFEST_DIR"), engine.kind);
        let now = engine.api();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), now, "{path}");
    }
}
