//! The full rewrap: every record gets its due form, a portion at a time, beside all other work. One call of the seal is under
//! way at a time, so that requests are not kept waiting for long.

use std::time::Duration;

use barrier::{Surveyed, seal_keys};
use framework::{Ciphertext, Error, MountId, Prefix, Store, Transaction, Walk, Write};
use registry::{Portion, Rewrap};

use super::Wrappings;
use super::declared::{Declared, Rule};

/// Most records of a portion: what is done again after a crash, and what one sync of the journal is for.
const PORTION: usize = 64;
/// How often the record of the progress is written while others write it.
const ATTEMPTS: usize = 8;

impl<D: Store<Ciphertext> + Walk<Ciphertext>> Wrappings<D> {
    /// Does a portion of the full rewrap that is under way; how long to wait before the next, or `None` if there is nothing to
    /// do. Doing a portion again does no harm, so it goes on where it was after a seal, a crash, or an HSM that was gone:
    /// that is an error, and the portion ends before the record that needs it.
    pub fn rewrap_portion(&self) -> Result<Option<Duration>, Error> {
        let mut job = self.progress(|_| false)?;
        if !job.running {
            return Ok(None);
        }
        if job.total == 0 {
            let total = self.count()?;
            job = self.progress(|job| {
                job.total = total;
                true
            })?;
        }
        let most = if job.throttle == 0 { PORTION } else { PORTION.min(job.throttle as usize) };
        let page = self.ceremony.barrier.survey(job.position()?.as_ref())?;
        let (portion, trouble) = self.renew(page.into_iter().take(most).collect())?;
        if portion.position.is_none() && trouble.is_none() {
            tracing::info!(records = job.processed, changed = job.changed, failed = job.failed, "rewrap: done");
            let in_use = seal_keys(self.ceremony.barrier.store().store())?.wrapped.into_keys().collect();
            self.ceremony.release_retired(&in_use)?;
        }
        if portion.processed > 0 || trouble.is_none() {
            let now = self.ceremony.clock.now();
            self.progress(|job| {
                job.advance(&portion, now);
                true
            })?;
        }
        match (trouble, job.throttle) {
            (Some(error), _) => Err(error),
            (None, 0) => Ok(Some(Duration::ZERO)),
            (None, throttle) => Ok(Some(Duration::from_secs(portion.processed) / throttle)),
        }
    }

    /// Gives records their due form; what was done, and what keeps the rest from being done now.
    fn renew(&self, page: Vec<Surveyed>) -> Result<(Portion, Option<Error>), Error> {
        let catalog = self.catalog()?;
        let declared = Declared::read(&self.ceremony.registry, &catalog)?;
        let (mut portion, mut writes, mut trouble) = (Portion::default(), Vec::new(), None);
        for found in page {
            match self.renewed(&declared, &found) {
                Ok(write) => writes.extend(write.map(|write| (found.record.version, write))),
                Err(error) if self.may_pass(&error, &found)? => {
                    trouble = Some(error);
                    break;
                }
                Err(error) => {
                    tracing::error!("rewrap: a record is left as it is (at {}): {error:?}", found.record.key.as_str());
                    portion.failed += 1;
                }
            }
            portion.processed += 1;
            portion.position = Some(found.record.key);
        }
        portion.changed = u64::try_from(writes.len()).unwrap_or_default();
        if !writes.is_empty() {
            self.ceremony.barrier.renew(writes)?;
        }
        Ok((portion, trouble))
    }

    fn renewed(&self, declared: &Declared, found: &Surveyed) -> Result<Option<Write<Ciphertext>>, Error> {
        let name = found.name.as_ref().ok_or_else(|| Error::internal("its name failed the integrity check"))?;
        let critical = match declared.rule(name) {
            Rule::Critical(_) => true,
            Rule::Ordinary(_) => false,
            Rule::Asked(..) => self.says_critical(found)?,
        };
        self.ceremony.barrier.renewed(found, critical)
    }

    /// Changes the record of the progress, if `change` says so; how it is then.
    fn progress(&self, change: impl Fn(&mut Rewrap) -> bool) -> Result<Rewrap, Error> {
        for _ in 0..ATTEMPTS {
            let transaction = Transaction::new(&*self.ceremony.barrier);
            let view = transaction.view(Prefix::root(), MountId::default(), &[]);
            let mut job = Rewrap::read(&view)?;
            if change(&mut job) {
                job.write(&view)?;
            }
            match transaction.commit() {
                Err(Error::Conflict) => {}
                committed => return committed.map(|_| job),
            }
        }
        Err(Error::Busy { reason: "others keep changing the progress of the rewrap" })
    }

    fn count(&self) -> Result<u64, Error> {
        let disk = self.ceremony.barrier.store().store();
        let (mut count, mut page) = (0, disk.walk(None)?);
        while let Some(last) = page.last() {
            count += u64::try_from(page.len()).unwrap_or_default();
            page = disk.walk(Some(&last.key))?;
        }
        Ok(count)
    }
}
