//! What fuzzing reaches behind the checksums of an archive (`appliance/fuzz`).

use super::read::{read_files, read_state};

/// Reads `bytes` as what gzip holds in an archive.
pub fn tar(mut bytes: &[u8]) -> bool {
    read_files(&mut bytes, &mut |_| Ok(())).is_ok()
}

/// Reads `bytes` as the records of a snapshot, in a block whose checksum is right.
pub fn records(bytes: &[u8]) -> bool {
    let file = crate::snapshot::fuzzing_block(bytes);
    read_state(&mut file.as_slice(), &|_, _| Ok(()), &mut |_| Ok(())).is_ok()
}
