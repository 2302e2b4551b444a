//! Seal wrap as a whole: which records should be wrapped (`declared`), how they lie (`coverage`), and giving every one of them
//! its due form (`rewrap`).

mod coverage;
mod declared;
mod rewrap;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use framework::{Catalog, Ciphertext, CoverageReport, Error, SealWrapping, Store, Walk};

use crate::Ceremony;

/// How often the seals are tried to see how fast they are.
const PROBES: usize = 5;

/// Looks after what the seals wrap on a disk `D`.
pub struct Wrappings<D> {
    /// The seals, the barrier, the mounts.
    pub ceremony: Arc<Ceremony<D>>,
    /// What the engines declare.
    pub catalog: Weak<Catalog>,
}

impl<D: Store<Ciphertext> + Walk<Ciphertext>> SealWrapping for Wrappings<D> {
    fn coverage(&self, open: bool) -> Result<CoverageReport, Error> {
        self.report(open)
    }

    fn probe(&self) -> Result<Option<Duration>, Error> {
        let protection = &self.ceremony.protection;
        if protection.hsms.is_empty() {
            return Ok(None);
        }
        // The first call after a while may take far longer than those that follow it.
        let mut least = Duration::MAX;
        for _ in 0..PROBES {
            let begin = Instant::now();
            protection.able()?;
            least = least.min(begin.elapsed());
        }
        Ok(Some(least))
    }
}
