//! Listings, a page at a time.

use crate::{Error, Page, View};

crate::fields! {
    /// Which part of a listing is wanted.
    pub struct Paging {
        /// Begin after this name.
        pub after: Option<String>,
        /// At most this many names; negative or absent for all.
        pub limit: Option<i64>,
    }

    /// A listing.
    pub struct Names {
        /// The names; folders end in a slash.
        pub keys: Vec<String>,
    }
}

impl Paging {
    /// As the store takes it.
    pub fn page(self) -> Page {
        Page {
            after: self.after.filter(|name| !name.is_empty()),
            limit: self.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|&limit| limit > 0),
        }
    }

    /// The wanted part of names that are in order and at hand as a whole.
    pub fn of(self, names: Vec<String>) -> Vec<String> {
        let Page { after, limit } = self.page();
        let wanted = names.into_iter().filter(|name| after.as_ref().is_none_or(|after| name > after));
        wanted.take(limit.unwrap_or(usize::MAX)).collect()
    }
}

impl Names {
    /// The names directly below `folder`. [`Error::NotFound`] where there are none, as Vault has it.
    pub fn below(view: &View<'_>, folder: &str, paging: Paging) -> Result<Self, Error> {
        Self::some(view.list(folder, &paging.page())?)
    }

    /// These names. [`Error::NotFound`] if there are none.
    pub fn some(keys: Vec<String>) -> Result<Self, Error> {
        if keys.is_empty() { Err(Error::NotFound) } else { Ok(Self { keys }) }
    }
}

#[cfg(test)]
mod tests {
    use super::Paging;

    #[test]
    fn a_page_begins_after_a_name_and_ends_at_its_limit() {
        let names = || ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let page = |after: &str, limit| Paging { after: Some(after.to_owned()), limit }.of(names());
        assert_eq!(page("", None).len(), 4);
        assert_eq!(page("b", Some(1)), ["c"]);
        assert_eq!(page("bb", Some(9)), ["c", "d"]);
        assert_eq!(page("d", Some(-1)).len(), 0);
    }
}
