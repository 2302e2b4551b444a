//! Leased secrets, from their issue to their end. The engine is `common::vending`.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::time::Duration;

use common::{House, hours, house, refusal, with};
use framework::{Auth, Error, Json, Lease, MountInfo, Page, Secret, TokenKind};
use registry::{MountClass, TokenRef, TokenSpec};

/// A lease that can be renewed, for a number of seconds.
fn renewable(secs: u64) -> Lease {
    Lease { duration: Duration::from_secs(secs), renewable: true, ..Lease::default() }
}

/// A house with the engine at `vend/`, and a token.
fn set_up() -> (House, Secret) {
    let house = house();
    house.vend_at("vend");
    let token = house.token(&house.root, with(&["root"]));
    (house, token)
}

impl House {
    fn looked_up(&self, id: &str) -> Result<framework::Map<String, Json>, Error> {
        self.write(|view| self.registry.lookup_lease(view, id, self.now()))
    }

    fn listed(&self, prefix: &str) -> Vec<String> {
        self.write(|view| self.registry.leases(view, prefix, &Page::default())).unwrap()
    }

    fn login(&self, user: &str) -> Auth {
        let mount = self.registry.mount("auth/token").unwrap().unwrap();
        let mount = MountInfo { path: "auth/userpass/".into(), ..mount.info.clone() };
        let mut auth = Auth { renewable: true, ..Auth::default() };
        let path = format!("auth/userpass/login/{user}");
        self.write(|view| self.registry.issue_token(view, &mut auth, &mount, &path, self.now())).unwrap();
        auth
    }

    fn lease_records(&self) -> [usize; 4] {
        ["sys/lease/id/vend/", "sys/lease/at/", "sys/token/lease/", "sys/lease/irrevocable/"]
            .map(|prefix| self.store.count(prefix))
    }
}

#[test]
fn a_lease_is_issued_looked_up_renewed_and_ends() {
    let (house, token) = set_up();
    let lease = house.vend(&token, "vend/a/b", 1, renewable(60)).unwrap();
    assert!(lease.id.starts_with("vend/a/b/") && lease.id.len() == 33 && lease.duration.as_secs() == 60);
    let found = Json::Object(house.looked_up(&lease.id).unwrap()).to_string().replace(&lease.id, "ID");
    let expected = r#"{"expire_time":"2026-11-21T23:13:15.5Z","id":"ID","issue_time":"2026-11-21T23:12:15.5Z",
        "last_renewal":null,"path":"vend/a/b","renewable":true,"ttl":60}"#;
    assert_eq!(found, expected.split_whitespace().collect::<String>());
    assert_eq!((house.listed("vend/"), house.listed("vend/a/b/").len()), (vec!["a/".to_owned()], 1));

    house.pass(50);
    assert_eq!(house.renew(&lease.id, 90).unwrap().duration.as_secs(), 90);
    assert_eq!(house.looked_up(&lease.id).unwrap()["last_renewal"], house.now().to_string());
    assert_eq!(house.renew(&lease.id, 10_000 * 3600).unwrap().duration, hours(768) - Duration::from_secs(50));
    assert_eq!(house.renew(&lease.id, 10).unwrap().duration.as_secs(), 10);
    house.pass(9);
    house.settle();
    assert_eq!(house.out(), 1);
    house.pass(2);
    assert_eq!(refusal(house.renew(&lease.id, 10)), "lease expired");
    house.settle();
    assert_eq!((house.out(), house.lease_records()), (0, [0; 4]));
    assert_eq!(refusal(house.looked_up(&lease.id)), "invalid lease");
    assert_eq!(refusal(house.renew(&lease.id, 10)), "lease not found");
    for bad in ["", "/", "../x", "a//b", "a\0b"] {
        assert_eq!(refusal(house.looked_up(bad)), "invalid lease", "{bad:?}");
    }

    let default = house.vend(&token, "vend/a", 2, Lease::default()).unwrap();
    assert_eq!((default.duration, default.renewable), (hours(768), false));
    assert_eq!(refusal(house.renew(&default.id, 10)), "lease is not renewable");
    let fixed = house.vend(&token, "vend/a", 3, Lease { kind: "fixed", ..renewable(60) }).unwrap();
    assert_eq!(refusal(house.renew(&fixed.id, 10)), "lease is not renewable");
    let capped = house.vend(&token, "vend/a", 4, Lease { max_ttl: hours(1), ..renewable(7200) }).unwrap();
    assert_eq!(capped.duration, hours(1));
    let nobody = house.write(|view| house.vend_in(view, &framework::Caller::default(), "vend/a", 5, renewable(1)));
    assert!(matches!(nobody, Err(Error::Internal(_))));
    assert_eq!(house.out(), 3, "no lease, no secret");
}

#[test]
fn tokens_are_leases_too() {
    let (house, _) = set_up();
    let bob = house.login("bob");
    let id = format!("auth/userpass/login/bob/h{}", bob.accessor);
    assert_eq!(house.listed("auth/userpass/login/"), ["bob/"]);
    assert_eq!(house.looked_up(&id).unwrap()["path"], "auth/userpass/login/bob");
    assert_eq!(refusal(house.renew(&id, 10)), "tokens cannot be renewed through this endpoint");
    let eves: Vec<Auth> = (0..200).map(|_| house.login("eve")).collect();
    assert_eq!(house.revoke(&id), "allowed");
    let alive = |auth: &Auth| house.caller(auth.client_token.as_ref().unwrap()).is_some();
    assert!(!alive(&bob) && eves.iter().all(alive));
    assert_eq!(house.revoke(&id), "allowed", "one that is gone is no error");

    let late = house.write(|view| {
        house.registry.expire_prefix(view, "auth/userpass", house.now())?;
        house.pass(1);
        Ok(house.login("late"))
    });
    house.settle();
    assert!(!eves.iter().any(alive) && alive(&late.unwrap()), "what was given out later is not meant");
    let mallory = house.login("mallory");
    assert_eq!(house.revoke_prefix("auth/user", false), "allowed");
    assert!(alive(&mallory), "a path is whole segments");
    assert_eq!(house.revoke_prefix("auth/userpass/", false), "allowed");
    assert!(!alive(&mallory) && house.listed("auth/userpass/").is_empty());
    assert!(house.caller(&house.root).is_some());
}

#[test]
fn leases_end_with_their_token() {
    let (house, token) = set_up();
    let child = house.token(&token, with(&["root"]));
    let caller = house.caller(&child).unwrap();
    for n in 0..12 {
        let vend = |n| {
            house.write(|view| {
                (n..n + 100).try_for_each(|n| house.vend_in(view, &caller, "vend/x", n, renewable(3600)).map(drop))
            })
        };
        vend(100 * n).unwrap();
    }
    house.vend(&house.root, "vend/x", 9999, renewable(3600)).unwrap();
    house.write(|view| house.registry.revoke_token(view, TokenRef::Token(&token), house.now())).unwrap();
    house.settle();
    assert_eq!((house.out(), house.lease_records()), (1, [1, 1, 1, 0]));
    assert_eq!(house.store.count("core/revocations/"), 0);

    // A secret that is given out while its token is revoked: one of the two runs again, or the lease is found afterwards.
    let token = house.token(&house.root, with(&["root"]));
    let caller = house.caller(&token).unwrap();
    let revoke = |view: &framework::View<'_>| house.registry.revoke_token(view, TokenRef::Token(&token), house.now());
    let first = house.write(|view| {
        house.vend_in(view, &caller, "vend/x", 1, renewable(60))?;
        house.write(revoke)
    });
    assert!(matches!(first, Err(Error::Conflict)));
    assert_eq!(
        refusal(house.write(|view| house.vend_in(view, &caller, "vend/x", 1, renewable(60)))),
        "permission denied"
    );
    let orphaned = house.token(&house.root, with(&["root"]));
    house.vend(&orphaned, "vend/x", 2, renewable(60)).unwrap();
    house
        .write(|view| {
            house.registry.revoke_orphan(
                view,
                &house.caller(&house.root).unwrap(),
                TokenRef::Token(&orphaned),
                house.now(),
            )
        })
        .unwrap();
    house.settle();
    assert_eq!(house.out(), 1, "revoked alone, a token takes its secrets along all the same");

    let last = house.token(&house.root, TokenSpec { num_uses: 1, ..with(&["root"]) });
    let caller = house.caller(&last).unwrap();
    house.write(|view| house.registry.use_token(view, &caller, house.now())).unwrap();
    assert_eq!(
        refusal(house.write(|view| house.vend_in(view, &caller, "vend/x", 3, renewable(60)))),
        "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked."
    );
}

#[test]
fn what_a_batch_token_leases_ends_with_it_or_with_its_parent() {
    let (house, token) = set_up();
    let batch = TokenSpec { kind: TokenKind::Batch, ttl: hours(1), ..with(&["p"]) };
    let child = house.token(&token, batch);
    let lease = house.vend(&child, "vend/x", 1, renewable(7200)).unwrap();
    assert_eq!(lease.duration, hours(1));
    house.pass(600);
    assert_eq!(house.renew(&lease.id, 7200).unwrap().duration, Duration::from_secs(3000));
    house.write(|view| house.registry.revoke_token(view, TokenRef::Token(&token), house.now())).unwrap();
    house.settle();
    assert_eq!(house.out(), 0);
    let orphan = TokenSpec { kind: TokenKind::Batch, no_parent: true, ttl: hours(1), ..with(&["p"]) };
    let orphan = house.token(&house.root, orphan);
    house.vend(&orphan, "vend/x", 2, renewable(7200)).unwrap();
    assert_eq!(house.store.count("sys/token/lease/"), 0);
    house.pass(3601);
    house.settle();
    assert_eq!(house.out(), 0);
}

#[test]
fn leases_end_with_their_mount() {
    let (house, token) = set_up();
    for n in 0..3 {
        house.vend(&token, "vend/x", n, renewable(3600)).unwrap();
    }
    house.break_vending("vend/x", Some("for now"));
    house.write(|view| house.registry.disable_mount(view, MountClass::Secret, "vend")).unwrap();
    assert!(house.registry.locate("vend/x").unwrap().is_none());
    house.settle();
    assert_eq!((house.out(), house.store.count("core/removals/")), (3, 1), "its engine needs its records still");
    house.vend_at("vend");
    let other = house.vend(&token, "vend/x", 7, renewable(3600)).unwrap();
    assert_eq!(house.revoke_prefix("vend", true), "allowed");
    assert_eq!(house.lease_records()[0], 0);
    house.settle();
    assert_eq!((house.out(), house.store.count("core/removals/")), (0, 0));
    assert_eq!(refusal(house.looked_up(&other.id)), "invalid lease");

    house.vend(&token, "vend/x", 8, renewable(3600)).unwrap();
    house.write(|view| house.registry.move_mount(view, "vend", "sold").map(drop)).unwrap();
    house.settle();
    assert_eq!(house.out(), 0, "taken back by the engine at its new path");
    house.vend(&token, "sold/x", 9, renewable(3600)).unwrap();
    let held = house.write(|view| {
        let caller = house.caller(&token).unwrap();
        house.vend_in(view, &caller, "sold/x", 10, renewable(3600))?;
        house.write(|view| house.registry.disable_mount(view, MountClass::Secret, "sold"))
    });
    assert!(matches!(held, Err(Error::Conflict)), "nothing is given out by a mount that is just being disabled");
    house.settle();
    assert_eq!(house.out(), 0);
}

#[test]
fn an_engine_that_fails_is_asked_again_and_again_and_then_once_a_day() {
    let (house, token) = set_up();
    let lease = house.vend(&token, "vend/x", 1, renewable(60)).unwrap();
    house.break_vending("vend/x", Some("for now"));
    assert_eq!(house.revoke(&lease.id), "server is busy: it is broken for now");
    assert_eq!(house.looked_up(&lease.id).unwrap()["ttl"], 60, "an attempt by hand changes nothing");
    house.pass(61);
    let irrevocable = || house.write(|view| house.registry.irrevocable_leases(view)).unwrap();
    for attempt in 1..=6u32 {
        assert!(irrevocable().is_empty(), "after {} attempts", attempt - 1);
        assert_eq!(house.sweep(10), 1);
        assert_eq!(house.sweep(10), 0, "not at once again");
        // Ten seconds times two to the number of attempts, give or take half.
        let pause = 10 << attempt;
        house.pass(pause / 2 - 1);
        assert_eq!(house.sweep(10), 0, "not after half the pause");
        house.pass(pause + 2);
    }
    let found = irrevocable();
    assert_eq!((found.len(), &found[0].id), (1, &lease.id));
    assert_eq!(found[0].trouble, "out of retries: server is busy: it is broken for now");
    assert_eq!(found[0].mount, house.registry.mount("vend").unwrap().unwrap().entry.accessor);
    assert_eq!(house.looked_up(&lease.id).unwrap()["revoke_error"], found[0].trouble);
    assert_eq!(refusal(house.renew(&lease.id, 10)), "lease is expired and has failed previous revocation attempts");
    assert_eq!(house.sweep(10), 0);
    house.pass(24 * 3600);
    assert_eq!(house.sweep(10), 1, "once a day");
    house.break_vending("vend/x", None);
    house.pass(24 * 3600 + 1);
    house.settle();
    assert_eq!((house.out(), house.lease_records()), (0, [0; 4]));

    house.break_vending("vend/x", Some("for good"));
    let hopeless = house.vend(&token, "vend/x", 2, renewable(1)).unwrap();
    house.pass(2);
    house.sweep(10);
    assert_eq!(irrevocable()[0].trouble, "it is broken");
    assert_eq!(
        house.revoke(&hopeless.id),
        format!("failed to revoke {:?}: failed to revoke entry: it is broken", hopeless.id)
    );
    assert_eq!(house.revoke_prefix("vend", true), "allowed");
    assert_eq!(house.lease_records(), [0; 4]);
}

#[test]
fn one_that_cannot_be_taken_back_holds_up_only_those_after_it() {
    let (house, token) = set_up();
    house.vend_at("broken");
    house.vend_at("well");
    let both = |house: &House| {
        house.vend(&token, "well/x", 1, renewable(60)).unwrap();
        house.vend(&token, "broken/x", 2, renewable(60)).unwrap();
    };
    both(&house);
    house.break_vending("broken/x", Some("for good"));
    assert!(house.revoke_prefix("", false).contains("it is broken"));
    assert_eq!(house.store.count("sys/lease/id/broken/"), 1);
    assert_eq!(house.revoke_prefix("well", false), "allowed");
    assert_eq!((house.out(), house.store.count("sys/lease/id/well/")), (1, 0));
}

#[test]
fn sweeping_survives_a_crash_at_every_step() {
    for fails_after in 0..6 {
        let (house, token) = set_up();
        for n in 0..3 {
            house.vend(&token, "vend/x", n, renewable(1)).unwrap();
        }
        house.pass(2);
        *house.store.fails_after.lock().unwrap() = Some(fails_after);
        let _ = house.registry.sweep(&house.store, &house.catalog, house.now(), 10);
        *house.store.fails_after.lock().unwrap() = None;
        let left = house.lease_records()[0];
        assert_eq!(house.out(), left, "a secret without a lease, or the other way round");
        house.pass(40);
        house.settle();
        assert_eq!((house.out(), house.lease_records()), (0, [0; 4]));
    }
}

#[test]
fn tidying_finds_what_belongs_to_nothing() {
    let (house, token) = set_up();
    let lease = house.vend(&token, "vend/x", 1, renewable(3600)).unwrap();
    let kept = house.vend(&house.root, "vend/x", 2, renewable(3600)).unwrap();
    let child = house.token(&token, with(&["p"]));
    let names = [&token, &child].map(|token| house.caller(token).unwrap().token.clone());
    house.write(|view| view.put(&format!("cubbyhole/{}/x", names[0]), Secret::from("x"))).unwrap();
    // Damage: the record is gone, and nothing that hangs on it.
    house.write(|view| view.delete(&format!("sys/token/id/{}", names[0]))).unwrap();
    for what in [registry::Tidy::Tokens, registry::Tidy::Leases] {
        assert!(house.write(|view| house.registry.start_tidy(view, what)).unwrap());
        assert!(!house.write(|view| house.registry.start_tidy(view, what)).unwrap(), "under way already");
    }
    house.settle();
    assert!(house.caller(&child).is_none() && house.looked_up(&lease.id).is_err() && house.looked_up(&kept.id).is_ok());
    assert_eq!((house.out(), house.store.count("cubbyhole/"), house.store.count("sys/token/parent/")), (1, 0, 0));
    assert_eq!((house.store.count("core/tidy/"), house.store.count("sys/lease/id/auth/")), (0, 0));
    house.pass(768 * 3600);
    house.settle();
    assert_eq!(house.store.count("sys/lease/at/"), 0);
}
