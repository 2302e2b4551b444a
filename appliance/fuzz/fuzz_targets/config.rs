//! Any text as a configuration: it is taken, or refused with a place in the file or a sentence.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(fault) = daemon::configuration_fault(text) {
        assert!(fault.len() > 10, "{fault}");
    }
});
