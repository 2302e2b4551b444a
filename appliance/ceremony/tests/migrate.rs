//! Moving from one seal to another, and several seals at once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test they help"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ceremony::{Protection, Trouble};
use common::{Disk, Hsm, Server, behind, bent, give, refused};
use framework::{
    Error, GenerateToken, KeyId, MountId, Prefix, RawRecords, SealControl, SealHealth, Secret, TokenRequest,
    Transaction,
};

type Configured<'c> = &'c dyn Fn() -> Protection;

/// Starts on this disk and moves; the server if it came up.
fn moved(disk: &Arc<Disk>, protection: Protection, shares: &[Secret]) -> Server {
    let server = Server::start(disk, protection);
    assert!(server.ceremony.status().migration && server.ceremony.status().sealed);
    for share in &shares[..2] {
        server.ceremony.migrate(share.try_clone().unwrap()).unwrap();
    }
    let status = server.ceremony.status();
    assert!(!status.sealed && !status.migration);
    server
}

/// Whether a server of this configuration on a copy of this disk opens, by HSM or by these shares.
fn opens(disk: &Arc<Disk>, protection: Protection, shares: &[Secret]) -> bool {
    let by_hsm = !protection.hsms.is_empty();
    let server = Server::start(&disk.copy(), protection);
    if by_hsm { server.ceremony.unseal_by_hsm().is_ok() } else { server.opens_with(shares) }
}

/// Whether these shares give a root token.
fn authorises(server: &Server, shares: &[Secret]) -> bool {
    let nonce = server.ceremony.start(TokenRequest::default()).unwrap().nonce;
    let given: Vec<_> = shares[..2].iter().map(|share| server.ceremony.give(give(share, &nonce))).collect();
    GenerateToken::cancel(&server.ceremony);
    matches!(given.last(), Some(Ok(attempt)) if attempt.encoded_token.is_some())
}

/// A critical value of an engine.
fn keep(server: &Server, name: &str) {
    let transaction = Transaction::new(&*server.barrier);
    let view = transaction.view(Prefix::root(), MountId::default(), &["critical/"]);
    view.put(&format!("critical/{name}"), Secret::from(name)).unwrap();
    drop(view);
    transaction.commit().unwrap();
}

fn kept(server: &Server, name: &str) -> Result<bool, Error> {
    server.barrier.store().forget();
    let transaction = Transaction::new(&*server.barrier);
    let view = transaction.view(Prefix::root(), MountId::default(), &["critical/"]);
    Ok(view.get(&format!("critical/{name}"))?.is_some_and(|value| value.expose() == name.as_bytes()))
}

fn ids(labels: &[&str]) -> BTreeSet<KeyId> {
    labels.iter().map(|label| KeyId((*label).to_owned())).collect()
}

#[test]
fn from_shares_to_an_hsm_to_another_and_back_to_shares() {
    let (disk, a, b) = (Disk::default().copy(), Hsm::new("a", 1), Hsm::new("b", 2));
    let (server, shares) = Server::shamir(&disk, 3, 2);
    keep(&server, "plain");
    drop(server);

    let server = moved(&disk, behind(&[&a], &[]), &shares);
    assert!(authorises(&server, &shares), "they are recovery shares now");
    keep(&server, "by a");
    assert!(opens(&disk, behind(&[&a], &[]), &[]));

    let server = moved(&disk, behind(&[&b], &[&a]), &shares);
    keep(&server, "by b");
    assert!(kept(&server, "plain").unwrap() && kept(&server, "by a").unwrap() && kept(&server, "by b").unwrap());
    // The ceremonies' own records lie under the new seal: the old one may be away.
    a.off.store(true, Ordering::SeqCst);
    assert!(opens(&disk, behind(&[&b], &[&a]), &[]));
    a.off.store(false, Ordering::SeqCst);

    let server = moved(&disk, behind(&[], &[&a, &b]), &shares);
    assert!(authorises(&server, &shares) && kept(&server, "by a").unwrap() && kept(&server, "by b").unwrap());
    assert!(opens(&disk, behind(&[], &[&a, &b]), &shares), "they unseal again");
    // And the way back.
    assert!(authorises(&moved(&disk, behind(&[&b], &[&a]), &shares), &shares));
}

/// The batches of a move, and a kill after each: the old seal or the new one opens the storage, never neither and never both.
#[test]
fn a_kill_at_any_step_of_a_move_leaves_one_seal_that_opens() {
    let (a, b) = (Hsm::new("a", 1), Hsm::new("b", 2));
    let (none, on_a, on_b) = (|| behind(&[], &[&a, &b]), || behind(&[&a], &[&b]), || behind(&[&b], &[&a]));
    let walk: [(Configured<'_>, Configured<'_>); 4] = [(&none, &on_a), (&on_a, &on_b), (&on_b, &on_a), (&on_a, &none)];
    let disk = Disk::default().copy();
    let (server, shares) = Server::shamir(&disk, 3, 2);
    drop(server);
    for (from, to) in walk {
        let before = disk.past().len() - 1;
        moved(&disk, to(), &shares);
        let steps = &disk.past()[before..];
        let found: Vec<_> =
            steps.iter().map(|disk| (opens(disk, from(), &shares), opens(disk, to(), &shares))).collect();
        assert_eq!((found[0], found.last()), ((true, false), Some(&(false, true))));
        assert!(found.len() >= 2 && found.iter().all(|(old, new)| old != new), "{found:?}");
        // A configuration that was changed and not yet moved can be changed back.
        assert!(opens(&steps[0].copy(), from(), &shares));
    }
}

#[test]
fn a_move_needs_the_right_shares_and_a_new_seal_that_works() {
    let (disk, a, b) = (Disk::default().copy(), Hsm::new("a", 1), Hsm::new("b", 2));
    let (server, shares) = Server::hsm(&disk, &a);
    let share = |at: usize| shares[at].try_clone().unwrap();
    assert!(refused(server.ceremony.migrate(share(0))).contains("no migration seal found"));
    drop(server);
    let server = Server::start(&disk, behind(&[&b], &[&a]));
    assert!(matches!(server.ceremony.unseal_by_hsm(), Err(Trouble::Moving)));
    assert!(refused(server.ceremony.submit(Some(share(0)))).contains("migrate option not provided"));
    b.off.store(true, Ordering::SeqCst);
    assert!(matches!(server.ceremony.migrate(share(0)), Err(Error::HsmUnavailable { .. })));
    assert_eq!(server.ceremony.status().progress.given, 0, "no share was taken for it");
    b.off.store(false, Ordering::SeqCst);
    server.ceremony.migrate(share(0)).unwrap();
    refused(server.ceremony.migrate(bent(&shares[1])));
    assert!(server.ceremony.status().sealed && server.barrier.is_sealed());
    assert!(opens(&disk, behind(&[&a], &[]), &[]), "the old seal still does");
    server.ceremony.migrate(share(0)).unwrap();
    assert!(!server.ceremony.migrate(share(2)).unwrap().sealed);
}

#[test]
fn a_key_that_stored_values_need_cannot_be_taken_out_of_the_configuration() {
    let (disk, a, b) = (Disk::default().copy(), Hsm::new("a", 1), Hsm::new("b", 2));
    let (_, shares) = Server::hsm(&disk, &a);
    let refusal = |protection| match Server::try_start(&disk.copy(), protection) {
        Err(Error::Internal(incident)) => incident.cause,
        _ => panic!("it started"),
    };
    assert!(refusal(behind(&[], &[])).contains("\"a\" (it wraps the root key)"));
    assert!(refusal(behind(&[&b], &[])).contains("\"a\" (it wraps the root key)"));
    let server = moved(&disk, behind(&[&b], &[&a]), &shares);
    assert!(refusal(behind(&[&b], &[])).contains("\"a\" (stored values may be wrapped by it)"));
    assert!(!server.ceremony.fully_wrapped());
    server.ceremony.release_retired(&ids(&["a", "b"])).unwrap();
    refusal(behind(&[&b], &[]));
    server.ceremony.release_retired(&ids(&["b"])).unwrap();
    assert!(server.ceremony.fully_wrapped() && opens(&disk, behind(&[&b], &[]), &[]));
    // Another key under the label of the one that is needed is no replacement.
    assert!(!opens(&disk, behind(&[&Hsm::new("b", 3)], &[]), &[]));
}

/// Several HSMs: any of them unseals and reads; one is added and another left without a quorum, which is how a key rotates.
#[test]
fn of_several_hsms_any_one_will_do_and_a_key_rotates_without_a_quorum() {
    let (disk, a, b) = (Disk::default().copy(), Hsm::new("a", 1), Hsm::new("b", 2));
    let (server, shares) = Server::hsm(&disk, &a);
    keep(&server, "by a");
    drop(server);
    let up = |protection| {
        let server = Server::start(&disk, protection);
        server.ceremony.unseal_by_hsm().unwrap();
        server
    };
    // One that is away is not let in yet, and nothing is wrapped by it.
    b.off.store(true, Ordering::SeqCst);
    let server = up(behind(&[&b, &a], &[]));
    assert!(!server.ceremony.align_seals().unwrap() && !server.ceremony.fully_wrapped());
    b.off.store(false, Ordering::SeqCst);
    assert!(server.ceremony.align_seals().unwrap() && !server.ceremony.align_seals().unwrap());
    keep(&server, "by both");
    a.off.store(true, Ordering::SeqCst);
    let server = up(behind(&[&b, &a], &[]));
    assert!(kept(&server, "by both").unwrap() && kept(&server, "by a").is_err());
    assert!(authorises(&server, &shares));
    a.off.store(false, Ordering::SeqCst);
    b.off.store(true, Ordering::SeqCst);
    assert!(kept(&up(behind(&[&b, &a], &[])), "by both").unwrap());
    b.off.store(false, Ordering::SeqCst);

    // The old key is left, and needed until what it alone wrapped is rewrapped.
    let server = up(behind(&[&b], &[&a]));
    assert!(server.ceremony.align_seals().unwrap() && kept(&server, "by a").unwrap());
    assert!(Server::try_start(&disk.copy(), behind(&[&b], &[])).is_err());
    keep(&server, "by a");
    server.ceremony.release_retired(&ids(&["b"])).unwrap();
    let server = up(behind(&[&b], &[]));
    assert!(kept(&server, "by a").unwrap() && kept(&server, "by both").unwrap());
}

#[test]
fn what_is_written_raw_stays_as_it_was_wrapped() {
    let (disk, a) = (Disk::default().copy(), Hsm::new("a", 1));
    let (server, _) = Server::hsm(&disk, &a);
    keep(&server, "one");
    let is_wrapped = |name: &str| server.ceremony.is_wrapped(name).unwrap();
    assert_eq!(
        [is_wrapped("critical/one"), is_wrapped("critical/none"), is_wrapped("core/mount-table")],
        [Some(true), None, Some(false)]
    );
    assert!(server.ceremony.is_protected("core/token-key") && !server.ceremony.is_protected("core/mount-table"));
}
