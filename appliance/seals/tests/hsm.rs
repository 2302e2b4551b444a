//! The server's side of the HSM process, against a process played by a thread.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test they help")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use framework::hsm::{Answer, Description, Failure, FailureKind, Question};
use framework::{Error, KeyId, Seal, Secret, Wrapped};
use seals::{HealthCheck, Heartbeat, HsmSeal, Limits};

/// The other end of a connection: questions come out, answers go in when the test says so.
struct Process {
    questions: Receiver<(u64, Question)>,
    stream: UnixStream,
}

impl Process {
    fn attach(seal: &HsmSeal) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        seal.attach(ours).unwrap();
        let (heard, questions): (Sender<(u64, Question)>, _) = channel();
        let mut reading = theirs.try_clone().unwrap();
        thread::spawn(move || {
            let mut length = [0; 4];
            while reading.read_exact(&mut length).is_ok() {
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                if reading.read_exact(&mut frame).is_err() || heard.send(Question::decode(&frame).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { questions, stream: theirs }
    }

    fn next(&self) -> (u64, Question) {
        self.questions.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn answer(&mut self, id: u64, answer: &Answer) {
        self.stream.write_all(answer.encode(id).expose()).unwrap();
    }

    /// Answers a Describe, which is the first question on a connection.
    fn introduce(&mut self, check_value: &[u8]) {
        let (id, question) = self.next();
        assert_eq!(question, Question::Describe);
        let description =
            Description { key_label: "k".into(), check_value: check_value.to_vec(), ..Description::default() };
        self.answer(id, &Answer::Description(description));
    }

    /// Answers everything until the connection ends: "wrapping" is reversing.
    fn serve(mut self) {
        thread::spawn(move || {
            while let Ok((id, question)) = self.questions.recv() {
                let turned = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
                let answer = match question {
                    Question::Describe => Answer::Description(Description::default()),
                    Question::Wrap { plain, aad } => Answer::Wrapped {
                        key_label: "k".into(),
                        mechanism: 0x1087,
                        blob: [turned(plain.expose()), aad].concat(),
                    },
                    Question::Unwrap { blob, aad, .. } => match blob.strip_suffix(&aad[..]) {
                        Some(blob) => Answer::Plain(Secret::locked(&turned(blob)).unwrap()),
                        None => failure(FailureKind::Rejected, "C_Decrypt: CKR_ENCRYPTED_DATA_INVALID"),
                    },
                };
                if self.stream.write_all(answer.encode(id).expose()).is_err() {
                    return;
                }
            }
        });
    }
}

fn failure(kind: FailureKind, message: &str) -> Answer {
    Answer::Failed(Failure { kind, message: message.into() })
}

fn plain(byte: u8) -> Answer {
    Answer::Plain(Secret::locked(&[byte; 32]).unwrap())
}

fn wrapped() -> Wrapped {
    Wrapped { key_id: KeyId("k".into()), mechanism: 0x1087, blob: vec![1] }
}

fn seal(deadline: Duration) -> Arc<HsmSeal> {
    Arc::new(HsmSeal::new("k", Limits { deadline, ..Limits::default() }))
}

const LONG: Duration = Duration::from_secs(30);
/// Long enough for what must succeed on a busy machine, short enough to wait for what must not.
const SHORT: Duration = Duration::from_secs(1);

fn unwrap_in_thread(seal: &Arc<HsmSeal>) -> thread::JoinHandle<Result<Secret, Error>> {
    let seal = seal.clone();
    thread::spawn(move || seal.unwrap(&wrapped(), b"place"))
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, Error>, because: &str) {
    match result {
        Err(Error::HsmUnavailable { reason }) => assert!(reason.contains(because), "{reason}"),
        other => unreachable!("expected {because:?}, got {other:?}"),
    }
}

#[test]
fn many_callers_get_each_their_own_answer() {
    let seal = seal(LONG);
    Process::attach(&seal).serve();
    assert_eq!(seal.key_id(), KeyId("k".into()));
    thread::scope(|scope| {
        for caller in 0..16u8 {
            let seal = &seal;
            scope.spawn(move || {
                for round in 0..100u8 {
                    let secret = Secret::locked(&[caller, round, 3]).unwrap();
                    let wrapped = seal.wrap(&secret, &[caller]).unwrap();
                    let opened = seal.unwrap(&wrapped, &[caller]).unwrap();
                    assert!(opened == secret && opened.is_locked());
                }
            });
        }
    });
    assert_eq!(seal.state().in_flight, 0);
}

#[test]
fn answers_may_overtake_one_another() {
    let seal = seal(LONG);
    let mut process = Process::attach(&seal);
    let first = unwrap_in_thread(&seal);
    process.introduce(b"");
    let (id_first, _) = process.next();
    let second = unwrap_in_thread(&seal);
    let (id_second, _) = process.next();
    process.answer(id_second, &plain(2));
    assert_eq!(second.join().unwrap().unwrap().expose(), [2; 32]);
    process.answer(id_first, &plain(1));
    assert_eq!(first.join().unwrap().unwrap().expose(), [1; 32]);
}

#[test]
fn failures_are_sorted_by_who_must_act() {
    let seal = seal(LONG);
    let mut process = Process::attach(&seal);
    for (kind, message) in [
        (FailureKind::Transient, "C_Decrypt: CKR_DEVICE_ERROR"),
        (FailureKind::Operator, "C_Login: CKR_PIN_INCORRECT"),
        (FailureKind::Rejected, "C_Decrypt: CKR_ENCRYPTED_DATA_INVALID"),
    ] {
        let call = unwrap_in_thread(&seal);
        if kind == FailureKind::Transient {
            process.introduce(b"");
        }
        let (id, _) = process.next();
        process.answer(id, &failure(kind, message));
        match call.join().unwrap() {
            Err(Error::Internal(incident)) if kind == FailureKind::Rejected => {
                assert!(incident.cause.contains("integrity") && incident.cause.contains(message));
            }
            other => unavailable(other, message),
        }
    }
    assert!(
        seal.state().last_error.unwrap().contains("CKR_PIN_INCORRECT"),
        "a rejected value is no trouble of the HSM"
    );
    let call = unwrap_in_thread(&seal);
    let (id, _) = process.next();
    process.answer(id, &Answer::Wrapped { key_label: "k".into(), mechanism: 0, blob: vec![] });
    assert!(matches!(call.join().unwrap(), Err(Error::Internal(_))), "an answer to another question");
}

#[test]
fn a_lost_connection_is_replaced_within_the_deadline() {
    let seal = seal(LONG);
    let mut process = Process::attach(&seal);
    let call = unwrap_in_thread(&seal);
    process.introduce(b"");
    process.next();
    drop(process.stream.shutdown(std::net::Shutdown::Both));
    // The caller is waiting for the next process now, or will be.
    let mut process = Process::attach(&seal);
    process.introduce(b"");
    let (id, question) = process.next();
    assert!(matches!(question, Question::Unwrap { .. }));
    process.answer(id, &plain(5));
    assert_eq!(call.join().unwrap().unwrap().expose(), [5; 32]);
}

#[test]
fn an_absent_process_fails_at_the_deadline_with_the_reason() {
    let seal = seal(SHORT);
    unavailable(seal.unwrap(&wrapped(), b""), "not connected yet");
    let process = Process::attach(&seal);
    seal.detach("hsm process restarting: signal 9, again in 1 s");
    drop(process);
    let before = Instant::now();
    unavailable(seal.unwrap(&wrapped(), b""), "signal 9");
    assert!(before.elapsed() >= SHORT);
    assert!(!seal.state().connected);
    Process::attach(&seal).serve();
    seal.describe().unwrap();
    assert_eq!(seal.state().last_error, None);
}

#[test]
fn a_hung_process_fails_at_the_deadline_and_late_answers_go_to_nobody() {
    let seal = seal(SHORT);
    let mut process = Process::attach(&seal);
    let describing = thread::spawn({
        let seal = seal.clone();
        move || seal.describe()
    });
    process.introduce(b"");
    describing.join().unwrap().unwrap();
    unavailable(seal.unwrap(&wrapped(), b""), "did not answer in time");
    assert!(seal.state().stalled);
    let (late, _) = process.next();
    process.answer(late, &plain(1));
    let call = unwrap_in_thread(&seal);
    let (id, _) = process.next();
    process.answer(id, &plain(2));
    assert_eq!(call.join().unwrap().unwrap().expose(), [2; 32]);
    assert!(!seal.state().stalled);
}

#[test]
fn while_calls_fail_only_a_few_are_let_through_and_one_success_lets_all() {
    let seal = seal(LONG);
    let mut process = Process::attach(&seal);
    let call = unwrap_in_thread(&seal);
    process.introduce(b"");
    let (id, _) = process.next();
    process.answer(id, &failure(FailureKind::Transient, "C_Decrypt: CKR_FUNCTION_FAILED"));
    unavailable(call.join().unwrap(), "CKR_FUNCTION_FAILED");
    assert!(!seal.is_healthy());
    let let_through: Vec<_> = (0..Limits::default().hopeful).map(|_| unwrap_in_thread(&seal)).collect();
    let asked: Vec<u64> = let_through.iter().map(|_| process.next().0).collect();
    unavailable(seal.unwrap(&wrapped(), b""), "CKR_FUNCTION_FAILED");
    for id in asked {
        process.answer(id, &plain(1));
    }
    let_through.into_iter().for_each(|call| drop(call.join().unwrap().unwrap()));
    assert!(seal.is_healthy());
    process.serve();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..16).map(|_| scope.spawn(|| seal.wrap(&Secret::locked(b"x").unwrap(), b""))).collect();
        assert!(calls.into_iter().all(|call| call.join().unwrap().is_ok()));
    });
}

#[test]
fn a_heartbeat_finds_a_new_process_and_its_loss_at_once() {
    let seal = seal(SHORT);
    assert!(!seal.is_healthy(), "nothing is known yet");
    let mut heartbeat = Heartbeat::new(HealthCheck { timeout: SHORT, ..HealthCheck::default() });
    let process = Process::attach(&seal);
    let asked = thread::spawn({
        let seal = seal.clone();
        move || {
            heartbeat.tick(&seal);
            heartbeat
        }
    });
    process.serve();
    let mut heartbeat = asked.join().unwrap();
    assert!(seal.is_healthy());
    seal.detach("gone");
    // Not its time yet, and no new process: nothing is asked, and what is known stays.
    heartbeat.tick(&seal);
    assert_eq!(seal.state().last_error.as_deref(), Some("gone"));
    Process::attach(&seal).serve();
    heartbeat.tick(&seal);
    assert!(seal.is_healthy());
}

#[test]
fn only_a_few_wait_for_an_absent_process() {
    let seal = seal(LONG);
    let waiting: Vec<_> = (0..Limits::default().hopeful).map(|_| unwrap_in_thread(&seal)).collect();
    while seal.state().in_flight < waiting.len() {
        thread::yield_now();
    }
    // They are counted in, but may not wait yet; whoever fails to get a place must do so long before the deadline.
    let extra: Vec<_> = (0..8).map(|_| unwrap_in_thread(&seal)).collect();
    while waiting.iter().chain(&extra).filter(|call| call.is_finished()).count() < 8 {
        thread::yield_now();
    }
    Process::attach(&seal).serve();
    let answers = waiting.into_iter().chain(extra).map(|call| call.join().unwrap());
    let (rejected, failed): (Vec<_>, Vec<_>) = answers.partition(|answer| matches!(answer, Err(Error::Internal(_))));
    assert_eq!((rejected.len(), failed.len()), (Limits::default().hopeful, 8), "those that waited were answered");
}

#[test]
fn another_key_than_the_pinned_one_is_not_used() {
    let seal = seal(LONG);
    seal.pin(&[0xab, 0xcd]);
    let mut process = Process::attach(&seal);
    let call = unwrap_in_thread(&seal);
    process.introduce(&[0x12, 0x34]);
    unavailable(call.join().unwrap(), "seal key changed: expected the key with check value abcd, the HSM has 1234");
    let call = unwrap_in_thread(&seal);
    process.introduce(&[0xab, 0xcd]);
    let (id, _) = process.next();
    process.answer(id, &plain(1));
    call.join().unwrap().unwrap();
    // A new process is checked anew.
    let mut process = Process::attach(&seal);
    let call = unwrap_in_thread(&seal);
    process.introduce(&[]);
    unavailable(call.join().unwrap(), "seal key changed");
}

#[test]
fn bytes_that_are_no_answer_end_the_connection() {
    for garbage in [&[0xff; 64][..], &[0, 0, 0, 3, 1, 2, 3]] {
        let seal = seal(SHORT);
        let mut process = Process::attach(&seal);
        process.stream.write_all(garbage).unwrap();
        unavailable(seal.unwrap(&wrapped(), b""), "hsm process restarting");
        assert!(!seal.state().connected);
    }
}

#[test]
fn a_seal_that_is_gone_closes_its_connection() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let seal = seal(SHORT);
    seal.attach(ours).unwrap();
    drop(seal);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
}
