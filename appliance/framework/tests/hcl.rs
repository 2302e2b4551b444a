//! The HCL parser through its public surface: what it takes, what it refuses and where it says so.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail the test they help")]

use std::time::Duration;

use framework::hcl::{self, Body, Value};
use proptest::prelude::*;

fn parse(text: &str) -> Body {
    hcl::parse(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// A body as text, so that two forms can be compared: `key[labels]=value`.
fn flat(body: &Body) -> String {
    let items = body.items.iter().map(|item| format!("{}{:?}={}", item.key, item.labels, value(&item.value)));
    items.collect::<Vec<_>>().join(" ")
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Number(number) => number.text().to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::List(values) => format!("[{}]", values.iter().map(self::value).collect::<Vec<_>>().join(",")),
        Value::Object(body) => format!("{{{}}}", flat(body)),
    }
}

fn string(text: &str) -> String {
    let body = parse(text);
    match &body.items[0].value {
        Value::String(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn takes_what_vaults_hcl_takes() {
    for (text, wanted) in [
        ("a = 1 b = 2", "a[]=1 b[]=2"),
        ("a=1,b=2,", "a[]=1 b[]=2"),
        (r#""a" = true"#, "a[]=true"),
        (r#""path" "x" { "k" = [1, "two", true,] }"#, r#"path["x"]={k[]=[1,"two",true]}"#),
        ("a b c { }", r#"a["b", "c"]={}"#),
        ("a = { b = 1 } a { b = 2 }", "a[]={b[]=1} a[]={b[]=2}"),
        ("# one\n// two\n/* three\n*/ a /* four */ = 1 # five", "a[]=1"),
        ("a = [,1,,[2],{b=3}]", "a[]=[1,[2],{b[]=3}]"),
        ("a\n=\n1", "a[]=1"),
        ("a.b-c = 0x1F", "a.b-c[]=0x1F"),
        ("a = -1.5e+3", "a[]=-1.5e+3"),
        ("", ""),
        ("\r\n# only a comment", ""),
        (r#" {"a": [1, true, {"b": null, "c": -2e1,}], "a": "x"} "#, "a[]=[1,true,{c[]=-2e1}] a[]=\"x\""),
    ] {
        assert_eq!(flat(&parse(text)), wanted, "{text}");
    }
}

#[test]
fn strings_heredocs_and_numbers_mean_what_they_mean_in_vault() {
    for (text, wanted) in [
        (r#"a = "${env["x"]} \u0041\x42\103\t\\\"""#, "${env[\"x\"]} ABC\t\\\""),
        ("a = \"${\n}\"", "${\n}"),
        ("a = \"é€😀\"", "é€😀"),
        ("a = <<EOF\none\n  two\n  EOF\n", "one\n  two\n  "),
        ("a = <<EOF\n  one\n  EOF\n", "  one\n  "),
        ("a = <<-EOF\n    one\n      two\n    EOF\n", "one\n  two\n"),
        ("a = <<-EOF\none\n  two\n  EOF\n", "one\n  two\n"),
        ("a = <<EOF\r\none\r\nEOF\r\n", "one\n"),
        (r#"{"a": "\ud83d\ude00\/"}"#, "😀/"),
    ] {
        assert_eq!(string(text), wanted, "{text}");
    }
    let number = |text: &str| match &parse(&format!("a = {text}")).items[0].value {
        Value::Number(number) => (number.integer(), number.float()),
        other => panic!("{other:?}"),
    };
    assert_eq!(number("0x10"), (Some(16), Some(16.0)));
    assert_eq!(number("010"), (Some(8), Some(8.0)));
    assert_eq!(number("-9223372036854775808").0, Some(i64::MIN));
    assert_eq!(number("2.5e1"), (None, Some(25.0)));
}

#[test]
fn errors_name_the_place() {
    for (text, line, column) in [
        ("a = \n  b", 2, 3),
        ("a", 1, 2),
        ("a = 1 }", 1, 7),
        ("x = 1\na {\n b = 1\n", 2, 3),
        ("a = [1 2]", 1, 8),
        ("a b = 1", 1, 5),
        ("a = 1x", 1, 5),
        ("a = 9223372036854775808", 1, 5),
        ("a = 09", 1, 5),
        ("é = \"\\q\"", 1, 7),
        ("a = \"x\ny\"", 1, 5),
        ("a = <<E\nx\n", 1, 5),
        ("a = 'x'", 1, 5),
        ("/* x", 1, 1),
        ("{\"a\": 1} x", 1, 10),
        ("{\"a\": 01}", 1, 7),
        ("{\n\"a\" 1}", 2, 5),
    ] {
        let error = hcl::parse(text).expect_err(text);
        assert_eq!((error.at.line, error.at.column), (line, column), "{text}: {error}");
    }
}

#[test]
fn depth_size_and_count_are_bounded() {
    for depth in [65, 5_000, 300_000] {
        for (open, close) in [("a = [", "]"), ("a {", "}"), ("[", "]")] {
            let text = format!("a = {}{}", open.repeat(depth), close.repeat(depth));
            assert!(hcl::parse(&text).is_err());
        }
        assert!(hcl::parse(&format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))).is_err());
        assert!(hcl::parse(&format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth))).is_err());
    }
    assert!(hcl::parse(&format!("a = {}{}", "[".repeat(63), "]".repeat(63))).is_ok());
    assert!(hcl::parse(&" ".repeat(hcl::MAX_BYTES + 1)).is_err());
    assert!(hcl::parse(&"a=1 ".repeat(100_000)).is_err());
}

#[test]
fn both_forms_give_the_same_blocks() {
    for text in [
        "path \"a\" { k = 1 } path \"b\" { k = 2 }",
        "path { \"a\" { k = 1 } \"b\" { k = 2 } }",
        r#"{"path": {"a": {"k": 1}, "b": {"k": 2}}}"#,
        r#"{"path": [{"a": {"k": 1}}, {"b": {"k": 2}}]}"#,
        r#"{"path": {"a": [{"k": 1}], "b": {"k": 2}}}"#,
    ] {
        let body = parse(text);
        let blocks = body.blocks("path", 1).unwrap();
        let shown: Vec<_> = blocks.iter().map(|block| format!("{} {}", block.label(), flat(block.body))).collect();
        assert_eq!(shown, ["a k[]=1", "b k[]=2"], "{text}");
    }
    for text in [
        "path \"a\" \"b\" {}",
        "path { \"a\" \"b\" {} }",
        "path = 1",
        "path \"a\" {} path { k = 1 }",
        "{\"path\": {\"a\": 1}}",
    ] {
        assert!(parse(text).blocks("path", 1).is_err(), "{text}");
    }
    let two = parse(r#"audit "file" "main" { a = 1 }"#);
    assert_eq!(two.blocks("audit", 2).unwrap()[0].labels, ["file", "main"]);
    assert_eq!(parse("hardening { a = 1 }").blocks("hardening", 0).unwrap().len(), 1);
}

#[test]
fn attributes_are_read_by_type_and_the_rest_is_refused() {
    let body = parse(
        "listener \"tcp\" {\n address = \"x\" tls_disable = \"1\" port = 0x10 ttl = \"1h\" names = [\"a\"] slot = 5\n adress = 1\n}",
    );
    let block = body.blocks("listener", 1).unwrap().remove(0);
    let mut reader = block.reader("listener");
    assert_eq!(reader.string("address").unwrap(), Some("x"));
    assert_eq!(reader.boolean("tls_disable").unwrap(), Some(true));
    assert_eq!(reader.integer("port").unwrap(), Some(16));
    assert_eq!(reader.duration("ttl").unwrap(), Some(Duration::from_secs(3600)));
    assert_eq!(reader.strings("names").unwrap(), Some(vec!["a"]));
    assert_eq!(reader.text("slot").unwrap(), Some("5"));
    assert_eq!(reader.string("absent").unwrap(), None);
    let error = reader.finish().unwrap_err();
    assert_eq!(
        error.in_file("config.hcl"),
        "config.hcl:3: unknown key `adress` in listener \"tcp\"; did you mean `address`?"
    );

    let mut reader = block.reader("listener");
    assert_eq!(
        reader.string("port").unwrap_err().to_string(),
        "line 2, column 34: `port` in listener \"tcp\" must be a string in double quotes; this is a number"
    );
    assert_eq!(reader.ignore(&["adress", "none"]), [("adress", hcl::Position { line: 3, column: 2 })]);
    assert!(parse("a = 1\na = 2").reader("x").value("a").unwrap_err().to_string().contains("line 2"));
}

#[test]
fn no_output_holds_a_value() {
    let body = parse("pin = \"s3cret\" n = 4711 l = [\"s3cret\"] o { pin = \"s3cret\" }");
    let shown = format!("{body:?}");
    assert!(shown.contains("pin") && !shown.contains("s3cret") && !shown.contains("4711"), "{shown}");
    for text in [
        "pin = s3cret",
        "pin = \"s3cret",
        "pin = \"s3cret\" \"s3cret\"",
        "pin = 4711s3cret",
        "pin = <<s3cret x",
        "{\"pin\": 1, \"s3cret\"}",
    ] {
        let error = hcl::parse(text).unwrap_err().to_string();
        assert!(!error.contains("s3cret") && !error.contains("4711"), "{error}");
    }
    let mut reader = body.reader("seal");
    for error in
        [reader.integer("pin").unwrap_err(), reader.duration("pin").unwrap_err(), reader.string("n").unwrap_err()]
    {
        assert!(!error.to_string().contains("s3cret") && !error.to_string().contains("4711"), "{error}");
    }
}

/// A value and how it is written.
fn written() -> impl Strategy<Value = (Value, String)> {
    let leaf = prop_oneof![
        "[^\\x00$]{0,8}".prop_map(|text| {
            let escaped = text.chars().map(|c| match c {
                '"' | '\\' => format!("\\{c}"),
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                c => c.to_string(),
            });
            (Value::String(text.clone()), format!("\"{}\"", escaped.collect::<String>()))
        }),
        any::<bool>().prop_map(|truth| (Value::Bool(truth), truth.to_string())),
        any::<i64>().prop_map(|number| (parse(&format!("n = {number}")).items.remove(0).value, number.to_string())),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|values| {
            let (values, texts): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            (Value::List(values), format!("[{}]", texts.join(" , ")))
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read((wanted, text) in written()) {
        for text in [format!("key = {text}"), format!("{{\"key\" : {text}\n}}"), format!("a=1 \"key\"={text},b=2")] {
            let body = parse(&text);
            prop_assert_eq!(value(&body.all("key").next().unwrap().value), value(&wanted), "{}", text);
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,80}", shaped in "[a\"{}\\[\\]=,<\\-E\n/*#$.0-9x\\\\: ]{0,60}") {
        let _ = hcl::parse(&text);
        let _ = hcl::parse(&shaped);
        let _ = hcl::parse(&format!("{{{shaped}"));
    }
}
