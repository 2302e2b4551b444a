//! A root token by a quorum.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test they help")]

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use common::{Disk, Hsm, Server, bent, give, refused};
use framework::{GenerateToken, SealControl, Secret, TokenAttempt, TokenRequest};

fn decoded(attempt: &TokenAttempt, otp: &Secret) -> String {
    let bytes = STANDARD_NO_PAD.decode(attempt.encoded_token.as_ref().unwrap().expose()).unwrap();
    String::from_utf8(bytes.iter().zip(otp.expose()).map(|(byte, pad)| byte ^ pad).collect()).unwrap()
}

fn a_token_by(server: &Server, shares: &[Secret]) {
    let ceremony = &server.ceremony;
    let idle = ceremony.attempt().unwrap();
    assert_eq!((idle.started, idle.required, idle.otp_length), (false, 2, 28));
    let started = ceremony.start(TokenRequest::default()).unwrap();
    let (nonce, otp) = (started.nonce, started.otp.unwrap());
    assert_eq!(otp.len(), 28);
    assert!(ceremony.attempt().unwrap().otp.is_none(), "the password is shown once");
    assert!(refused(ceremony.start(TokenRequest::default())).contains("already in progress"));

    assert!(refused(ceremony.give(give(&shares[0], "other"))).contains(&format!("{nonce:?}")));
    assert!(refused(ceremony.give(give(&Secret::from("short"), &nonce))).contains("33 bytes"));
    assert_eq!(ceremony.give(give(&shares[0], &nonce)).unwrap().progress, 1);
    assert!(refused(ceremony.give(give(&shares[0], &nonce))).contains("already been provided"));
    assert!(refused(ceremony.give(give(&bent(&shares[0]), &nonce))).contains("same number"));
    assert_eq!(ceremony.attempt().unwrap().progress, 1, "none of that spoils the progress");
    assert!(refused(ceremony.give(give(&bent(&shares[1]), &nonce))).contains("starts again"));
    assert_eq!((ceremony.attempt().unwrap().progress, ceremony.attempt().unwrap().nonce.as_str()), (0, nonce.as_str()));

    ceremony.give(give(&shares[2], &nonce)).unwrap();
    let done = ceremony.give(give(&shares[1], &nonce)).unwrap();
    let token = decoded(&done, &otp);
    assert!(token.starts_with("hvs.") && server.is_root(&token));
    assert!(!ceremony.attempt().unwrap().started);
    assert!(refused(ceremony.give(give(&shares[0], &nonce))).contains("no root generation"), "one share too many");
}

#[test]
fn by_unseal_shares() {
    let (server, shares) = Server::shamir(&Disk::default().copy(), 3, 2);
    a_token_by(&server, &shares);
}

#[test]
fn by_recovery_shares_beside_an_hsm() {
    let (server, shares) = Server::hsm(&Disk::default().copy(), &Hsm::new("seal", 1));
    a_token_by(&server, &shares);
    // The shares of another server are no quorum here.
    let (_, others) = Server::shamir(&Disk::default().copy(), 3, 2);
    let nonce = server.ceremony.start(TokenRequest::default()).unwrap().nonce;
    server.ceremony.give(give(&others[0], &nonce)).unwrap();
    assert!(refused(server.ceremony.give(give(&others[1], &nonce))).contains("not a quorum"));
}

#[test]
fn passwords_of_ones_own_have_the_length_of_a_token() {
    let (server, shares) = Server::shamir(&Disk::default().copy(), 1, 1);
    let with = |otp: &str| server.ceremony.start(TokenRequest { otp: Some(Secret::from(otp)), pgp_key: None });
    assert!(refused(with("short")).contains("length"));
    let otp = "0123456789abcdefghijABCDEFGH";
    let started = with(otp).unwrap();
    assert!(started.otp.is_none());
    let done = server.ceremony.give(give(&shares[0], &started.nonce)).unwrap();
    assert!(server.is_root(&decoded(&done, &Secret::from(otp))));
}

#[test]
fn cancelled_or_sealed_it_is_over() {
    let (server, shares) = Server::shamir(&Disk::default().copy(), 3, 2);
    server.ceremony.cancel();
    let first = server.ceremony.start(TokenRequest::default()).unwrap().nonce;
    server.ceremony.give(give(&shares[0], &first)).unwrap();
    server.ceremony.cancel();
    let second = server.ceremony.start(TokenRequest::default()).unwrap();
    assert_eq!((second.progress, second.nonce == first), (0, false));
    server.ceremony.give(give(&shares[0], &second.nonce)).unwrap();
    server.ceremony.seal().unwrap();
    assert!(server.ceremony.attempt().is_err());
    assert!(server.opens_with(&shares));
    assert!(!server.ceremony.attempt().unwrap().started);
}
