//! Secrets that come as environment variables.

use std::ffi::{CStr, CString};

use crate::arena::ArenaFull;
use crate::secret::Secret;
use crate::wipe::wipe;

/// Takes a variable's value out of the environment: into guarded memory, with the place where it stood overwritten, which
/// `/proc/PID/environ` shows too. What is left is a variable without a value. `None` if there is no such variable, or
/// nothing in it.
///
/// Call it while there is one thread only: another could be reading the environment.
///
/// # Errors
/// [`ArenaFull`]; then nothing was changed.
pub fn take_variable(name: &str) -> Result<Option<Secret>, ArenaFull> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    // JUSTIFICATION: std gives copies of values, and no way to reach the place where they stand.
    // SAFETY: the name ends with a zero. With one thread nobody changes the environment while the result is used.
    let at = unsafe { libc::getenv(name.as_ptr()) };
    if at.is_null() {
        return Ok(None);
    }
    // JUSTIFICATION: as above.
    // SAFETY: `getenv` gave a string that ends with a zero and lies in the environment, which nobody else uses now. The copy
    // is complete, and the borrow of it over, before the bytes are overwritten; they stay a string, an empty one.
    unsafe {
        let value = CStr::from_ptr(at).to_bytes();
        if value.is_empty() {
            return Ok(None);
        }
        let length = value.len();
        let secret = Secret::locked(value)?;
        wipe(at.cast(), length);
        Ok(Some(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_missing_or_impossible_is_none() {
        for name in ["HOLDFAST_NO_SUCH_VARIABLE", "WITH\0ZERO", ""] {
            assert_eq!(take_variable(name), Ok(None));
        }
    }
}
