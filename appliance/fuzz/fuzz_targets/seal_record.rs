//! The seal record, which is read before anybody has vouched for it: what is taken survives being written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(written) = ceremony::fuzzing::seal_record(bytes) {
        assert_eq!(ceremony::fuzzing::seal_record(&written), Some(written));
    }
});
