//! The headers of wrapped values, from a hostile disk: what is taken is written again as the same bytes.
#![no_main]

use barrier::Coverage;
use framework::Wrapped;

libfuzzer_sys::fuzz_target!(|record: &[u8]| {
    if let Ok(wrapped) = Wrapped::decode(record) {
        assert_eq!(wrapped.encode(), record);
    }
    if let Ok(wrapped) = Wrapped::decode_all(record) {
        assert_eq!(Wrapped::decode_all(&Wrapped::encode_all(&wrapped).unwrap()).unwrap(), wrapped);
    }
    if let Ok(Coverage::Wrapped { key_ids }) = barrier::inspect(record) {
        assert!(key_ids.iter().all(|key_id| key_id.0.len() < 256));
    }
});
