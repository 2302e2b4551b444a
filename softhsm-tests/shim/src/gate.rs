//! The way into every function: is this the process that initialised the module, what does the test order, how slow is it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cryptoki_sys::{CK_RV, CK_SESSION_HANDLE, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_GENERAL_ERROR};

use crate::order::Order;
use crate::{control, sessions, settings, state, violation};

/// The process that initialised the module; 0 for none.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Takes the module into use for this process; `false` if it is already.
pub(crate) fn own() -> bool {
    OWNER.swap(std::process::id(), Ordering::SeqCst) != std::process::id()
}

/// The end of that.
pub(crate) fn disown() {
    OWNER.store(0, Ordering::SeqCst);
}

/// Whether CloudHSM's rules hold.
pub(crate) fn rules() -> bool {
    settings::get().is_ok_and(|settings| settings.rules)
}

/// A call of `function`, whose own work is `work`.
pub(crate) fn call(function: &'static str, work: impl FnOnce() -> CK_RV) -> CK_RV {
    let settings = match settings::get() {
        Ok(settings) => settings,
        Err(error) => {
            violation::report(error);
            return CKR_GENERAL_ERROR;
        }
    };
    let owner = OWNER.load(Ordering::SeqCst);
    if owner != 0 && owner != std::process::id() {
        // PKCS#11 v2.40, section 6.6: a child must initialise for itself. AWS says nothing, so: never.
        violation::report(&format!("{function} in a child of the process that initialised the module"));
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    }
    if let Some(pause) = settings.latency.get(function) {
        std::thread::sleep(*pause);
    }
    follow(&control::orders(function), work)
}

/// The same with a session, of which only one call at a time is allowed (PKCS#11 v2.40, section 6.7.6).
pub(crate) fn session_call(function: &'static str, session: CK_SESSION_HANDLE, work: impl FnOnce() -> CK_RV) -> CK_RV {
    if !state::enter(session) {
        violation::report(&format!("{function} in a session that another thread is using"));
        return CKR_GENERAL_ERROR;
    }
    let mut worked = false;
    let result = call(function, || {
        worked = true;
        work()
    });
    state::leave(session, worked);
    result
}

fn follow(orders: &[Order], work: impl FnOnce() -> CK_RV) -> CK_RV {
    let (mut work, mut result) = (Some(work), None);
    for order in orders {
        match order {
            Order::Delay(time) => std::thread::sleep(*time),
            Order::Do => result = work.take().map(|work| work()).or(result),
            Order::Return(code) => return *code,
            Order::LoseSessions => sessions::lose_all(),
            Order::Hang => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Order::Crash => std::process::abort(),
        }
    }
    work.map(|work| work()).or(result).unwrap_or(CKR_GENERAL_ERROR)
}
