//! The module behind this one.

use std::sync::OnceLock;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR, CKR_OK, Pkcs11};

use crate::settings;

static FUNCTIONS: OnceLock<Result<CK_FUNCTION_LIST, String>> = OnceLock::new();

/// Loads it; the second time, finds it. It is never unloaded.
pub(crate) fn load() -> Result<&'static CK_FUNCTION_LIST, &'static str> {
    FUNCTIONS.get_or_init(open).as_ref().map_err(String::as_str)
}

fn open() -> Result<CK_FUNCTION_LIST, String> {
    let path = &settings::get()?.library;
    // SAFETY: loading runs the library's initialisers; it is the one that the settings name, SoftHSM.
    let library = unsafe { Pkcs11::new(path) }.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut list: CK_FUNCTION_LIST_PTR = std::ptr::null_mut();
    let found = match &library.C_GetFunctionList {
        // SAFETY: a module's C_GetFunctionList writes a pointer to a table that lives as long as the module.
        Ok(get) => unsafe { get(&raw mut list) },
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    // SAFETY: as above: null, or a table that can be read.
    let functions = unsafe { list.as_ref() }.copied();
    // Dropped, it would be unloaded.
    std::mem::forget(library);
    functions.filter(|_| found == CKR_OK).ok_or_else(|| format!("{}: no function list", path.display()))
}

/// Calls a function of the real module: `real!(C_Logout(session))`.
macro_rules! real {
    ($name:ident ( $($argument:expr),* )) => {
        match $crate::real::load().ok().and_then(|functions| functions.$name) {
            // SAFETY: the arguments are those of our caller, who keeps to PKCS#11, or point to variables of ours.
            Some(function) => unsafe { function($($argument),*) },
            None => cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}
