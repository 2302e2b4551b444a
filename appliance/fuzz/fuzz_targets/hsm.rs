//! Messages between the server and the hsm process, neither of which trusts the other.
#![no_main]

use framework::hsm::{Answer, Question};

libfuzzer_sys::fuzz_target!(|frame: &[u8]| {
    if let Some((id, question)) = Question::decode(frame) {
        assert_eq!(&question.encode(id).expose()[4..], frame);
    }
    if let Some((id, answer)) = Answer::decode(frame) {
        assert_eq!(&answer.encode(id).expose()[4..], frame);
    }
});
