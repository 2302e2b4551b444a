//! Asking the harness what is to happen at a call. See [`crate::order`].

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use crate::order::Order;
use crate::{settings, violation};

static HARNESS: Mutex<Option<BufReader<UnixStream>>> = Mutex::new(None);

/// Connects, if the settings name a socket and there is no connection yet. Done when the module is initialised, since
/// later the process may not be allowed to.
pub(crate) fn connect() -> std::io::Result<()> {
    let mut harness = HARNESS.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Ok(settings), true) = (settings::get(), harness.is_none())
        && let Some(path) = &settings.control
    {
        *harness = Some(BufReader::new(UnixStream::connect(path)?));
    }
    Ok(())
}

/// The orders for this call. None if nobody is there to give any.
pub(crate) fn orders(function: &str) -> Vec<Order> {
    let mut harness = HARNESS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(connection) = harness.as_mut() else { return Vec::new() };
    let mut line = String::new();
    let asked = connection.get_mut().write_all(format!("{function}\n").as_bytes());
    match asked.and_then(|()| connection.read_line(&mut line)) {
        Ok(read) if read > 0 => Order::parse(&line).unwrap_or_else(|| {
            violation::report(&format!("the harness orders something unknown: {line:?}"));
            Vec::new()
        }),
        // The test is over.
        _ => {
            *harness = None;
            Vec::new()
        }
    }
}
