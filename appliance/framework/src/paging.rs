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
