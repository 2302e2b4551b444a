//! Tokens and leases against a slow, obvious model: whatever is done to them in whatever order, and however often the server
//! starts anew, the same ones live, and no index has an entry too many or too few.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{House, NOBODY, house, with};
use framework::{Lease, Secret};
use proptest::prelude::*;
use registry::{TokenRef, TokenSpec};

const PATHS: [&str; 4] = ["vend/a", "vend/a/b", "vend/ab", "other/a"];
const PREFIXES: [&str; 6] = ["vend", "vend/a", "vend/a/b", "vend/ab/", "other", ""];

/// What is done. Numbers choose among what there is, modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Token { parent: usize, orphan: bool, secs: u64 },
    Lease { token: usize, path: usize, secs: u64 },
    RenewToken { token: usize, secs: u64 },
    RenewLease { lease: usize, secs: u64 },
    RevokeToken { token: usize, alone: bool },
    RevokeLease { lease: usize, later: bool },
    RevokePrefix { prefix: usize, later: bool },
    Pass { secs: u64 },
    StartAnew,
}

fn step() -> impl Strategy<Value = Step> {
    let secs = || 1u64..40;
    prop_oneof![
        4 => (any::<usize>(), any::<bool>(), secs()).prop_map(|(parent, orphan, secs)| Step::Token { parent, orphan, secs }),
        4 => (any::<usize>(), 0..PATHS.len(), secs()).prop_map(|(token, path, secs)| Step::Lease { token, path, secs }),
        1 => (any::<usize>(), secs()).prop_map(|(token, secs)| Step::RenewToken { token, secs }),
        2 => (any::<usize>(), secs()).prop_map(|(lease, secs)| Step::RenewLease { lease, secs }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(token, alone)| Step::RevokeToken { token, alone }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(lease, later)| Step::RevokeLease { lease, later }),
        1 => (0..PREFIXES.len(), any::<bool>()).prop_map(|(prefix, later)| Step::RevokePrefix { prefix, later }),
        3 => (0u64..20).prop_map(|secs| Step::Pass { secs }),
        1 => Just(Step::StartAnew),
    ]
}

#[derive(Clone)]
struct Token {
    secret: std::rc::Rc<Secret>,
    /// Among the tokens of the model; those made with the first token have none, and are no orphans.
    parent: Option<usize>,
    orphan: bool,
    /// Seconds since the beginning.
    ends: u64,
}

struct LeaseOf {
    id: String,
    owner: usize,
    ends: u64,
}

/// What lives, by number.
#[derive(Default)]
struct Model {
    tokens: BTreeMap<usize, Token>,
    leases: BTreeMap<u64, LeaseOf>,
    made: usize,
    now: u64,
}

impl Model {
    fn token(&self, choice: usize) -> Option<(usize, Token)> {
        let at = choice.checked_rem(self.tokens.len())?;
        self.tokens.iter().nth(at).map(|(number, token)| (*number, token.clone()))
    }

    fn lease(&self, choice: usize) -> Option<u64> {
        let at = choice.checked_rem(self.leases.len())?;
        self.leases.keys().nth(at).copied()
    }

    fn end_token(&mut self, number: usize, alone: bool) {
        self.tokens.remove(&number);
        self.leases.retain(|_, lease| lease.owner != number);
        let children: Vec<usize> =
            self.tokens.iter().filter(|(_, token)| token.parent == Some(number)).map(|(child, _)| *child).collect();
        for child in children {
            match alone {
                true => {
                    let child = self.tokens.get_mut(&child).unwrap();
                    (child.parent, child.orphan) = (None, true);
                }
                false => self.end_token(child, false),
            }
        }
    }

    fn pass(&mut self, secs: u64) {
        self.now += secs;
        let ended: Vec<usize> =
            self.tokens.iter().filter(|(_, token)| token.ends <= self.now).map(|(number, _)| *number).collect();
        ended.into_iter().for_each(|number| self.end_token(number, false));
        self.leases.retain(|_, lease| lease.ends > self.now);
    }
}

/// Does a step to the house and to the model.
fn take(house: &House, model: &mut Model, step: &Step) {
    let (registry, now) = (&house.registry, house.now());
    match *step {
        Step::Token { parent, orphan, secs } => {
            let parent = model.token(parent);
            let spec = TokenSpec { ttl: Duration::from_secs(secs), no_parent: orphan, ..with(&["root"]) };
            let by = parent.as_ref().map_or(&house.root, |(_, token)| &*token.secret);
            let secret = std::rc::Rc::new(house.token(by, spec));
            let parent = parent.filter(|_| !orphan).map(|(number, _)| number);
            model.tokens.insert(model.made, Token { secret, parent, orphan, ends: model.now + secs });
            model.made += 1;
        }
        Step::Lease { token, path, secs } => {
            let Some((owner, token)) = model.token(token) else { return };
            let wish = Lease { duration: Duration::from_secs(secs), renewable: true, ..Lease::default() };
            let number = model.made as u64;
            let lease = house.vend(&token.secret, PATHS[path], number, wish).unwrap();
            model.leases.insert(number, LeaseOf { id: lease.id, owner, ends: model.now + secs });
            model.made += 1;
        }
        Step::RenewToken { token, secs } => {
            let Some((number, token)) = model.token(token) else { return };
            let secs_wished = Some(Duration::from_secs(secs));
            house
                .write(|view| registry.renew_token(view, TokenRef::Token(&token.secret), secs_wished, NOBODY, now))
                .unwrap();
            model.tokens.get_mut(&number).unwrap().ends = model.now + secs;
        }
        Step::RenewLease { lease, secs } => {
            let Some(number) = model.lease(lease) else { return };
            let lease = model.leases.get_mut(&number).unwrap();
            house.renew(&lease.id, secs).unwrap();
            lease.ends = model.now + secs;
        }
        Step::RevokeToken { token, alone } => {
            let Some((number, token)) = model.token(token) else { return };
            let token = TokenRef::Token(&token.secret);
            match alone {
                true => house
                    .write(|view| registry.revoke_orphan(view, &house.caller(&house.root).unwrap(), token, now))
                    .unwrap(),
                false => house.write(|view| registry.revoke_token(view, token, now).map(drop)).unwrap(),
            }
            model.end_token(number, alone);
        }
        Step::RevokeLease { lease, later } => {
            let Some(number) = model.lease(lease) else { return };
            let lease = model.leases.remove(&number).unwrap();
            match later {
                true => house.write(|view| registry.expire_lease(view, &lease.id, now)).unwrap(),
                false => assert_eq!(house.revoke(&lease.id), "allowed"),
            }
        }
        Step::RevokePrefix { prefix, later } => {
            let prefix = PREFIXES[prefix];
            match later {
                true => house.write(|view| registry.expire_prefix(view, prefix, now)).unwrap(),
                false => assert_eq!(house.revoke_prefix(prefix, false), "allowed"),
            }
            let below = format!("{}/", prefix.trim_end_matches('/'));
            model.leases.retain(|_, lease| !prefix.is_empty() && !lease.id.starts_with(&below));
            if prefix.is_empty() {
                model.tokens.clear();
            }
        }
        Step::Pass { secs } => {
            house.pass(secs);
            model.pass(secs);
        }
        Step::StartAnew => {
            registry.forget();
            registry.load(&house.store, &common::hmac_key()).unwrap();
        }
    }
}

fn compare(house: &House, model: &Model) {
    let store = &house.store;
    let dump = store.dump();
    let mut out: Vec<u64> =
        dump.lines().filter_map(|line| line.split_once("/out/")?.1.split(' ').next()?.parse().ok()).collect();
    out.sort_unstable();
    assert_eq!(out, model.leases.keys().copied().collect::<Vec<_>>(), "secrets that are out");
    for token in model.tokens.values() {
        let caller = house.caller(&token.secret).unwrap();
        assert_eq!(caller.orphan, token.orphan);
    }
    let (tokens, leases) = (model.tokens.len(), model.leases.len());
    assert_eq!(store.count("sys/token/id/"), tokens + 1, "tokens, and the first one");
    assert_eq!(store.count("sys/lease/id/"), tokens + leases);
    assert_eq!(store.count("sys/lease/at/"), tokens + leases);
    assert_eq!(store.count("sys/token/lease/"), leases);
    assert_eq!(store.count("sys/token/parent/"), model.tokens.values().filter(|token| !token.orphan).count());
    assert_eq!((store.count("core/revocations/"), store.count("core/lease-revocations/")), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn tokens_and_leases_live_as_long_as_in_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let house = house();
        house.vend_at("vend");
        house.vend_at("other");
        house.pass_to_the_second();
        let mut model = Model::default();
        for step in &steps {
            take(&house, &mut model, step);
            // What the server's own threads do; it takes them until the next second.
            house.settle();
            model.pass(1);
            compare(&house, &model);
        }
    }
}
