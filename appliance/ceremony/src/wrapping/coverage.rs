//! `sys/sealwrap/coverage`: how every record lies on the disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use barrier::{Coverage, Surveyed, inspect};
use framework::{
    Catalog, Ciphertext, CoverageReport, CoverageRow, Error, KeyId, MountId, Prefix, SealKind, SealWrapping, Store,
    Transaction, Walk,
};

use super::Wrappings;
use super::declared::{Declared, Rule};

impl<D: Store<Ciphertext> + Walk<Ciphertext>> Wrappings<D> {
    pub(super) fn report(&self, open: bool) -> Result<CoverageReport, Error> {
        let catalog = self.catalog()?;
        let declared = Declared::read(&self.ceremony.registry, &catalog)?;
        let keys = self.ceremony.barrier.store().wrapping_keys();
        let mut rows = declared.rows.clone();
        let mut page = self.ceremony.barrier.survey(None)?;
        while let Some(last) = page.last() {
            for found in &page {
                let (row, place) = self.place(&declared, found, &keys, open)?;
                if let Some(row) = rows.get_mut(row) {
                    place.count_in(row);
                }
            }
            page = self.ceremony.barrier.survey(Some(&last.record.key))?;
        }
        // A row of nothing says something only where something is critical.
        rows.retain(|row| row.critical || row.records() > 0);
        Ok(CoverageReport { keys: keys.into_iter().collect(), root_key: self.root_key()?, rows })
    }

    /// In which row a record counts, and as what.
    fn place(
        &self,
        declared: &Declared,
        found: &Surveyed,
        keys: &BTreeSet<KeyId>,
        open: bool,
    ) -> Result<(usize, Lies), Error> {
        let Some(name) = &found.name else { return Ok((declared.nobodys(), Lies::Unreadable)) };
        let rule = declared.rule(name);
        let lies = match inspect(&found.record.value.0) {
            Ok(Coverage::Unwrapped) => Lies::Unwrapped,
            Ok(Coverage::Wrapped { key_ids }) if key_ids.iter().collect::<BTreeSet<_>>() == keys.iter().collect() => {
                Lies::Wrapped
            }
            Ok(Coverage::Wrapped { key_ids }) => Lies::ByOtherKeys(key_ids),
            Err(_) => Lies::Unreadable,
        };
        let lies = match lies {
            Lies::Unreadable => Lies::Unreadable,
            lies if open => match self.ceremony.barrier.open_surveyed(found) {
                Ok(_) => lies,
                Err(error) if self.may_pass(&error, found)? => return Err(error),
                Err(_) => Lies::Unreadable,
            },
            lies => lies,
        };
        let row = match (rule, &lies) {
            (Rule::Critical(row) | Rule::Ordinary(row), _) => row,
            // It was wrapped since it said so.
            (Rule::Asked(critical, _), Lies::Wrapped | Lies::ByOtherKeys(_)) => critical,
            (Rule::Asked(critical, ordinary), Lies::Unwrapped) => match self.says_critical(found) {
                Ok(true) => critical,
                Ok(false) => ordinary,
                Err(Error::Internal(_)) => return Ok((critical, Lies::Unreadable)),
                Err(error) => return Err(error),
            },
            (Rule::Asked(critical, _), Lies::Unreadable) => critical,
        };
        Ok((row, lies))
    }

    /// Whether a record says itself that it is critical.
    pub(super) fn says_critical(&self, found: &Surveyed) -> Result<bool, Error> {
        let (Some(name), Some(value)) = (&found.name, self.ceremony.barrier.open_surveyed(found)?) else {
            return Ok(false);
        };
        let transaction = Transaction::new(&*self.ceremony.barrier);
        let view = transaction.view(Prefix::root(), MountId::default(), &[]);
        self.ceremony.registry.is_critical(&view, name.as_str(), &value)
    }

    /// Whether what kept a record from being opened may pass, so that it says nothing of the record: the HSM is out of reach,
    /// rather than without the key that the record asks for.
    pub(super) fn may_pass(&self, error: &Error, found: &Surveyed) -> Result<bool, Error> {
        match (error, inspect(&found.record.value.0)) {
            (Error::HsmUnavailable { .. }, Ok(Coverage::Wrapped { key_ids })) => {
                let current = self.ceremony.barrier.store().wrapping_keys();
                Ok(key_ids.iter().any(|key| current.contains(key)) || self.probe().is_err())
            }
            (Error::HsmUnavailable { .. } | Error::Busy { .. } | Error::Sealed, _) => Ok(true),
            _ => Ok(false),
        }
    }

    pub(super) fn catalog(&self) -> Result<Arc<Catalog>, Error> {
        self.catalog.upgrade().ok_or(Error::Sealed)
    }

    fn root_key(&self) -> Result<Vec<KeyId>, Error> {
        let record = self.ceremony.open_record()?;
        if record.is(SealKind::Shamir) {
            return Ok(Vec::new());
        }
        Ok(record.wrapped()?.into_iter().map(|wrapped| wrapped.key_id).collect())
    }
}

/// How a record lies there.
enum Lies {
    Wrapped,
    ByOtherKeys(Vec<KeyId>),
    Unwrapped,
    Unreadable,
}

impl Lies {
    fn count_in(self, row: &mut CoverageRow) {
        match self {
            Self::Wrapped => row.wrapped += 1,
            Self::ByOtherKeys(keys) => {
                let ids: Vec<String> = keys.into_iter().map(|key| key.0).collect();
                *row.by_other_keys.entry(ids.join("+")).or_default() += 1;
            }
            Self::Unwrapped => row.unwrapped += 1,
            Self::Unreadable => row.unreadable += 1,
        }
    }
}
