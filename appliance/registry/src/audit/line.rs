//! One line of the audit log, in Vault's form.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framework::{Ask, Auth, Caller, Error, Json, Map, Operation, Output, PolicyNames, Recorded, Timestamp};

use super::device::Format;
use super::headers::AuditedHeaders;
use super::json::Writer;
use crate::mounts::{MountClass, MountConfig};

/// A line that is about to be written for one device.
pub(crate) struct Line<'a> {
    pub(super) w: Writer<'a>,
    pub(super) format: &'a Format,
    pub(super) now: Timestamp,
    pub(super) version: &'a str,
    /// Settings of the mount, where it may show fields.
    pub(super) shown: Option<&'a MountConfig>,
    pub(super) headers: &'a AuditedHeaders,
}

/// The caller's token and accessor as they stand in the line, twice each.
struct Hidden {
    token: Vec<u8>,
    accessor: Vec<u8>,
}

impl Line<'_> {
    /// The line for a request.
    pub(crate) fn request(mut self, ask: &Ask<'_>, refusal: Option<&Error>) -> Vec<u8> {
        let hidden = self.begin(ask, "request");
        self.caller(ask, &hidden, refusal.is_none());
        self.asked(ask, &hidden);
        if let Some(refusal) = refusal {
            // OpenBao's own difference: a token it does not know gives the plain sentence.
            let known = !ask.caller.token.is_empty() || !matches!(refusal, Error::Denied);
            let kind = kind(refusal);
            self.w.text("error", &if known { listed(kind) } else { kind.to_owned() });
        }
        self.end()
    }

    /// The line for an answer.
    pub(crate) fn response(mut self, ask: &Ask<'_>, answer: &Result<Output, Error>) -> Vec<u8> {
        let hidden = self.begin(ask, "response");
        let nobody = ask.caller.token.is_empty();
        match answer {
            // A login stands for whom it lets in.
            Ok(Output { auth: Some(auth), .. }) if nobody => self.auth(auth),
            Ok(_) => self.caller(ask, &hidden, true),
            Err(error) => self.caller(ask, &hidden, !nobody && !matches!(error, Error::Denied)),
        }
        self.asked(ask, &hidden);
        self.answered(ask, answer);
        match answer {
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => self.w.text("error", &listed(kind(error))),
        }
        self.end()
    }

    fn begin(&mut self, ask: &Ask<'_>, kind: &str) -> Hidden {
        let token = ask.token.and_then(|token| std::str::from_utf8(token.expose()).ok()).unwrap_or_default();
        let hidden = Hidden { token: self.hide(token, false), accessor: self.hide(&ask.caller.accessor, true) };
        self.w.out.extend_from_slice(self.format.prefix.as_bytes());
        self.w.out.push(b'{');
        self.w.text("time", &self.now.to_string());
        self.w.text("type", kind);
        hidden
    }

    fn end(mut self) -> Vec<u8> {
        self.w.out.extend_from_slice(b"}\n");
        self.w.out
    }

    /// A token or an accessor in its JSON form, to be used more than once; nothing for nothing.
    fn hide(&self, value: &str, accessor: bool) -> Vec<u8> {
        if value.is_empty() {
            return Vec::new();
        }
        let mut part = self.w.part();
        if accessor && !self.format.hmac_accessor {
            part.quoted(value);
        } else {
            part.hidden(value);
        }
        part.out
    }

    /// `auth` of a request: whom the token stands for.
    fn caller(&mut self, ask: &Ask<'_>, hidden: &Hidden, allowed: bool) {
        let caller = ask.caller;
        self.w.object("auth", |w| {
            let nobody = caller.token.is_empty();
            if !nobody {
                w.hidden_field("client_token", &hidden.token);
                w.hidden_field("accessor", &hidden.accessor);
                w.text("display_name", &caller.display_name);
                let policies = recorded(w, &caller.policies);
                w.hidden_field("policies", &policies.list);
                w.hidden_field("token_policies", &policies.list);
            }
            if !nobody || allowed {
                w.object("policy_results", |w| {
                    w.truth("allowed", allowed);
                    if allowed && caller.root {
                        w.name("granting_policies");
                        w.out.extend_from_slice(br#"[{"name":"root","namespace_id":"root","type":"acl"}]"#);
                    }
                });
            }
            metadata(w, caller.metadata.iter());
            w.number("remaining_uses", ask.remaining_uses);
            w.text("entity_id", &caller.entity_id);
            w.text("token_type", if nobody { "default" } else { caller.kind });
            w.number("token_ttl", caller.ttl);
            if !nobody {
                w.text("token_issue_time", &Timestamp::from_secs(caller.issued.secs()).to_string());
            }
        });
    }

    /// `auth` of an answer: a token that was made or renewed.
    fn auth(&mut self, auth: &Auth) {
        let token = auth.client_token.as_ref().and_then(|token| std::str::from_utf8(token.expose()).ok());
        let (token, accessor) = (self.hide(token.unwrap_or_default(), false), self.hide(&auth.accessor, true));
        self.w.object("auth", |w| {
            w.hidden_field("client_token", &token);
            w.hidden_field("accessor", &accessor);
            w.text("display_name", &auth.display_name);
            w.list("policies", &auth.policies);
            w.list("token_policies", &auth.policies);
            if auth.no_default_policy {
                w.truth("no_default_policy", true);
            }
            metadata(w, auth.metadata.iter());
            w.number("num_uses", auth.num_uses);
            w.text("entity_id", &auth.entity_id);
            w.text("token_type", auth.kind.name());
            w.number("token_ttl", auth.ttl.as_secs());
        });
    }

    /// `request`: what was asked for.
    fn asked(&mut self, ask: &Ask<'_>, hidden: &Hidden) {
        let (shown, version, headers) = (self.shown, self.version, self.headers);
        self.w.object("request", |w| {
            w.text("id", &ask.origin.request_id);
            let client_id = client_id(w, ask.caller);
            w.text("client_id", client_id);
            w.text("operation", ask.operation.name());
            mount(w, ask, "mount_running_version", version);
            w.hidden_field("client_token", &hidden.token);
            w.hidden_field("client_token_accessor", &hidden.accessor);
            w.name("namespace");
            w.out.extend_from_slice(br#"{"id":"root"}"#);
            w.text("path", ask.path);
            let clear = |name: &str| {
                ask.clear.contains(&name)
                    || shown.is_some_and(|shown| shown.audit_non_hmac_request_keys.iter().any(|key| key == name))
            };
            w.data("data", ask.data, &clear);
            w.text("remote_address", &ask.origin.remote_address.to_string());
            w.number("remote_port", ask.origin.remote_port.into());
            w.number("wrap_ttl", ask.origin.wrap_ttl.map_or(0, |ttl| ttl.as_secs()));
            headers.record(w, ask.headers);
        });
    }

    /// `response`: what is answered.
    fn answered(&mut self, ask: &Ask<'_>, answer: &Result<Output, Error>) {
        self.w.name("response");
        self.w.out.push(b'{');
        if let Ok(Output { auth: Some(auth), wrap_info: None, .. }) = answer {
            self.auth(auth);
        }
        let wrapped = answer.as_ref().ok().and_then(|output| output.wrap_info.as_ref()).map(|info| {
            let token = std::str::from_utf8(info.token.expose()).unwrap_or_default();
            (info, self.hide(token, false), self.hide(&info.accessor, true), self.hide(&info.wrapped_accessor, true))
        });
        let w = &mut self.w;
        mount(w, ask, "mount_running_plugin_version", self.version);
        match answer {
            Ok(output) => {
                if let Some(lease) = output.lease.as_ref().filter(|lease| !lease.id.is_empty()) {
                    w.object("secret", |w| w.text("lease_id", &lease.id));
                }
                let shown = self.shown;
                let clear = |name: &str| {
                    ask.clear.contains(&name)
                        || shown.is_some_and(|shown| shown.audit_non_hmac_response_keys.iter().any(|key| key == name))
                };
                match &output.data {
                    Some(data) if self.format.elide_lists && ask.operation == Operation::List => {
                        w.data("data", &counted(data), &clear);
                    }
                    Some(data) => w.data("data", data, &clear),
                    None => {}
                }
                w.list("warnings", &output.warnings);
                if let Some((info, token, accessor, wrapped_accessor)) = &wrapped {
                    w.object("wrap_info", |w| {
                        w.number("ttl", info.ttl.as_secs());
                        w.hidden_field("token", token);
                        w.hidden_field("accessor", accessor);
                        w.text("creation_time", &info.created.to_string());
                        w.text("creation_path", &info.path);
                        w.hidden_field("wrapped_accessor", wrapped_accessor);
                    });
                }
            }
            Err(Error::NotFound) => {}
            // It may repeat what the client sent.
            Err(error) => w.object("data", |w| w.secret("error", &error.to_string())),
        }
        self.w.out.push(b'}');
    }
}

fn mount(w: &mut Writer<'_>, ask: &Ask<'_>, version_name: &'static str, version: &str) {
    let Some(mount) = ask.mount else { return };
    let class = if mount.path.starts_with(MountClass::Auth.prefix()) { MountClass::Auth } else { MountClass::Secret };
    w.text("mount_point", &mount.path);
    w.text("mount_type", &mount.kind);
    w.text("mount_accessor", &mount.accessor);
    w.text(version_name, version);
    w.text("mount_class", class.name());
}

fn metadata<'m>(w: &mut Writer<'_>, mut pairs: impl Iterator<Item = (&'m String, &'m String)>) {
    let Some(first) = pairs.next() else { return };
    w.object("metadata", |w| {
        for (name, value) in std::iter::once(first).chain(pairs) {
            w.free_name(name);
            w.quoted(value);
        }
    });
}

/// Names a client for counting, as Vault does: the entity, or a digest of the policies and the namespace.
fn client_id<'c>(w: &Writer<'_>, caller: &'c Caller) -> &'c str {
    if caller.token.is_empty() || !caller.entity_id.is_empty() {
        return &caller.entity_id;
    }
    &recorded(w, &caller.policies).client_id
}

/// Worked out once for a token: it may have a thousand policies, and each of its requests names them four times.
fn recorded<'p>(w: &Writer<'_>, policies: &'p PolicyNames) -> &'p Recorded {
    policies.recorded(|names| {
        let text = format!("{}\0root", names.join("\x7f"));
        let client_id = STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
        let mut list = w.part();
        if !names.is_empty() {
            list.array(names);
        }
        Recorded { list: list.out, client_id }
    })
}

/// What kind of error it was; the sentence itself may repeat what the client sent, and stands in `response.data`.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Invalid { .. } | Error::BadCredentials { .. } => "invalid request",
        Error::Denied | Error::Refused { .. } => "permission denied",
        Error::NoRoute { .. } => "unsupported path",
        Error::NotFound => "not found",
        Error::Unsupported => "unsupported operation",
        Error::Conflict => "conflict",
        Error::Uninitialized => "Vault is not initialized",
        Error::Sealed => "Vault is sealed",
        Error::Standby { .. } => "this node is a standby",
        Error::HsmUnavailable { .. } => "hsm unavailable",
        Error::Busy { .. } => "server is busy",
        Error::TooLarge { .. } => "request body too large",
        Error::Internal(_) => "internal error",
    }
}

/// The form in which Go's multierror prints one error.
fn listed(kind: &str) -> String {
    format!("1 error occurred:\n\t* {kind}\n\n")
}

/// Names and details of a listing as their number.
fn counted(data: &Map<String, Json>) -> Map<String, Json> {
    let count = |value: &Json| match value {
        Json::Array(items) => Some(items.len()),
        Json::Object(items) => Some(items.len()),
        _ => None,
    };
    let elided = |name: &str| matches!(name, "keys" | "key_info");
    data.iter()
        .map(|(name, value)| {
            let number = count(value).filter(|_| elided(name)).map(Json::from);
            (name.clone(), number.unwrap_or_else(|| value.clone()))
        })
        .collect()
}
