//! A request's head: method, target, then headers, a line each. A path without a fault holds none of the known tricks.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", text));
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let Some(decoded) = server::fuzzing::head(method, target, &headers) else { return };
    if decoded.sound {
        let path = &decoded.path;
        assert!(!path.starts_with('/') && !path.contains("//") && !path.chars().any(char::is_control), "{path:?}");
        assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path:?}");
    }
    let _ = server::fuzzing::form(target);
});
