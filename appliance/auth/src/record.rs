//! Records whose form is declared by [`framework::fields!`], stored as the JSON object that an answer would show.

use framework::{Error, Fields, Input, View};

/// Reads a record.
pub(crate) fn read<T: Fields>(view: &View<'_>, name: &str) -> Result<Option<T>, Error> {
    let Some(body) = view.read(name)? else { return Ok(None) };
    // What was stored was checked; a fault in it is not the client's.
    T::parse(&mut Input { path: Vec::new(), body }).map(Some).map_err(Error::internal)
}

/// Stages a record.
pub(crate) fn write<T: Fields>(view: &View<'_>, name: &str, record: T) -> Result<(), Error> {
    view.write(name, &record.emit())
}
