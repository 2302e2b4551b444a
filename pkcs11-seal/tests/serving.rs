//! The process loop over a socketpair.
#![cfg(test)]

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use common::{KEY, PIN, TOKEN, alone, config_with, hsm, secret};
use framework::hsm::{Answer, FailureKind, Question};
use pkcs11_seal::{AES_GCM, Hsm, serve};

fn started(hsm: Arc<Hsm>) -> (UnixStream, JoinHandle<std::io::Result<()>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, thread::spawn(move || serve(&hsm, theirs, 4)))
}

fn next(socket: &mut UnixStream) -> (u64, Answer) {
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut frame).unwrap();
    Answer::decode(&frame).unwrap()
}

fn ask(socket: &mut UnixStream, question: &Question) -> Answer {
    socket.write_all(question.encode(77).expose()).unwrap();
    let (id, answer) = next(socket);
    assert_eq!(id, 77);
    answer
}

fn kind(answer: &Answer) -> Option<FailureKind> {
    match answer {
        Answer::Failed(failure) => Some(failure.kind),
        _ => None,
    }
}

#[test]
fn questions_are_answered_until_the_server_hangs_up() {
    alone("questions_are_answered_until_the_server_hangs_up", |_| {
        let (mut socket, loop_) = started(hsm());
        let Answer::Description(description) = ask(&mut socket, &Question::Describe) else { panic!() };
        assert_eq!((description.token_label.as_str(), description.key_label.as_str()), (TOKEN, KEY));

        for id in 0..100_u64 {
            let question = Question::Wrap { plain: secret(&id.to_be_bytes()), aad: b"p".to_vec() };
            socket.write_all(question.encode(id).expose()).unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..100 {
            let (id, Answer::Wrapped { key_label, mechanism, blob }) = next(&mut socket) else { panic!() };
            assert_eq!((key_label.as_str(), mechanism), (KEY, AES_GCM));
            seen.push((id, blob));
        }
        for (id, blob) in seen.iter().take(10) {
            let unwrap = |label: &str, mechanism, aad: &[u8]| Question::Unwrap {
                key_label: label.to_owned(),
                mechanism,
                blob: blob.clone(),
                aad: aad.to_vec(),
            };
            assert_eq!(ask(&mut socket, &unwrap(KEY, AES_GCM, b"p")), Answer::Plain(secret(&id.to_be_bytes())));
            assert_eq!(kind(&ask(&mut socket, &unwrap(KEY, AES_GCM, b"q"))), Some(FailureKind::Rejected));
            assert_eq!(kind(&ask(&mut socket, &unwrap("other", AES_GCM, b"p"))), Some(FailureKind::Operator));
            assert_eq!(kind(&ask(&mut socket, &unwrap(KEY, 0x1085, b"p"))), Some(FailureKind::Operator));
        }
        seen.sort();
        assert!(seen.iter().map(|(id, _)| *id).eq(0..100));

        // What was asked before hanging up is still answered.
        socket.write_all(Question::Describe.encode(5).expose()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        assert!(matches!(next(&mut socket), (5, Answer::Description(_))));
        loop_.join().unwrap().unwrap();
    });
}

#[test]
fn a_malformed_frame_ends_the_connection() {
    alone("a_malformed_frame_ends_the_connection", |_| {
        let hsm = hsm();
        let frames: [&[u8]; 4] =
            [&[0, 0, 0, 3, 1, 2, 3], &[255; 4], &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 99], &[0, 0]];
        for frame in frames {
            let (mut socket, loop_) = started(Arc::clone(&hsm));
            socket.write_all(frame).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            // Bytes that nobody will read any more make the end a reset.
            match socket.read(&mut [0]) {
                Ok(read) => assert_eq!(read, 0),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
            assert!(loop_.join().unwrap().is_err(), "{frame:?}");
        }
    });
}

#[test]
fn an_unusable_hsm_says_what_is_wrong() {
    alone("an_unusable_hsm_says_what_is_wrong", |_| {
        let (mut socket, loop_) = started(Arc::new(Hsm::start(config_with(common::MODULE, "elsewhere", PIN))));
        for question in [Question::Describe, Question::Wrap { plain: secret(b"x"), aad: vec![] }] {
            let Answer::Failed(failure) = ask(&mut socket, &question) else { panic!() };
            assert_eq!(failure.kind, FailureKind::Operator);
            assert!(failure.message.contains("no token labelled \"elsewhere\""), "{}", failure.message);
        }
        drop(socket);
        loop_.join().unwrap().unwrap();
    });
}
