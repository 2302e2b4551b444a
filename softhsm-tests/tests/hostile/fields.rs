//! Every route that the server says it has, with values of every wrong kind in every field: from its own OpenAPI document.

use serde_json::{Map, Value, json};
use softhsm_tests::Client;

use crate::target::Target;

/// These do what they say whatever stands in the body, so they are not for trying out; and
/// snapshots are files, with a suite of their own.
const LEFT_OUT: &[&str] = &[
    "/sys/seal",
    "/sys/step-down",
    "/auth/token/revoke-self",
    "/sys/storage/raft/snapshot",
    "/sys/storage/raft/snapshot-force",
];

/// One operation: method, path pattern, fields with their types.
struct Route {
    method: &'static str,
    path: String,
    fields: Vec<(String, String)>,
}

fn routes(client: &Client) -> Vec<Route> {
    let document = client.get("sys/internal/specs/openapi").ok();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (name, method) in
            [("get", "GET"), ("get", "LIST"), ("post", "POST"), ("patch", "PATCH"), ("delete", "DELETE")]
        {
            let operation = &operations[name];
            if operation.is_null() || LEFT_OUT.contains(&path.as_str()) {
                continue;
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            let of_body = body.as_object().into_iter().flatten().map(|(name, schema)| (name.clone(), kind(schema)));
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let of_query = parameters.filter(|parameter| parameter["in"] == "query");
            let of_query = of_query.map(|each| (each["name"].as_str().unwrap().to_owned(), kind(&each["schema"])));
            routes.push(Route { method, path: path.clone(), fields: of_body.chain(of_query).collect() });
        }
    }
    assert!(routes.len() > 50, "{} routes", routes.len());
    routes
}

fn kind(schema: &Value) -> String {
    schema["type"].as_str().unwrap_or("any").to_owned()
}

/// The pattern with `with` in place of its parts.
fn filled(path: &str, with: &str) -> String {
    let mut text = String::new();
    for (number, part) in path.trim_start_matches('/').split('{').enumerate() {
        match part.split_once('}') {
            Some((_, rest)) if number > 0 => text.extend([with, rest]),
            _ => text.push_str(part),
        }
    }
    text
}

/// What fits a type.
fn fitting(kind: &str) -> Value {
    match kind {
        "string" => json!("hostile"),
        "integer" => json!(1),
        "boolean" => json!(false),
        "array" => json!(["hostile"]),
        _ => json!({"hostile": "hostile"}),
    }
}

fn wrong() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let numbers = ["-1", "1e400", "0.5", "18446744073709551616", "-9223372036854775809", "1E-5"];
    let numbers = numbers.into_iter().map(|text| serde_json::from_str(text).unwrap_or(json!(text)));
    [
        json!(null),
        json!(true),
        json!(""),
        json!("\u{0}\u{1b}[31m\u{202e}"),
        json!("-1h"),
        json!("99999999999999999999h"),
        json!("x".repeat(20_000)),
        json!("../../.."),
        json!([]),
        json!([[]]),
        json!([null, 1, {"a": []}]),
        json!({}),
        json!({"": {"": null}}),
        json!({"a": "b", "c": [1]}),
        deep,
    ]
    .into_iter()
    .chain(numbers)
    .collect()
}

#[track_caller]
fn survives(client: &Client, method: &str, path: &str, body: &Value) {
    let answer = if matches!(method, "POST" | "PATCH") {
        client.try_call(method, path, Some(body))
    } else {
        let query = body.as_object().into_iter().flatten().map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}={}", text.bytes().take(2000).map(|byte| format!("%{byte:02x}")).collect::<String>())
        });
        client.try_call(method, &format!("{path}?{}", query.collect::<Vec<_>>().join("&")), None)
    };
    let answer = answer.unwrap_or_else(|| panic!("no answer: {method} {path} {body}"));
    assert!(answer.status < 500, "{method} {path} {body}: {} {}", answer.status, answer.json);
}

pub fn wrong_types(target: &Target) {
    let client = target.client();
    let mut tried = 0;
    for route in routes(&client) {
        let path = filled(&route.path, "hostile");
        let all: Map<String, Value> = route.fields.iter().map(|(name, kind)| (name.clone(), fitting(kind))).collect();
        survives(&client, route.method, &path, &Value::Object(all.clone()));
        for (name, _) in &route.fields {
            for value in wrong() {
                let mut body = all.clone();
                body.insert(name.clone(), value.clone());
                survives(&client, route.method, &path, &Value::Object(body));
                survives(&client, route.method, &path, &json!({name: value}));
                tried += 2;
            }
        }
    }
    assert!(tried > 2000, "{tried}");
}

/// Names that are no names, in the place of every part of every path.
pub fn hostile_names(target: &Target) {
    let client = target.client();
    let long = "x".repeat(3000);
    let deep = "x/".repeat(100);
    let names =
        ["..", ".", "%2e%2e", "%00", "%ff", "a%2fb", "a%0ab", "%25", "*", "+", "%F0%9F%94%91", "x/", " ", &long, &deep];
    for route in routes(&client).iter().filter(|route| route.path.contains('{')) {
        for name in names {
            let name = name.replace(' ', "%20");
            let fields = route.fields.iter().map(|(name, kind)| (name.clone(), fitting(kind))).collect();
            survives(&client, route.method, &filled(&route.path, &name), &Value::Object(fields));
        }
    }
}
