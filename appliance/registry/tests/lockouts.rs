//! Users who fail to log in too often.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use common::{House, house, refusal};
use framework::Error;
use registry::{LoginAttempt, Mount, MountClass, MountSpec};

impl House {
    fn people(&self) -> Arc<Mount> {
        let spec = MountSpec { path: "people".into(), kind: "userpass".into(), ..MountSpec::default() };
        self.write(|view| self.registry.enable_mount(view, MountClass::Auth, spec.clone())).unwrap();
        self.registry.mount("auth/people").unwrap().unwrap()
    }

    fn attempt(&self, mount: &Mount, name: &str) -> LoginAttempt {
        self.registry.login_attempt(mount, name.to_owned()).unwrap()
    }

    /// One failure; false if the user was locked out already.
    fn fails(&self, attempt: &LoginAttempt, known: bool) -> bool {
        match self.registry.login_failed(&self.store, attempt, known, self.now()) {
            Ok(()) => true,
            Err(Error::Denied) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn is_locked(&self, attempt: &LoginAttempt) -> bool {
        self.registry.check_lockout(attempt, self.now()).is_err()
    }
}

#[test]
fn a_flood_of_failures_is_one_write() {
    let house = house();
    let mount = house.people();
    let bob = house.attempt(&mount, "bob");
    let counted = std::thread::scope(|scope| {
        let flood = || (0..100).filter(|_| house.fails(&bob, true)).count();
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(flood)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<usize>()
    });
    assert_eq!((counted, house.store.count("core/locked-users/")), (5, 1));
    assert!(house.is_locked(&bob) && !house.is_locked(&house.attempt(&mount, "ada")));
    assert!(!house.store.dump().contains("core/locked-users/bob"));
    let locked = house.registry.locked_users(house.now()).unwrap();
    assert_eq!(locked[&mount.entry.accessor], ["bob"]);
}

#[test]
fn strangers_are_counted_and_cost_nothing() {
    let house = house();
    let mount = house.people();
    let bob = house.attempt(&mount, "bob");
    for _ in 0..4 {
        house.fails(&bob, true);
    }
    let eve = house.attempt(&mount, "eve");
    assert_eq!((0..6).filter(|_| house.fails(&eve, false)).count(), 5);
    for n in 0..12_000 {
        house.fails(&house.attempt(&mount, &format!("stranger {n}")), false);
    }
    assert!(!house.is_locked(&eve), "forgotten among so many");
    house.fails(&bob, true);
    assert!(house.is_locked(&bob), "who is known is not forgotten");
    assert_eq!(house.store.count("core/locked-users/"), 1);
    assert_eq!(house.registry.locked_users(house.now()).unwrap().len(), 1);
}

#[test]
fn lockouts_end_by_themselves_and_by_hand() {
    let house = house();
    let mount = house.people();
    let (bob, ada) = (house.attempt(&mount, "bob"), house.attempt(&mount, "ada"));
    for _ in 0..4 {
        house.fails(&bob, true);
    }
    house.pass(15 * 60);
    assert!(house.fails(&bob, true) && !house.is_locked(&bob), "the count began anew");
    for _ in 0..5 {
        house.fails(&bob, true);
        house.fails(&ada, true);
    }
    assert!(house.is_locked(&bob) && house.is_locked(&ada));
    house.write(|view| house.registry.unlock_user(view, &mount.entry.accessor, "ada")).unwrap();
    assert!(house.is_locked(&bob) && !house.is_locked(&ada));
    assert_eq!((0..6).filter(|_| house.fails(&ada, true)).count(), 5);
    house.pass(15 * 60);
    assert!(!house.is_locked(&bob) && house.registry.locked_users(house.now()).unwrap().is_empty());
    house.registry.sweep_lockouts(&house.store, house.now()).unwrap();
    assert_eq!(house.store.count("core/locked-users/"), 0);
    assert_eq!((0..6).filter(|_| house.fails(&bob, true)).count(), 5);
    house.registry.forget();
    assert_eq!(refusal(house.registry.check_lockout(&bob, house.now())), "Vault is sealed");
}

#[test]
fn a_success_forgets_and_a_restart_does_not() {
    let house = house();
    let mount = house.people();
    let (bob, ada) = (house.attempt(&mount, "bob"), house.attempt(&mount, "ada"));
    for _ in 0..4 {
        house.fails(&bob, true);
    }
    house.registry.login_succeeded(&bob);
    for _ in 0..4 {
        assert!(house.fails(&bob, true));
    }
    assert!(!house.is_locked(&bob));
    for _ in 0..5 {
        house.fails(&ada, true);
    }
    house.registry.forget();
    house.registry.load(&house.store, &common::hmac_key()).unwrap();
    assert!(house.is_locked(&ada) && !house.is_locked(&bob));
}
