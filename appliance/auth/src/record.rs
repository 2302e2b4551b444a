//! Records whose form is declared by [`framework::fields!`], stored as the JSON object that an answer would show.

use framework::{Error, Fields, Input, Json, Map, Secret, View};

/// Reads a record.
pub(crate) fn read<T: Fields>(view: &View<'_>, name: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = view.get(name)? else { return Ok(None) };
    let body: Map<String, Json> = serde_json::from_slice(bytes.expose()).map_err(Error::internal)?;
    // What was stored was checked; a fault in it is not the client's.
    T::parse(&mut Input { path: Vec::new(), body }).map(Some).map_err(Error::internal)
}

/// Stages a record.
pub(crate) fn write<T: Fields>(view: &View<'_>, name: &str, record: T) -> Result<(), Error> {
    let bytes = serde_json::to_vec(&record.emit()).map_err(Error::internal)?;
    view.put(name, Secret::transient(bytes))
}
