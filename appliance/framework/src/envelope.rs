//! The JSON form of an answer: written for the client, and read again where an answer was put away for later.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Auth, Error, Json, Lease, Map, Output, Secret, Timestamp, TokenKind};

/// The token under which an answer was put away (response wrapping), as it is shown in the answer's place.
#[derive(Debug)]
pub struct WrapInfo {
    /// The token that gets the answer out, once.
    pub token: Secret,
    /// Its accessor.
    pub accessor: String,
    /// How long it lives.
    pub ttl: Duration,
    /// When the answer was put away.
    pub created: Timestamp,
    /// The path of the request that was answered.
    pub path: String,
    /// The accessor of the token in the answer; empty where there is none in it.
    pub wrapped_accessor: String,
}

/// The request that an answer was made for, where that is not the one that gets it.
#[derive(Debug)]
pub struct Original {
    /// Its id.
    pub request_id: String,
    /// The kind of the mount that answered it.
    pub mount_type: String,
}

const MEMBERS: [&str; 9] =
    ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "mount_type"];

/// Appends an answer to `body`; with `merged`, its data stands beside the envelope's members too, which win.
///
/// Of an answer that was put away nothing is written but where it is.
pub fn write(body: &mut Vec<u8>, request_id: &str, mount_type: &str, output: &Output, merged: bool) {
    let nothing = Output::default();
    let (request_id, mount_type, said) = match (&output.wrap_info, &output.original) {
        (Some(_), _) => ("", "", &nothing),
        (None, Some(original)) => (original.request_id.as_str(), original.mount_type.as_str(), output),
        (None, None) => (request_id, mount_type, output),
    };
    body.extend_from_slice(b"{\"request_id\":");
    json(body, request_id);
    lease(body, said.lease.as_ref());
    body.extend_from_slice(b",\"data\":");
    json(body, &said.data);
    body.extend_from_slice(b",\"wrap_info\":");
    match &output.wrap_info {
        None => body.extend_from_slice(b"null"),
        Some(info) => wrap_info(body, info),
    }
    body.extend_from_slice(b",\"warnings\":");
    json(body, &Some(&said.warnings).filter(|warnings| !warnings.is_empty()));
    body.extend_from_slice(b",\"auth\":");
    match &said.auth {
        None => body.extend_from_slice(b"null"),
        Some(auth) => self::auth(body, auth),
    }
    body.extend_from_slice(b",\"mount_type\":");
    json(body, mount_type);
    for (name, value) in said.data.iter().flatten().filter(|(name, _)| merged && !MEMBERS.contains(&name.as_str())) {
        body.push(b',');
        json(body, name);
        body.push(b':');
        json(body, value);
    }
    body.push(b'}');
}

/// An answer as it is put away: its envelope, and its status where that is an unusual one.
pub fn put_away(request_id: &str, mount_type: &str, output: &Output) -> Secret {
    let mut body = Vec::with_capacity(1024);
    write(&mut body, request_id, mount_type, output, false);
    if let Some(status) = output.status {
        body.pop();
        // Writing to memory does not fail, here and below.
        let _ = write!(body, ",\"status\":{status}}}");
    }
    Secret::transient(body)
}

/// The answer that was put away. [`Error::Internal`] for anything else.
pub fn read(envelope: &[u8]) -> Result<Output, Error> {
    let malformed = |error| Error::internal(format!("an answer that was put away is malformed: {error}"));
    let read: Envelope = serde_json::from_slice(envelope).map_err(malformed)?;
    let lease = Lease {
        id: read.lease_id,
        duration: Duration::from_secs(read.lease_duration),
        renewable: read.renewable,
        ..Lease::default()
    };
    Ok(Output {
        data: read.data,
        auth: read.auth.map(Auth::from),
        lease: Some(lease).filter(|lease| *lease != Lease::default()),
        warnings: read.warnings.unwrap_or_default(),
        status: read.status,
        original: Some(Original { request_id: read.request_id, mount_type: read.mount_type }),
        ..Output::default()
    })
}

fn lease(body: &mut Vec<u8>, lease: Option<&Lease>) {
    let (id, renewable, duration) =
        lease.map_or(("", false, 0), |lease| (lease.id.as_str(), lease.renewable, lease.duration.as_secs()));
    body.extend_from_slice(b",\"lease_id\":");
    json(body, id);
    let _ = write!(body, ",\"renewable\":{renewable},\"lease_duration\":{duration}");
}

fn wrap_info(body: &mut Vec<u8>, info: &WrapInfo) {
    body.extend_from_slice(b"{\"token\":");
    token(body, Some(&info.token));
    body.extend_from_slice(b",\"accessor\":");
    json(body, &info.accessor);
    let _ = write!(body, ",\"ttl\":{},\"creation_time\":\"{}\",\"creation_path\":", info.ttl.as_secs(), info.created);
    json(body, &info.path);
    if !info.wrapped_accessor.is_empty() {
        body.extend_from_slice(b",\"wrapped_accessor\":");
        json(body, &info.wrapped_accessor);
    }
    body.push(b'}');
}

fn auth(body: &mut Vec<u8>, auth: &Auth) {
    body.extend_from_slice(b"{\"client_token\":");
    token(body, auth.client_token.as_ref());
    body.extend_from_slice(b",\"accessor\":");
    json(body, &auth.accessor);
    body.extend_from_slice(b",\"policies\":");
    json(body, &auth.policies);
    body.extend_from_slice(b",\"token_policies\":");
    json(body, &auth.policies);
    body.extend_from_slice(b",\"metadata\":");
    json(body, &Some(&auth.metadata).filter(|metadata| !metadata.is_empty()));
    let _ = write!(body, ",\"lease_duration\":{},\"renewable\":{},\"entity_id\":", auth.ttl.as_secs(), auth.renewable);
    json(body, &auth.entity_id);
    body.extend_from_slice(b",\"token_type\":");
    json(body, auth.kind.name());
    let _ = write!(body, ",\"orphan\":{},\"mfa_requirement\":null,\"num_uses\":{}}}", auth.orphan, auth.num_uses);
}

fn token(body: &mut Vec<u8>, token: Option<&Secret>) {
    let text = token.map_or(&[][..], |token| token.expose());
    json(body, std::str::from_utf8(text).unwrap_or_default());
}

/// Writes a value. Text, lists, maps with text as keys, and JSON itself always have a JSON form, and memory takes it.
fn json<T: ?Sized + Serialize>(body: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(body, value);
}

/// What [`read`] wants to know of an envelope.
#[derive(Deserialize)]
struct Envelope {
    request_id: String,
    lease_id: String,
    renewable: bool,
    lease_duration: u64,
    data: Option<Map<String, Json>>,
    warnings: Option<Vec<String>>,
    auth: Option<AuthMembers>,
    mount_type: String,
    status: Option<u16>,
}

#[derive(Deserialize)]
struct AuthMembers {
    client_token: String,
    accessor: String,
    policies: Vec<String>,
    metadata: Option<BTreeMap<String, String>>,
    lease_duration: u64,
    renewable: bool,
    entity_id: String,
    token_type: String,
    orphan: bool,
    num_uses: u64,
}

impl From<AuthMembers> for Auth {
    fn from(read: AuthMembers) -> Self {
        Self {
            client_token: Some(read.client_token).filter(|token| !token.is_empty()).map(Secret::from),
            accessor: read.accessor,
            policies: read.policies,
            metadata: read.metadata.unwrap_or_default(),
            ttl: Duration::from_secs(read.lease_duration),
            renewable: read.renewable,
            entity_id: read.entity_id,
            kind: TokenKind::parse(&read.token_type).unwrap_or_default(),
            orphan: read.orphan,
            num_uses: read.num_uses,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: &Output) -> String {
        let mut body = Vec::new();
        write(&mut body, "id", "kv", output, false);
        String::from_utf8(body).unwrap()
    }

    fn full() -> Output {
        let data = serde_json::json!({"text": "\"ü\"\n", "number": 1.50, "none": null, "list": [{}]});
        let auth = Auth {
            client_token: Some(Secret::from("hvs.x")),
            accessor: "a".into(),
            policies: vec!["default".into(), "p".into()],
            metadata: [("role".to_owned(), "r".to_owned())].into(),
            ttl: Duration::from_secs(60),
            renewable: true,
            num_uses: 3,
            kind: TokenKind::Batch,
            orphan: true,
            entity_id: "e".into(),
            ..Auth::default()
        };
        Output {
            data: data.as_object().cloned(),
            auth: Some(auth),
            lease: Some(Lease {
                id: "l".into(),
                duration: Duration::from_secs(9),
                renewable: true,
                ..Lease::default()
            }),
            warnings: vec!["w".into()],
            status: Some(404),
            ..Output::default()
        }
    }

    #[test]
    fn what_was_put_away_comes_out_as_it_went_in() {
        for output in [full(), Output { data: Some(Map::new()), ..Output::default() }] {
            let out = read(put_away("id", "kv", &output).expose()).unwrap();
            assert_eq!(out.status, output.status);
            // Whoever gets it out gets it as the answer to the first request.
            let mut body = Vec::new();
            write(&mut body, "other", "system", &out, false);
            assert_eq!(String::from_utf8(body).unwrap(), written(&output));
        }
    }

    #[test]
    fn nothing_of_an_answer_that_was_put_away_is_written() {
        let info = WrapInfo {
            token: Secret::from("hvs.w"),
            accessor: "wa".into(),
            ttl: Duration::from_secs(60),
            created: Timestamp::from_secs(0),
            path: "secret/x".into(),
            wrapped_accessor: "a".into(),
        };
        let shown = r#"{"request_id":"","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":{"token":"hvs.w","accessor":"wa","ttl":60,"creation_time":"1970-01-01T00:00:00Z","creation_path":"secret/x","wrapped_accessor":"a"},"warnings":null,"auth":null,"mount_type":""}"#;
        assert_eq!(written(&Output { wrap_info: Some(info), ..full() }), shown);
    }
}
