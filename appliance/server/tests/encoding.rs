//! What an answer looks like on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

mod common;

use std::time::Duration;

use common::{always, send, start_with};
use framework::{Auth, Error, Json, Lease, Map, Output, TokenKind};
use pipeline::Shape;
use server::Limits;

fn data() -> Map<String, Json> {
    serde_json::from_str(r#"{"keys":["a"],"renewable":"own"}"#).unwrap()
}

async fn answer(shape: Shape, result: impl Fn() -> Result<Output, Error> + Send + Sync + 'static) -> common::Response {
    let server = start_with(always(shape, result), Limits::default(), None);
    send(server.address, "GET /v1/a?x=1", &["X-Vault-Request: true"], b"").await
}

fn without_id(response: &common::Response) -> String {
    let mut json = response.json();
    assert!(json.as_object_mut().unwrap().remove("request_id").is_some());
    json.to_string()
}

#[tokio::test]
async fn data_lies_in_the_envelope() {
    let response = answer(Shape::Envelope, || Ok(Output { data: Some(data()), ..Output::default() })).await;
    let expected = concat!(
        r#"{"auth":null,"data":{"keys":["a"],"renewable":"own"},"lease_duration":0,"lease_id":"","#,
        r#""mount_type":"kv","renewable":false,"warnings":null,"wrap_info":null}"#
    );
    assert_eq!((response.status, without_id(&response).as_str()), (200, expected));
    for (name, value) in [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ] {
        assert_eq!(response.header(name), Some(value));
    }
}

#[tokio::test]
async fn data_lies_bare_or_twice_where_asked() {
    let bare = answer(Shape::Bare, || Ok(Output { data: Some(data()), ..Output::default() })).await;
    assert_eq!(bare.json(), Json::Object(data()));
    let merged = answer(Shape::Merged, || Ok(Output { data: Some(data()), ..Output::default() })).await.json();
    assert_eq!((&merged["keys"], &merged["data"]["keys"]), (&data()["keys"], &data()["keys"]));
    assert_eq!(merged["renewable"], false, "the envelope's members win");
}

#[tokio::test]
async fn a_token_is_shown_as_clients_expect_it() {
    let response = answer(Shape::Envelope, || {
        Ok(Output {
            auth: Some(Auth {
                client_token: Some("hvs.x".into()),
                accessor: "acc".into(),
                policies: vec!["default".into()],
                metadata: [("username".into(), "u".into())].into(),
                ttl: Duration::from_secs(60),
                renewable: true,
                kind: TokenKind::Service,
                orphan: true,
                num_uses: 3,
                entity_id: "e".into(),
                ..Auth::default()
            }),
            warnings: vec!["careful \"quoted\"".into()],
            ..Output::default()
        })
    })
    .await;
    let expected = concat!(
        r#"{"accessor":"acc","client_token":"hvs.x","entity_id":"e","lease_duration":60,"metadata":{"username":"u"},"#,
        r#""mfa_requirement":null,"num_uses":3,"orphan":true,"policies":["default"],"renewable":true,"#,
        r#""token_policies":["default"],"token_type":"service"}"#
    );
    let json = response.json();
    assert_eq!((json["auth"].to_string().as_str(), &json["data"]), (expected, &Json::Null));
    assert_eq!(json["warnings"].to_string(), r#"["careful \"quoted\""]"#);
}

#[tokio::test]
async fn silence_is_204_and_a_status_can_be_chosen() {
    let response = answer(Shape::Envelope, || Ok(Output::default())).await;
    assert_eq!((response.status, response.body.len()), (204, 0));
    let deleted = || Ok(Output { data: Some(data()), status: Some(404), ..Output::default() });
    let response = answer(Shape::Envelope, deleted).await;
    assert_eq!((response.status, &response.json()["data"]["keys"]), (404, &data()["keys"]));
    let response = answer(Shape::Bare, || Ok(Output { status: Some(429), ..Output::default() })).await;
    assert_eq!(response.status, 429);
}

#[tokio::test]
async fn every_error_has_its_status() {
    type Make = fn() -> Error;
    let cases: [(Make, u16, &str); 11] = [
        (|| Error::field("ttl", "error converting field \"ttl\""), 400, r#"["error converting field \"ttl\""]"#),
        (|| Error::Denied, 403, r#"["permission denied"]"#),
        (|| Error::NotFound, 404, "[]"),
        (|| Error::NoRoute { message: "no handler for route \"x\"".into() }, 404, r#"["no handler for route \"x\""]"#),
        (|| Error::Unsupported, 405, r#"["unsupported operation"]"#),
        (|| Error::TooLarge { limit: 7 }, 413, r#"["request body too large: the limit is 7 bytes"]"#),
        (|| Error::Sealed, 503, r#"["Vault is sealed"]"#),
        (|| Error::Uninitialized, 503, r#"["Vault is not initialized"]"#),
        (|| Error::Busy { reason: "r" }, 503, r#"["server is busy: r"]"#),
        (|| Error::Standby { leader: String::new() }, 503, r#"["this node is a standby; the leader is "]"#),
        (|| Error::HsmUnavailable { reason: "CKR_X".into() }, 503, r#"["hsm unavailable: CKR_X"]"#),
    ];
    for (make, status, errors) in cases {
        let response = answer(Shape::Envelope, move || Err(make())).await;
        assert_eq!((response.status, response.errors().as_str()), (status, errors));
    }
    let hsm = answer(Shape::Envelope, || Err(Error::HsmUnavailable { reason: String::new() })).await;
    assert_eq!((hsm.header("retry-after"), &hsm.json()["code"]), (Some("5"), &Json::from("hsm_unavailable")));
    let standby = answer(Shape::Envelope, || Err(Error::Standby { leader: "https://other:8200/".into() })).await;
    assert_eq!((standby.status, standby.header("location")), (307, Some("https://other:8200/v1/a?x=1")));
}

#[tokio::test]
async fn a_fault_of_our_own_shows_an_id_and_no_cause() {
    let response = answer(Shape::Envelope, || Err(Error::internal("disk sdb1 is on fire"))).await;
    let text = response.errors();
    assert_eq!(response.status, 500);
    assert!(text.contains("incident ") && !text.contains("sdb1"), "{text}");

    let server = start_with(always(Shape::Envelope, || Ok(Output::default())), Limits::default(), None);
    let lost = send(server.address, "GET /v1/lost", &[], b"").await;
    assert!(lost.status == 500 && lost.errors().contains("incident "), "{lost:?}");
    let refused = send(server.address, "GET /v1/refused", &[], b"").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn a_lease_is_shown_in_the_envelope() {
    let json = answer(Shape::Envelope, || {
        let lease =
            Lease { id: "db/creds/r/x".into(), duration: Duration::from_secs(90), renewable: true, ..Lease::default() };
        Ok(Output { data: Some(data()), lease: Some(lease), ..Output::default() })
    })
    .await
    .json();
    let shown = (&json["lease_id"], &json["lease_duration"], &json["renewable"]);
    assert_eq!(shown, (&Json::from("db/creds/r/x"), &Json::from(90), &Json::from(true)));
}
