//! Journal records and segment files, from a hostile disk.
//!
//! The first byte says where the rest is cut: what stands before is put into sound frames, what comes after lies behind them
//! as it is.
#![no_main]

use storage::log::{Record, fuzzing};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else { return };
    let (sound, raw) = rest.split_at(usize::from(cut).min(rest.len()));
    if let Some(record) = Record::decode(sound.to_vec()) {
        assert_eq!(record.encoded(), sound);
        assert_eq!(record.position().sequence, record.sequence);
    }
    let payloads: Vec<&[u8]> = sound.chunks(40).collect();
    let file: Vec<u8> = payloads.iter().flat_map(|payload| fuzzing::frame(payload)).chain(raw.iter().copied()).collect();
    let found = fuzzing::payloads(file).unwrap();
    assert!(found.len() >= payloads.len() && found.iter().zip(&payloads).all(|(found, payload)| found == payload));
});
