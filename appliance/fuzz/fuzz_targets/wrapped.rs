//! The headers of wrapped values, from a hostile disk: what is taken is written again as the same bytes.
#![no_main]

use barrier::Coverage;
use framework::Wrapped;

libfuzzer_sys::fuzz_target!(|record: &[u8]| {
    if let Ok(wrapped) = Wrapped::decode(record) {
        assert_eq!(wrapped.encode(), record);
    }
    if let Ok(Coverage::Wrapped { key_id }) = barrier::inspect(record) {
        assert!(key_id.0.len() < 256);
    }
});
