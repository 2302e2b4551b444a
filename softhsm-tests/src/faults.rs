//! What a test orders the CloudHSM profile to do: this end of its control socket.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use cloudhsm_shim::order::Order;

/// Orders for calls of one function, or of all.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `C_Encrypt`; `*` for every function.
    pub function: String,
    /// Calls from now on that are let pass first.
    pub skip: usize,
    /// Calls that it strikes after these.
    pub times: usize,
    pub orders: Vec<Order>,
}

impl Fault {
    /// Strikes the next call of `function`.
    pub fn once(function: &str, orders: impl Into<Vec<Order>>) -> Self {
        Self { function: function.to_owned(), skip: 0, times: 1, orders: orders.into() }
    }

    /// Strikes every call of `function` until it is cleared.
    pub fn always(function: &str, orders: impl Into<Vec<Order>>) -> Self {
        Self { times: usize::MAX, ..Self::once(function, orders) }
    }
}

#[derive(Default)]
struct Plan {
    faults: Vec<Fault>,
    calls: HashMap<String, usize>,
    struck: usize,
    over: bool,
}

/// Answers every process that has loaded the module, for as long as this value lives.
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
    socket: PathBuf,
}

impl Faults {
    pub(crate) fn listen(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if lock(&shared).over {
                    return;
                }
                let plan = Arc::clone(&shared);
                thread::spawn(move || answer(connection, &plan));
            }
        });
        Self { plan, socket: socket.to_owned() }
    }

    pub fn inject(&self, fault: Fault) {
        lock(&self.plan).faults.push(fault);
    }

    /// No more faults.
    pub fn clear(&self) {
        lock(&self.plan).faults.clear();
    }

    /// Calls of `function` so far, by all processes.
    pub fn calls(&self, function: &str) -> usize {
        lock(&self.plan).calls.get(function).copied().unwrap_or_default()
    }

    /// Calls that a fault has struck.
    pub fn struck(&self) -> usize {
        lock(&self.plan).struck
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        lock(&self.plan).over = true;
        // Wakes the thread that listens; if it has ended already, there is nothing to wake.
        _ = UnixStream::connect(&self.socket);
    }
}

fn answer(mut connection: UnixStream, plan: &Mutex<Plan>) {
    let Ok(reading) = connection.try_clone() else { return };
    for function in BufReader::new(reading).lines().map_while(Result::ok) {
        let line = lock(plan).orders(&function).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        if connection.write_all(format!("{line}\n").as_bytes()).is_err() {
            return;
        }
    }
}

impl Plan {
    fn orders(&mut self, function: &str) -> Vec<Order> {
        *self.calls.entry(function.to_owned()).or_default() += 1;
        for fault in self.faults.iter_mut().filter(|fault| fault.function == function || fault.function == "*") {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times -= usize::from(fault.times < usize::MAX);
                self.struck += 1;
                return fault.orders.clone();
            }
        }
        Vec::new()
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}
