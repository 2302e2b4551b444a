//! A client of the HTTP API that takes every status for an answer.

use std::time::Duration;

use serde_json::{Value, json};

#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    pub base: String,
    pub token: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub json: Value,
}

impl Response {
    /// The answer, if its status is one of the 2xx; panics otherwise.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.json);
        self.json
    }

    /// The answer, if it has this status; panics otherwise.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// The errors as one text.
    pub fn errors(&self) -> String {
        self.json["errors"].to_string()
    }
}

impl Client {
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { agent: config.into(), base: base.into(), token: token.into(), headers: Vec::new() }
    }

    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    pub fn with_header(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.into()));
        client
    }

    /// `None` when there is no answer at all.
    pub fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Response> {
        self.try_send(method, path, body.map(|body| body.to_string()).unwrap_or_default())
    }

    /// Sends a body that need not be JSON.
    pub fn try_send(&self, method: &str, path: &str, body: String) -> Option<Response> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.base))
            .header("X-Vault-Token", &self.token)
            .header("Content-Type", kind);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut response = self.agent.run(request.body(body).unwrap()).ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        Some(Response { status: response.status().as_u16(), json: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.try_call(method, path, body).unwrap_or_else(|| panic!("no answer: {method} {path}"))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.call("GET", path, None)
    }

    #[track_caller]
    pub fn list(&self, path: &str) -> Response {
        self.call("LIST", path, None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Response {
        self.call("POST", path, Some(&body))
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Response {
        self.call("PATCH", path, Some(&body))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.call("DELETE", path, None)
    }

    /// Writes a KV v2 secret; whether it was acknowledged.
    pub fn put(&self, path: &str, value: &str) -> bool {
        let body = json!({"data": {"value": value}});
        self.try_call("POST", path, Some(&body)).is_some_and(|response| response.status == 200)
    }
}
