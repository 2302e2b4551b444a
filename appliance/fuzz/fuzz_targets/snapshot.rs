//! Snapshot files that a client sends: as they come, and behind their checksums.
#![no_main]

use storage::archive::{fuzzing, inspect};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = inspect(&mut &*input);
    let _ = fuzzing::tar(input);
    let _ = fuzzing::records(input);
});
