//! Requests to the server: one agent, the headers the API wants, and errors as people know them.

use std::time::Duration;

use serde_json::Value;
use ureq::config::Config;
use ureq::http::{self, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

use crate::address::Address;
use crate::failure::Failure;
use crate::needed_policy;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::tls;

/// The largest answer that is read, in bytes. The server's own limit for what may be stored is half of it.
const LARGEST_ANSWER: u64 = 64 << 20;

/// A request before it is addressed.
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    wrapped: bool,
}

impl Ask {
    fn new(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body, wrapped: true }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path, None)
    }

    /// The keys below a path.
    pub(crate) fn list(path: impl Into<String>) -> Self {
        Self::get(path).query("list", "true")
    }

    pub(crate) fn put(path: impl Into<String>, body: Value) -> Self {
        Self::new("PUT", path, Some(body))
    }

    /// A write that has nothing to say.
    pub(crate) fn put_empty(path: impl Into<String>) -> Self {
        Self::new("PUT", path, None)
    }

    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new("POST", path, Some(body))
    }

    /// Bytes of a file, see [`Client::upload`].
    pub(crate) fn post_bytes(path: impl Into<String>) -> Self {
        Self::new("POST", path, None)
    }

    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    /// A JSON merge patch (RFC 7396).
    pub(crate) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new("PATCH", path, Some(body))
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path, None)
    }

    pub(crate) fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Never wrap the answer: it is for this client, not for the user.
    pub(crate) fn unwrapped(mut self) -> Self {
        self.wrapped = false;
        self
    }
}

/// What is printed of a request in place of sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// A `curl` command that sends it.
    Curl,
    /// A policy that allows it.
    Policy,
}

/// Why a request has no good answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server answered with a status of 400 or above.
    Refused { status: u16, message: String, body: String },
    /// There was no answer.
    Unreachable(String),
    /// The request was shown instead of sent.
    Shown(String),
    /// The answer made no sense.
    Unreadable(Failure),
}

impl Fault {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server says that it has no such endpoint.
    pub(crate) fn is_unknown_path(&self) -> bool {
        matches!(self.status(), Some(404 | 405))
    }

    pub(crate) fn during(self, attempt: impl std::fmt::Display) -> Failure {
        Failure::from(self).during(attempt)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused { message, .. } | Fault::Unreachable(message) => Self::Server(message),
            Fault::Shown(command) => Self::Shown(command),
            Fault::Unreadable(failure) => failure,
        }
    }
}

/// The one way to the server.
pub(crate) struct Client {
    pub(crate) agent: Agent,
    pub(crate) address: Address,
    /// Where the URL points when the server's certificate has another name than its address.
    pub(crate) dialled: Address,
    pub(crate) token: Option<String>,
    namespace: Option<String>,
    wrap_ttl: Option<String>,
    headers: Vec<(String, String)>,
    follow_redirects: bool,
    show: Option<Show>,
}

impl Client {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Failure> {
        settings.refuse_unsupported()?;
        let address = Address::parse(&settings.address())?;
        let config = Config::builder()
            .tls_config(tls::config(settings, address.scheme == "https")?)
            .http_status_as_error(false)
            // Redirects are followed here, once, and never to plain HTTP.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy(settings)?)
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(Duration::from_secs(settings.timeout()?)))
            .build();
        let (dialled, resolver) =
            Pinned::for_server_name(&address, settings.text("tls-server-name", "TLS_SERVER_NAME"))?;
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            address,
            dialled,
            token: settings.token()?,
            namespace: settings.namespace(),
            wrap_ttl: settings.wrap_ttl()?,
            headers: settings.headers()?,
            follow_redirects: settings.follow_redirects()?,
            show: settings.show(),
        })
    }

    /// The address as the user gave it.
    pub(crate) fn address(&self) -> String {
        self.address.url("", &[])
    }

    /// Sends later requests without wrapping their answers.
    pub(crate) fn stop_wrapping(&mut self) {
        self.wrap_ttl = None;
    }

    /// Sends a request even where requests are only shown, for an answer that another request needs to be made at all.
    pub(crate) fn send_always(&self, ask: &Ask) -> Result<String, Fault> {
        let (url, shown_url) = (self.url(&self.dialled, ask), self.url(&self.address, ask));
        let unreachable = |error: &dyn std::fmt::Display| {
            let method = format!(
                "{}{}",
                &ask.method.get(..1).unwrap_or_default(),
                ask.method.get(1..).unwrap_or_default().to_lowercase()
            );
            Fault::Unreachable(format!("{method} {shown_url:?}: {error}"))
        };
        // Only this first URL may carry another host name than the server's own.
        let host = (self.dialled != self.address).then_some(self.address.authority.as_str());
        let (mut status, mut headers, mut body) =
            self.exchange(ask, &url, host).map_err(|error| unreachable(&error))?;
        if self.follow_redirects && [301, 302, 303, 307, 308].contains(&status) {
            let location =
                headers.get(http::header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if self.address.scheme == "https" && !location.starts_with("https://") {
                return Err(unreachable(&format!("redirected to {location:?}, which is not https")));
            }
            (status, headers, body) = self.exchange(ask, location, None).map_err(|error| unreachable(&error))?;
        }
        if (300..400).contains(&status) {
            let location =
                headers.get(http::header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            return Err(unreachable(&format!("redirected to {location:?}")));
        }
        if status >= 400 {
            return Err(self.refused(ask, status, body));
        }
        Ok(body)
    }

    pub(crate) fn url(&self, address: &Address, ask: &Ask) -> String {
        address.url(&format!("v1/{}", ask.path), &ask.query)
    }

    /// An answer of 400 or above.
    pub(crate) fn refused(&self, ask: &Ask, status: u16, body: String) -> Fault {
        let message = refusal(ask.method, &self.url(&self.address, ask), self.namespace.as_deref(), status, &body);
        Fault::Refused { status, message, body }
    }

    /// Sends a request and returns the body of the answer.
    pub(crate) fn send(&self, ask: &Ask) -> Result<String, Fault> {
        self.unless_shown(ask, "")?;
        self.send_always(ask)
    }

    /// Where requests are only shown: the request, with `more` for curl, as a fault.
    pub(crate) fn unless_shown(&self, ask: &Ask, more: &str) -> Result<(), Fault> {
        match self.show {
            None => Ok(()),
            Some(Show::Curl) => Err(Fault::Shown(self.curl(ask) + more)),
            Some(Show::Policy) => {
                let list = ask.query.iter().any(|(name, _)| name == "list" || name == "scan");
                Err(Fault::Shown(needed_policy::text(if list { "LIST" } else { ask.method }, &ask.path)))
            }
        }
    }

    /// Sends a request and reads the answer's envelope. An answer without a body is `None`. So is a 404, unless it
    /// carries data or warnings, as that of a deleted version of a secret does.
    pub(crate) fn secret(&self, ask: &Ask) -> Result<Option<Secret>, Fault> {
        envelope(ask, self.send(ask))
    }

    /// [`Self::secret`] in the manner of [`Self::send_always`].
    pub(crate) fn secret_always(&self, ask: &Ask) -> Result<Option<Secret>, Fault> {
        envelope(ask, self.send_always(ask))
    }

    /// Sends a request and reads the answer as one JSON object without an envelope, as `sys/seal-status` gives it.
    pub(crate) fn object(&self, ask: &Ask) -> Result<Value, Fault> {
        let body = self.send(ask)?;
        serde_json::from_str(&body)
            .map_err(|error| Fault::Unreadable(Failure::server(format!("the server's answer is not JSON: {error}"))))
    }

    /// Like [`Self::object`] for endpoints that some servers put into an envelope and others do not.
    pub(crate) fn secret_or_object(&self, ask: &Ask) -> Result<Value, Fault> {
        let mut answer = self.object(ask)?;
        match answer.get_mut("data") {
            Some(data) if data.is_object() => Ok(data.take()),
            _ => Ok(answer),
        }
    }

    fn exchange(
        &self,
        ask: &Ask,
        url: &str,
        host: Option<&str>,
    ) -> Result<(u16, http::HeaderMap, String), ureq::Error> {
        let mut request = http::Request::builder().method(ask.method).uri(url);
        for (name, value) in self.request_headers(ask) {
            request = request.header(name, value);
        }
        if let Some(host) = host {
            request = request.header(http::header::HOST, host);
        }
        let mut response = match &ask.body {
            Some(body) => self.agent.run(request.body(body.to_string())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let body = response.body_mut().with_config().limit(LARGEST_ANSWER).lossy_utf8(true).read_to_string()?;
        Ok((response.status().as_u16(), response.headers().clone(), body))
    }

    pub(crate) fn request_headers(&self, ask: &Ask) -> Vec<(String, String)> {
        let mut headers = vec![("X-Vault-Request".to_owned(), "true".to_owned())];
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        if let Some(token) = &self.token {
            add("X-Vault-Token", token);
        }
        if let Some(namespace) = &self.namespace {
            add("X-Vault-Namespace", namespace);
        }
        // What is sent to be wrapped is always wrapped, for five minutes unless the user says otherwise.
        let asked_to_wrap = ask.path.trim_matches('/') == "sys/wrapping/wrap" && ask.body.is_some();
        let wrap_ttl = self.wrap_ttl.as_deref().or(asked_to_wrap.then_some("300"));
        if let Some(wrap_ttl) = wrap_ttl.filter(|_| ask.wrapped) {
            add("X-Vault-Wrap-TTL", wrap_ttl);
        }
        match ask.method {
            "PATCH" => add("Content-Type", "application/merge-patch+json"),
            _ if ask.body.is_some() => add("Content-Type", "application/json"),
            _ => {}
        }
        headers.extend(self.headers.iter().cloned());
        headers
    }

    fn curl(&self, ask: &Ask) -> String {
        let mut command = "curl".to_owned();
        if ask.method != "GET" {
            command.push_str(&format!(" -X {}", ask.method));
        }
        for (name, value) in self.request_headers(ask) {
            let value = if name == "X-Vault-Token" { "$(holdfast print token)" } else { &value };
            command.push_str(&format!(" -H \"{name}: {value}\""));
        }
        if let Some(body) = &ask.body {
            command.push_str(&format!(" -d '{}'", body.to_string().replace('\'', r"'\''")));
        }
        command.push_str(&format!(" {:?}", self.url(&self.address, ask)));
        command
    }
}

fn proxy(settings: &Settings<'_>) -> Result<Option<Proxy>, Failure> {
    let made = settings.proxy().map(|address| {
        Proxy::new(&address).map_err(|error| Failure::local(format!("invalid address of a proxy {address:?}: {error}")))
    });
    made.transpose()
}

fn envelope(ask: &Ask, answer: Result<String, Fault>) -> Result<Option<Secret>, Fault> {
    match answer {
        Err(Fault::Refused { status: 404, body, message }) if ask.method == "GET" => match Secret::parse(&body) {
            Ok(Some(secret)) if secret.has_data() || !secret.warnings.is_empty() => Ok(Some(secret)),
            Ok(_) => Ok(None),
            Err(_) => Err(Fault::Refused { status: 404, body, message }),
        },
        answer => Secret::parse(&answer?).map_err(Fault::Unreadable),
    }
}

/// The message for an answer of 400 or above, in the words of the reference client: scripts look for them.
fn refusal(method: &str, url: &str, namespace: Option<&str>, status: u16, body: &str) -> String {
    let mut message = "Error making API request.\n\n".to_owned();
    if let Some(namespace) = namespace {
        message.push_str(&format!("Namespace: {namespace}\n"));
    }
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let errors =
        parsed.as_ref().and_then(|value| value.get("errors")).and_then(Value::as_array).filter(|list| !list.is_empty());
    match errors {
        Some(errors) => {
            message.push_str(&format!("URL: {method} {url}\nCode: {status}. Errors:\n"));
            for error in errors {
                message.push_str(&format!("\n* {}", error.as_str().unwrap_or_default()));
            }
        }
        None => message.push_str(&format!("URL: {method} {url}\nCode: {status}. Raw Message:\n\n{}", body.trim_end())),
    }
    message
}

/// Looks up one host name as another: with `-tls-server-name` the URL carries the name in the certificate, and this
/// turns it back into the address that was asked for.
#[derive(Debug, Default)]
struct Pinned {
    name: Option<(String, Uri)>,
    resolver: DefaultResolver,
}

impl Pinned {
    fn for_server_name(address: &Address, name: Option<String>) -> Result<(Address, Self), Failure> {
        let Some(name) = name.filter(|_| address.scheme == "https") else {
            return Ok((address.clone(), Self::default()));
        };
        let wrong = || Failure::local(format!("invalid TLS server name {name:?}"));
        let target: Uri = address.url("", &[]).parse().map_err(|_| wrong())?;
        let authority = match target.port_u16() {
            Some(port) => format!("{name}:{port}"),
            None => name.clone(),
        };
        let dialled =
            Address::parse(&address.url("", &[]).replacen(&address.authority, &authority, 1)).map_err(|_| wrong())?;
        Ok((dialled, Self { name: Some((name, target)), resolver: DefaultResolver::default() }))
    }
}

impl Resolver for Pinned {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        match &self.name {
            Some((name, target)) if uri.host() == Some(name) => self.resolver.resolve(target, config, timeout),
            _ => self.resolver.resolve(uri, config, timeout),
        }
    }
}
