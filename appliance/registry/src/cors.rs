//! Which web pages of other origins may use the API: `sys/config/cors`. The sentences are OpenBao's.

use std::sync::Arc;

use framework::{Cors, Error, Key, Secret, Store, View};

use crate::names;
use crate::registry::Registry;

/// What is stored, if anything is.
pub(crate) fn load(store: &dyn Store<Secret>) -> Result<Option<Arc<Cors>>, Error> {
    let found = store.get(&Key::new(names::CORS)?)?;
    found.map(|found| names::decode(names::CORS, &found.value).map(Arc::new)).transpose()
}

impl Registry {
    /// What pages of other origins may do; `None` if nothing, as while sealed.
    pub fn cors(&self) -> Option<Arc<Cors>> {
        self.open().ok()?.cors.get().as_ref().clone()
    }

    /// Lets pages of these origins use the API, from the commit on.
    pub fn allow_origins(&self, view: &View<'_>, cors: &Cors) -> Result<(), Error> {
        let wrong = |message: &str| Err(Error::field("allowed_origins", message));
        if cors.origins.is_empty() {
            return wrong("at least one origin or the wildcard must be provided");
        }
        if cors.origins.len() > 1 && cors.origins.iter().any(|origin| origin == "*") {
            return wrong("to allow all origins the '*' must be the only value for allowed_origins");
        }
        // They become headers of answers.
        let printable = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !cors.origins.iter().all(printable) {
            return wrong("an origin is printable ASCII without spaces");
        }
        if !cors.more_headers.iter().all(printable) {
            return Err(Error::field("allowed_headers", "the name of a header is printable ASCII without spaces"));
        }
        names::write(view, names::CORS, cors)
    }

    /// Lets no pages of other origins use the API, from the commit on.
    pub fn allow_no_origins(&self, view: &View<'_>) -> Result<(), Error> {
        view.delete(names::CORS)
    }
}
