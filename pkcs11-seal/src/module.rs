//! The vendor's module: loaded once, never unloaded.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::error::Fault;

/// One per process. It is never dropped: dropping the last `Pkcs11` would `dlclose` code that may still run threads.
static MODULE: OnceLock<Module> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Module {
    path: PathBuf,
    pkcs11: Pkcs11,
}

impl Module {
    /// Loads the module; the second time, finds it.
    pub(crate) fn load(path: &Path) -> Result<&'static Module, Fault> {
        let module = match MODULE.get() {
            Some(module) => module,
            None => {
                let pkcs11 = Pkcs11::new(path).map_err(|error| {
                    let cause = Fault::from(error).message;
                    Fault::fatal(format!("cannot load the PKCS#11 library {}: {cause}", path.display()))
                })?;
                // If two threads come here at once, the loser's handle is closed again; the winner's keeps it loaded.
                MODULE.get_or_init(|| Module { path: path.to_owned(), pkcs11 })
            }
        };
        if module.path != path {
            let (loaded, asked) = (module.path.display(), path.display());
            return Err(Fault::fatal(format!("this process has already loaded {loaded} and cannot load {asked} too")));
        }
        Ok(module)
    }

    /// The module, if it was loaded.
    pub(crate) fn loaded() -> Option<&'static Module> {
        MODULE.get()
    }

    pub(crate) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `C_Initialize` with the system's locks; a module already initialised is as good.
    pub(crate) fn initialize(&self) -> Result<(), Fault> {
        match self.pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `C_Finalize`: ends every session and login of this process. No other thread may be inside the module.
    pub(crate) fn finalize(&self) {
        if let Err(error) = self.pkcs11.clone().finalize() {
            tracing::debug!(error = %Fault::from(error).message, "C_Finalize failed");
        }
    }
}
