//! New shares by a quorum of the old: the old ones are good until the new ones are.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail the test they help"
)]

mod common;

use std::sync::Arc;

use common::{Disk, Hsm, Server, bent, give, opens, refused};
use framework::{
    GenerateToken, KeyRotation, KeySet, NewShares, Rekey, RekeyRequest, RekeyStep, SealControl, Secret, TokenRequest,
    VerifyRekey,
};

use KeySet::{Recovery, Unseal};

fn wanted(shares: u8, threshold: u8, verify: bool) -> RekeyRequest {
    RekeyRequest { shares, threshold, pgp_keys: Vec::new(), backup: false, verify }
}

/// Starts a rekey and gives it two shares.
fn rekeyed(server: &Server, set: KeySet, wanted: RekeyRequest, old: &[Secret]) -> NewShares {
    let nonce = server.ceremony.start_rekey(set, wanted);
    assert!(matches!(server.ceremony.give_old(set, &old[0], &nonce), RekeyStep::More(state) if state.progress == 1));
    match server.ceremony.give_old(set, &old[1], &nonce) {
        RekeyStep::Done(new) => new,
        RekeyStep::More(_) => panic!("two are enough"),
    }
}

/// Names that do not clash with those of the other ceremonies.
trait Named {
    fn start_rekey(&self, set: KeySet, wanted: RekeyRequest) -> String;
    fn give_old(&self, set: KeySet, share: &Secret, nonce: &str) -> RekeyStep;
}

impl<T: Rekey> Named for T {
    fn start_rekey(&self, set: KeySet, wanted: RekeyRequest) -> String {
        self.start(set, wanted).unwrap().nonce
    }

    fn give_old(&self, set: KeySet, share: &Secret, nonce: &str) -> RekeyStep {
        self.give(set, give(share, nonce)).unwrap()
    }
}

/// A root token by these shares shows that they authorise.
fn authorise(server: &Server, shares: &[Secret]) -> bool {
    let nonce = GenerateToken::start(&server.ceremony, TokenRequest::default()).unwrap().nonce;
    let needed = usize::from(server.ceremony.status().threshold);
    let given = shares.iter().take(needed).map(|share| GenerateToken::give(&server.ceremony, give(share, &nonce)));
    let all = given.collect::<Result<Vec<_>, _>>();
    GenerateToken::cancel(&server.ceremony);
    all.is_ok()
}

#[test]
fn new_shares_open_and_old_ones_do_not() {
    let disk = Disk::default().copy();
    let (server, old) = Server::shamir(&disk, 3, 2);
    let new = rekeyed(&server, Unseal, wanted(5, 3, false), &old);
    assert_eq!((new.shares.len(), new.verification_nonce.as_str()), (5, ""));
    assert!(opens(&disk, &new.shares) && !opens(&disk, &old));
    assert_eq!((server.ceremony.status().shares, server.ceremony.status().threshold), (5, 3));
    assert!(!server.ceremony.status().sealed, "without an interruption");
    assert!(authorise(&server, &new.shares) && !authorise(&server, &old));
}

#[test]
fn wrong_shares_leave_the_rekey_as_it_was() {
    let (server, old) = Server::shamir(&Disk::default().copy(), 3, 2);
    let start = |shares, threshold| Rekey::start(&server.ceremony, Unseal, wanted(shares, threshold, false));
    for (shares, threshold, why) in
        [(0, 0, "shares must"), (3, 0, "threshold must"), (3, 4, "larger"), (3, 1, "multiple")]
    {
        assert!(refused(start(shares, threshold)).contains(why));
    }
    let nonce = start(3, 2).unwrap().nonce;
    assert!(refused(start(3, 2)).contains("already in progress"));
    let give_it = |share: &Secret, nonce: &str| Rekey::give(&server.ceremony, Unseal, give(share, nonce));
    assert!(refused(give_it(&old[0], "")).contains("incorrect nonce"));
    give_it(&old[0], &nonce).unwrap();
    assert!(refused(give_it(&old[0], &nonce)).contains("already been provided"));
    assert!(refused(give_it(&bent(&old[1]), &nonce)).contains("starts again"));
    let state = server.ceremony.state(Unseal).unwrap();
    assert_eq!((state.started, state.progress, state.nonce), (true, 0, nonce.clone()));
    give_it(&old[0], &nonce).unwrap();
    give_it(&old[2], &nonce).unwrap();
    assert!(refused(give_it(&old[1], &nonce)).contains("no rekey"), "one share too many");
    assert!(refused(server.ceremony.state(Recovery)).contains("not supported"));
}

#[test]
fn new_shares_wait_for_their_verification() {
    let disk = Disk::default().copy();
    let (server, old) = Server::shamir(&disk, 3, 2);
    assert!(refused(server.ceremony.verification(Unseal)).contains("no rekey"));
    let new = rekeyed(&server, Unseal, wanted(3, 3, true), &old);
    let show = |share: &Secret, nonce: &str| server.ceremony.verify(Unseal, give(share, nonce));
    assert!(opens(&disk, &old) && !opens(&disk, &new.shares));
    assert!(
        refused(Rekey::give(&server.ceremony, Unseal, give(&old[0], &new.nonce))).contains(&new.verification_nonce)
    );
    assert!(refused(show(&new.shares[0], &new.nonce)).contains("incorrect nonce"));
    show(&new.shares[0], &new.verification_nonce).unwrap();
    show(&new.shares[1], &new.verification_nonce).unwrap();
    assert!(refused(show(&bent(&new.shares[2]), &new.verification_nonce)).contains("incorrect key shares"));
    let again = server.ceremony.verification(Unseal).unwrap();
    assert_eq!((again.progress, again.nonce == new.verification_nonce), (0, false));
    let nonce = server.ceremony.restart_verification(Unseal).unwrap().nonce;
    assert_ne!(nonce, again.nonce);
    for share in &new.shares[..2] {
        assert!(!show(share, &nonce).unwrap().complete);
    }
    assert!(opens(&disk, &old));
    assert!(show(&new.shares[2], &nonce).unwrap().complete);
    assert!(opens(&disk, &new.shares) && !opens(&disk, &old));
    // Given up in the middle, the shares that were given out are worth nothing.
    let unverified = rekeyed_by_three(&server, &new.shares);
    Rekey::cancel(&server.ceremony, Unseal);
    assert!(opens(&disk, &new.shares) && !opens(&disk, &unverified.shares));
}

fn rekeyed_by_three(server: &Server, old: &[Secret]) -> NewShares {
    let nonce = server.ceremony.start_rekey(Unseal, wanted(2, 2, true));
    for share in &old[..2] {
        server.ceremony.give_old(Unseal, share, &nonce);
    }
    match server.ceremony.give_old(Unseal, &old[2], &nonce) {
        RekeyStep::Done(new) => new,
        RekeyStep::More(_) => panic!("three are enough"),
    }
}

/// Killed anywhere, one of the two sets opens the store; and the old one does until the new one was given out.
#[test]
fn a_kill_at_any_step_leaves_one_set_of_shares_that_opens() {
    let disk = Disk::default().copy();
    let (server, old) = Server::shamir(&disk, 3, 2);
    let before = disk.past().len();
    let new = rekeyed(&server, Unseal, wanted(3, 2, false), &old);
    server.ceremony.rotate_root_key().unwrap();
    let past = disk.past();
    let found: Vec<_> = past[before - 1..].iter().map(|disk| (opens(disk, &old), opens(disk, &new.shares))).collect();
    assert_eq!(found[0], (true, false));
    assert!(found.len() >= 2 && found.iter().all(|(old, new)| old != new), "{found:?}");
    assert_eq!(found.last(), Some(&(false, true)));
}

#[test]
fn recovery_shares_are_renewed_beside_an_hsm() {
    let (disk, hsm) = (Disk::default().copy(), Hsm::new("seal", 1));
    let (server, old) = Server::hsm(&disk, &hsm);
    let new = rekeyed(&server, Recovery, wanted(2, 2, true), &old);
    assert!(authorise(&server, &old) && !authorise(&server, &new.shares));
    for share in &new.shares {
        server.ceremony.verify(Recovery, give(share, &new.verification_nonce)).unwrap();
    }
    assert!(authorise(&server, &new.shares) && !authorise(&server, &old));
    // The root key too, by authority of the recovery shares; the HSM keeps it, so there is nothing to give out.
    assert!(rekeyed(&server, Unseal, wanted(5, 3, false), &new.shares).shares.is_empty());
    let again = Server::start(&disk.copy(), common::behind(&[&hsm], &[]));
    again.ceremony.unseal_by_hsm().unwrap();
    assert!(authorise(&again, &new.shares));
}

#[test]
fn a_new_root_key_needs_no_new_shares() {
    let disk: Arc<Disk> = Disk::default().copy();
    let (server, shares) = Server::shamir(&disk, 3, 2);
    server.ceremony.rotate_root_key().unwrap();
    server.ceremony.rotate_root_key().unwrap();
    assert!(opens(&disk, &shares) && authorise(&server, &shares));
}
