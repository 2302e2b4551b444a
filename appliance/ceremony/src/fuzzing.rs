//! What fuzzing reaches: the record that is read while sealed (`appliance/fuzz`).

use crate::record::SealRecord;

/// Reads a seal record and what is wrapped in it; how it reads when it is written again.
pub fn seal_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = SealRecord::decode(bytes).ok()?;
    let _ = record.wrapped();
    record.encode().ok()
}
