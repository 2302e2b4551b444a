//! The data key is made anew by itself.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test they help")]

mod common;

use std::sync::atomic::Ordering;

use common::{Disk, Server};
use framework::{KeyRotation, MountId, Prefix, SealControl, Transaction};
use registry::RotationPolicy;

fn set(server: &Server, policy: RotationPolicy) {
    let transaction = Transaction::new(&*server.barrier);
    policy.write(&transaction.view(Prefix::root(), MountId::default(), &[])).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn by_time_and_by_count() {
    let (server, _) = Server::shamir(&Disk::default().copy(), 1, 1);
    let term = || server.ceremony.data_key().unwrap().term;
    let passes = |seconds| server.clock.0.fetch_add(seconds, Ordering::SeqCst);
    passes(10_000_000);
    assert!(!server.ceremony.rotate_when_due().unwrap(), "no interval, few encryptions");

    let daily = RotationPolicy { interval: 86_400, ..RotationPolicy::default() };
    set(&server, RotationPolicy { enabled: false, ..daily });
    assert!(!server.ceremony.rotate_when_due().unwrap());
    set(&server, daily);
    assert!(server.ceremony.rotate_when_due().unwrap());
    assert!(!server.ceremony.rotate_when_due().unwrap(), "the new key is young");
    passes(86_399);
    assert!(!server.ceremony.rotate_when_due().unwrap());
    passes(1);
    assert!(server.ceremony.rotate_when_due().unwrap());
    passes(-1_000_000);
    assert!(!server.ceremony.rotate_when_due().unwrap(), "a clock put back is no age");
    assert_eq!(term(), 3);

    let used = server.ceremony.data_key().unwrap().encryptions;
    set(&server, RotationPolicy { max_operations: used + 2, ..RotationPolicy::default() });
    assert!(!server.ceremony.rotate_when_due().unwrap(), "one more encryption, of the policy");
    set(&server, RotationPolicy { max_operations: used + 2, ..RotationPolicy::default() });
    assert!(server.ceremony.rotate_when_due().unwrap());
    assert_eq!(term(), 4);
    server.ceremony.seal().unwrap();
    assert!(server.ceremony.rotate_when_due().is_err(), "sealed");
}
