//! Work that engines want done from time to time, on each of their mounts.

use std::collections::HashMap;
use std::sync::Arc;

use framework::{Caller, Context, Engine, Error, Origin, Periodic, Timestamp, Transaction};
use registry::{Mount, MountClass};

use crate::Pipeline;

/// How many portions of one chore are done before the next one gets its turn.
const PORTIONS: usize = 100;

/// When which chore is due again, by the mount's accessor and the chore's place in its engine.
#[derive(Debug, Default)]
pub struct Chores(HashMap<(String, usize), Timestamp>);

impl Pipeline {
    /// Does what is due; for a background thread, every second or so. Failures go to the log, and the chore is done again
    /// when it is due. [`Error::Sealed`] while sealed.
    pub fn do_chores(&self, chores: &mut Chores) -> Result<(), Error> {
        let now = self.clock.now();
        let mut due = HashMap::new();
        for class in [MountClass::Secret, MountClass::Auth] {
            for mount in self.registry.mounts(class)? {
                let Ok(engine) = mount.engine(&self.catalog) else { continue };
                for (n, periodic) in engine.periodic.iter().enumerate() {
                    let key = (mount.entry.accessor.clone(), n);
                    // What is seen for the first time is not due at once: after a start there is enough to do.
                    let at = chores.0.get(&key).copied().unwrap_or_else(|| now.plus(periodic.every));
                    let next = if now < at {
                        at
                    } else {
                        self.do_chore(&mount, engine, periodic, now);
                        now.plus(periodic.every)
                    };
                    due.insert(key, next);
                }
            }
        }
        chores.0 = due;
        Ok(())
    }

    fn do_chore(&self, mount: &Arc<Mount>, engine: &Engine, periodic: &Periodic, now: Timestamp) {
        for _ in 0..PORTIONS {
            match self.do_portion(mount, engine, periodic, now) {
                Ok(true) => {}
                // Somebody else was at the same records: there will be another time.
                Ok(false) | Err(Error::Conflict | Error::Sealed) => return,
                Err(error) => {
                    tracing::error!(accessor = mount.entry.accessor, "{}: {error:?}", periodic.about);
                    return;
                }
            }
        }
    }

    fn do_portion(&self, mount: &Mount, engine: &Engine, periodic: &Periodic, now: Timestamp) -> Result<bool, Error> {
        let transaction = Transaction::new(&*self.store);
        let (caller, origin) = (Caller::default(), Origin::local());
        let more = (periodic.run)(&Context {
            view: transaction.view(mount.folder.clone(), mount.id, mount.seal_wrapped(engine)),
            caller: &caller,
            origin: &origin,
            mount: &mount.info,
            now,
            rng: &*self.rng,
            token: None,
        })?;
        let changed = transaction.commit()?;
        self.registry.committed(&changed, &*self.store)?;
        Ok(more)
    }
}
