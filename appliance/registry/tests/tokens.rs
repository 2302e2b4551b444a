//! Tokens, from creation to their end.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{HOME, NOBODY, hours, house, refusal, with};
use framework::{Auth, Cidr, Error, Fields, Input, MountInfo, Secret, TokenKind, TokenRule, View};
use registry::{AskMethod, Mount, MountClass, MountSpec, TokenRef, TokenRole, TokenSpec};

#[test]
fn a_token_is_recognised_and_nothing_stored_holds_it() {
    let house = house();
    let spec = TokenSpec {
        display_name: "a b/c".into(),
        ttl: hours(1),
        meta: [("k".into(), "v".into())].into(),
        ..with(&["p"])
    };
    let made = house.create(&house.root, spec).unwrap();
    let token = made.auth.client_token.unwrap();
    assert_eq!(made.warnings, ["Policy \"p\" does not exist"]);
    assert!(token.expose().starts_with(b"hvs.") && token.len() == 28);
    let caller = house.caller(&token).unwrap();
    assert_eq!(
        (&*caller.policies, caller.display_name.as_str()),
        (["default".into(), "p".into()].as_slice(), "token-a-b-c")
    );
    assert!(!caller.root && !caller.orphan && caller.kind == "service");
    assert!(Arc::ptr_eq(&caller, &house.caller(&token).unwrap()), "the second time it comes from the cache");
    let text = String::from_utf8(token.expose().to_vec()).unwrap();
    assert!(!house.store.dump().contains(&text[4..]));
    assert!(house.caller(&Secret::from("hvs.nonesuch")).is_none() && house.caller(&Secret::from("")).is_none());
    house.registry.forget();
    assert!(matches!(house.registry.identify(&house.store, &token, HOME, house.now()), Err(Error::Sealed)));
    house.registry.load(&house.store, &common::hmac_key()).unwrap();
    assert_eq!(house.caller(&token).unwrap().accessor, caller.accessor);
}

#[test]
fn lookups_have_the_keys_of_openbao() {
    let house = house();
    let spec = TokenSpec { ttl: hours(1), ..with(&["p"]) };
    let token = house.token(&house.root, spec);
    let caller = house.caller(&token).unwrap();
    let found = house.lookup(TokenRef::Token(&token));
    let expected = r#"{"accessor":"A","creation_time":1795302735,"creation_ttl":3600,"display_name":"token","entity_id":"",
        "expire_time":"2026-11-22T00:12:15.5Z","explicit_max_ttl":0,"id":"T","issue_time":"2026-11-21T23:12:15.5Z","meta":null,
        "num_uses":0,"orphan":false,"path":"auth/token/create","policies":["default","p"],"renewable":true,"ttl":3600,
        "type":"service"}"#;
    let text = String::from_utf8_lossy(token.expose());
    let shown = framework::Json::Object(found).to_string().replace(&caller.accessor, "A").replace(&*text, "T");
    assert_eq!(shown, expected.split_whitespace().collect::<String>());
    assert_eq!(house.lookup(TokenRef::Accessor(&caller.accessor))["id"], "");
    assert_eq!(house.lookup(TokenRef::Own(&caller, None))["ttl"], 3600);
    let root = house.lookup(TokenRef::Token(&house.root));
    assert_eq!(
        (&root["expire_time"], &root["ttl"], &root["orphan"]),
        (&framework::Json::Null, &0.into(), &true.into())
    );
    let lookup = |token| refusal(house.write(|view| house.registry.lookup(view, token, house.now())));
    let bogus = Secret::from("bogus");
    assert_eq!(lookup(TokenRef::Token(&bogus)), "permission denied");
    assert_eq!(lookup(TokenRef::Accessor("bo/g//us")), "1 error occurred:\n\t* invalid accessor\n\n");
    let accessors = house.write(|view| house.registry.accessors(view, &framework::Page::default())).unwrap();
    assert!(accessors.len() == 2 && accessors.contains(&caller.accessor));
}

#[test]
fn a_tree_dies_with_its_root_and_orphans_live() {
    let house = house();
    house.policy("mk", r#"path "auth/token/create" { capabilities = ["update", "sudo"] }"#);
    let parent = house.token(&house.root, with(&["mk"]));
    let child = house.token(&parent, with(&["mk"]));
    let grandchild = house.token(&child, TokenSpec { ttl: hours(1), ..with(&["mk"]) });
    let orphan = house.token(&child, TokenSpec { no_parent: true, ..with(&["mk"]) });
    let other = house.token(&house.root, with(&["mk"]));
    let name = house.caller(&grandchild).unwrap().token.clone();
    house.write(|view| view.put(&format!("cubbyhole/{name}/deep/secret"), Secret::from("x"))).unwrap();
    assert!(house.write(|view| house.registry.revoke_token(view, TokenRef::Token(&parent), house.now())).unwrap());
    let alive = |token| house.caller(token).is_some();
    assert!(!alive(&parent) && !alive(&child) && !alive(&grandchild));
    assert!(alive(&orphan) && alive(&other) && alive(&house.root));
    assert_eq!(house.store.count("cubbyhole/"), 0);
    assert!(!house.write(|view| house.registry.revoke_token(view, TokenRef::Token(&parent), house.now())).unwrap());
    house.registry.finish_removals(&house.store).unwrap();
    assert_eq!((house.store.count("core/revocations/"), house.store.count("sys/token/id/")), (0, 3));
    assert_eq!((house.store.count("sys/token/parent/"), house.store.count("sys/lease/at/")), (1, 2));
    assert_eq!(house.store.count("sys/lease/id/"), 2, "the first root token is no lease");
}

#[test]
fn a_tree_larger_than_a_transaction_dies_all_the_same() {
    let house = house();
    let parent = house.token(&house.root, with(&["root"]));
    let caller = house.caller(&parent).unwrap();
    for _ in 0..3 {
        house.write(|view| (0..600).try_for_each(|_| house.create_in(view, &caller, with(&["p"])).map(drop))).unwrap();
    }
    let changed =
        house.changed_by(|view| house.registry.revoke_token(view, TokenRef::Token(&parent), house.now()).map(drop));
    assert!(changed.removals);
    assert!(house.store.count("sys/token/id/") > 2);
    house.registry.finish_removals(&house.store).unwrap();
    assert_eq!((house.store.count("sys/token/id/"), house.store.count("sys/lease/at/")), (1, 0));
    assert_eq!((house.store.count("sys/token/parent/"), house.store.count("core/revocations/")), (0, 0));
}

#[test]
fn a_child_that_is_made_while_its_parent_is_revoked_does_not_outlive_it() {
    let house = house();
    let parent = house.token(&house.root, with(&["root"]));
    let caller = house.caller(&parent).unwrap();
    let revoke = |view: &View<'_>| house.registry.revoke_token(view, TokenRef::Token(&parent), house.now());
    // The first child changes its parent's record, so one of the two has to run again.
    let revoked = house.write(|view| {
        let done = revoke(view)?;
        house.write(|view| house.create_in(view, &caller, with(&["p"]))).unwrap();
        Ok(done)
    });
    assert!(matches!(revoked, Err(Error::Conflict)));
    // A later one does not, and is found by the mark that the revocation leaves.
    let mut late = None;
    house
        .write(|view| {
            let done = revoke(view)?;
            late = house.write(|view| house.create_in(view, &caller, with(&["p"]))).unwrap().auth.client_token;
            Ok(done)
        })
        .unwrap();
    house.registry.finish_removals(&house.store).unwrap();
    assert!(house.caller(&late.unwrap()).is_none());
    assert_eq!(house.store.count("sys/token/id/"), 1);
    assert!(refusal(house.write(|view| house.create_in(view, &caller, with(&["p"])))) == "permission denied");
}

#[test]
fn revoked_alone_a_token_leaves_orphans() {
    let house = house();
    let parent = house.token(&house.root, with(&["root"]));
    let child = house.token(&parent, with(&["p"]));
    house
        .write(|view| {
            house.registry.revoke_orphan(
                view,
                &house.caller(&house.root).unwrap(),
                TokenRef::Token(&parent),
                house.now(),
            )
        })
        .unwrap();
    assert!(house.caller(&parent).is_none() && house.caller(&child).unwrap().orphan);
    let again = house.write(|view| {
        house.registry.revoke_orphan(view, &house.caller(&house.root).unwrap(), TokenRef::Token(&parent), house.now())
    });
    assert_eq!(refusal(again), "token to revoke not found");
}

#[test]
fn a_token_ends_on_time_and_is_swept() {
    let house = house();
    let short = house.token(&house.root, TokenSpec { ttl: Duration::from_secs(10), ..with(&["root"]) });
    let child = house.token(&short, TokenSpec { ttl: hours(5), ..with(&["p"]) });
    let long = house.token(&house.root, TokenSpec { ttl: hours(2), ..with(&["p"]) });
    house.pass(9);
    assert_eq!(house.sweep(100), 0);
    assert!(house.caller(&short).is_some());
    house.pass(1);
    assert!(house.caller(&short).is_none(), "refused before it is swept");
    house.pass(1);
    assert_eq!(house.sweep(100), 1);
    assert!(house.caller(&child).is_none() && house.caller(&long).is_some());
    house.pass(3 * 3600);
    assert_eq!(house.sweep(100), 1);
    house.registry.finish_removals(&house.store).unwrap();
    assert_eq!((house.store.count("sys/lease/at/"), house.store.count("sys/token/id/")), (0, 1));
}

#[test]
fn sweeping_takes_a_window_at_a_time() {
    let house = house();
    for n in 0..200 {
        house.token(&house.root, TokenSpec { ttl: Duration::from_secs(1 + n % 5), ..with(&["p"]) });
    }
    house.pass(7200);
    let swept: Vec<usize> = (0..4).map(|_| house.sweep(90)).collect();
    assert_eq!(swept, [90, 90, 20, 0]);
    assert_eq!(house.store.count("sys/token/id/"), 1);
}

#[test]
fn uses_are_counted_and_the_last_one_ends_the_token() {
    let house = house();
    let token = house.token(&house.root, TokenSpec { num_uses: 2, ..with(&["root"]) });
    let caller = house.caller(&token).unwrap();
    let spend = |view: &View<'_>| house.registry.use_token(view, &caller, house.now());
    assert_eq!(refusal(house.create(&token, with(&["p"]))), "restricted use token cannot generate child tokens");
    // Two at once: one has to run again.
    let raced = house.write(|view| {
        spend(view)?;
        house.write(spend)
    });
    assert!(matches!(raced, Err(Error::Conflict)));
    assert_eq!(house.registry.identify(&house.store, &token, HOME, house.now()).unwrap().unwrap().remaining_uses, 1);
    house
        .write(|view| {
            spend(view)?;
            // The request that the last use is for can still look at the token.
            house.registry.lookup(view, TokenRef::Own(&caller, None), house.now())
        })
        .unwrap();
    assert!(house.caller(&token).is_none());
    assert_eq!(refusal(house.write(spend)), "permission denied");
    house.pass(1);
    house.sweep(10);
    assert_eq!((house.store.count("sys/token/id/"), house.store.count("sys/lease/at/")), (1, 0));
    let unlimited = house.caller(&house.root).unwrap();
    house.write(|view| house.registry.use_token(view, &unlimited, house.now())).unwrap();
}

#[test]
fn renewal_keeps_to_the_limits() {
    let house = house();
    let renew = |token: &Secret, secs: Option<u64>| {
        house.write(|view| {
            house.registry.renew_token(view, TokenRef::Token(token), secs.map(Duration::from_secs), NOBODY, house.now())
        })
    };
    let token = house.token(&house.root, TokenSpec { ttl: hours(1), ..with(&["p"]) });
    house.pass(1800);
    assert_eq!(renew(&token, None).unwrap().auth.ttl, hours(1));
    house.pass(3000);
    assert!(house.caller(&token).is_some(), "the cache knows of the renewal");
    assert_eq!(renew(&token, Some(100)).unwrap().auth.ttl, Duration::from_secs(100));
    let most = renew(&token, Some(10_000 * 3600)).unwrap();
    assert_eq!(most.auth.ttl, hours(768) - Duration::from_secs(4800));
    assert_eq!(
        most.warnings,
        ["TTL of \"10000h\" exceeded the effective max_ttl of \"766h40m\"; TTL value is capped accordingly"]
    );
    assert_eq!(house.lookup(TokenRef::Token(&token))["last_renewal_time"], house.now().secs());
    assert_eq!(house.store.count("sys/lease/at/"), 1);

    let short = house.token(&house.root, TokenSpec { explicit_max_ttl: hours(1), ..with(&["p"]) });
    assert_eq!(renew(&short, Some(5 * 3600)).unwrap().auth.ttl, hours(1));
    let periodic = house.token(&house.root, TokenSpec { period: hours(1), ..with(&["p"]) });
    assert_eq!(renew(&periodic, Some(5 * 3600)).unwrap().auth.ttl, hours(1));
    let fixed = house.token(&house.root, TokenSpec { renewable: false, ..with(&["p"]) });
    assert_eq!(refusal(renew(&fixed, None)), "lease is not renewable");
    assert_eq!(refusal(renew(&house.root, None)), "lease is not renewable");
    assert_eq!(refusal(renew(&Secret::from("bogus"), None)), "token not found");
}

#[test]
fn creation_keeps_to_vaults_rules() {
    let house = house();
    house.policy("mk", r#"path "auth/token/create" { capabilities = ["update"] }"#);
    house.policy("mksudo", r#"path "auth/token/create" { capabilities = ["update", "sudo"] }"#);
    let plain = house.token(&house.root, with(&["mk", "pol1"]));
    let sudo = house.token(&house.root, with(&["mksudo"]));
    let bare = house.token(&house.root, TokenSpec { no_default_policy: true, ..with(&["mk"]) });
    let refused = |parent: &Secret, spec| refusal(house.create(parent, spec));
    let policies = |parent: &Secret, spec| house.create(parent, spec).unwrap().auth.policies;

    assert_eq!(refused(&plain, with(&["other"])), "child policies must be subset of parent");
    assert_eq!(refused(&plain, with(&["root"])), "child policies must be subset of parent");
    assert_eq!(refused(&bare, with(&["default"])), "child policies must be subset of parent");
    assert_eq!(
        refused(&plain, TokenSpec { no_parent: true, ..with(&[]) }),
        "root or sudo privileges required to create orphan token"
    );
    assert_eq!(
        refused(&plain, TokenSpec { period: hours(1), ..with(&[]) }),
        "root or sudo privileges required to create periodic token"
    );
    assert_eq!(
        refused(&plain, TokenSpec { id: Some("foo".into()), ..with(&[]) }),
        "root or sudo privileges required to specify token id"
    );
    assert_eq!(refused(&sudo, with(&["root"])), "root tokens may not be created without parent token being root");
    assert_eq!(refused(&sudo, with(&["response-wrapping"])), "cannot assign policy \"response-wrapping\"");
    assert_eq!(
        refused(&sudo, TokenSpec { id: Some("foo.bar".into()), ..with(&[]) }),
        "custom token ID cannot have a '.' in the value"
    );
    assert_eq!(
        refused(&sudo, TokenSpec { id: Some("hvs.x".into()), ..with(&[]) }),
        "custom token ID cannot have the 'hvs.' prefix"
    );
    assert_eq!(refused(&sudo, TokenSpec { id: Some("foobar".into()), ..with(&[]) }), "allowed");
    assert_eq!(
        refused(&sudo, TokenSpec { id: Some("foobar".into()), ..with(&[]) }),
        "cannot create a token with a duplicate ID"
    );

    assert_eq!(policies(&plain, with(&[])), ["default", "mk", "pol1"]);
    assert_eq!(policies(&plain, with(&["mk"])), ["default", "mk"]);
    assert_eq!(policies(&plain, TokenSpec { no_default_policy: true, ..with(&["MK", " pol1"]) }), ["mk", "pol1"]);
    assert_eq!(policies(&bare, with(&["mk"])), ["mk"]);
    assert_eq!(policies(&sudo, with(&["zzz"])), ["default", "zzz"]);
    assert_eq!(policies(&house.root, with(&["root", "default"])), ["root"]);

    let root = house.create(&house.root, with(&[])).unwrap().auth;
    assert!(root.ttl.is_zero() && !root.renewable);
    let ending = house.create(&house.root, TokenSpec { ttl: hours(1), ..with(&[]) }).unwrap().auth;
    assert!(ending.ttl == hours(1) && ending.renewable);
    let ending = ending.client_token.unwrap();
    assert_eq!(refused(&ending, with(&["root"])), "expiring root tokens cannot create non-expiring root tokens");
    let orphan = house.create(&plain, TokenSpec { orphan_allowed: true, ..with(&["mk"]) }).unwrap().auth;
    assert!(orphan.orphan);
}

#[test]
fn a_batch_token_leaves_no_trace_and_dies_with_its_parent() {
    let house = house();
    let batch = || TokenSpec { kind: TokenKind::Batch, ttl: hours(1), ..with(&["p"]) };
    let parent = house.token(&house.root, with(&["root"]));
    let before = house.store.dump().lines().count();
    let made = house.create(&parent, TokenSpec { meta: [("k".into(), "v".into())].into(), ..batch() }).unwrap().auth;
    assert_eq!(house.store.dump().lines().count(), before);
    assert!(made.accessor.is_empty() && !made.renewable && made.kind == TokenKind::Batch && !made.orphan);
    let token = made.client_token.unwrap();
    assert!(token.expose().starts_with(b"hvb."));
    let caller = house.caller(&token).unwrap();
    assert_eq!((caller.kind, caller.accessor.as_str(), &caller.metadata["k"]), ("batch", "", &"v".to_owned()));
    let found = house.lookup(TokenRef::Token(&token));
    assert_eq!(
        (&found["type"], &found["ttl"], &found["renewable"], &found["accessor"]),
        (&"batch".into(), &3600.into(), &false.into(), &"".into())
    );

    let refused = |work: &dyn Fn(&View<'_>) -> Result<(), Error>| refusal(house.write(work));
    let own = TokenRef::Token(&token);
    let now = house.now();
    assert_eq!(
        refused(&|view| house.registry.revoke_token(view, own, now).map(drop)),
        "batch tokens cannot be revoked"
    );
    assert_eq!(
        refused(&|view| house.registry.revoke_orphan(view, &house.caller(&house.root).unwrap(), own, now)),
        "batch tokens cannot be revoked"
    );
    assert_eq!(
        refused(&|view| house.registry.renew_token(view, own, None, NOBODY, now).map(drop)),
        "batch tokens cannot be renewed"
    );
    assert_eq!(refusal(house.create(&token, with(&["p"]))), "batch tokens cannot create more tokens");
    for (spec, what) in [
        (TokenSpec { num_uses: 1, ..batch() }, "num_uses"),
        (TokenSpec { period: hours(1), ..batch() }, "period"),
        (TokenSpec { explicit_max_ttl: hours(1), ..batch() }, "explicit_max_ttl"),
    ] {
        assert_eq!(refusal(house.create(&parent, spec)), format!("batch tokens cannot have {what:?} set"));
    }
    let root = TokenSpec { policies: Vec::new(), ..batch() };
    assert_eq!(refusal(house.create(&parent, root)), "batch tokens cannot be root tokens");

    let orphan = house.token(&parent, TokenSpec { no_parent: true, ..batch() });
    for changed in [0, 4, 10, token.len() - 1] {
        let mut forged = token.expose().to_vec();
        forged[changed] = if forged[changed] == b'A' { b'B' } else { b'A' };
        assert!(house.caller(&Secret::from(String::from_utf8(forged).unwrap())).is_none(), "byte {changed}");
    }
    house.write(|view| house.registry.revoke_token(view, TokenRef::Token(&parent), house.now())).unwrap();
    assert!(house.caller(&token).is_none() && house.caller(&orphan).is_some());
    assert_eq!(refusal(house.write(|view| house.registry.lookup(view, own, now))), "permission denied");
    house.pass(3600);
    assert!(house.caller(&orphan).is_none());
    assert_eq!(house.store.count("sys/lease/at/"), 0);
}

#[test]
fn a_role_says_what_its_tokens_are() {
    let house = house();
    house.policy("mk", r#"path "auth/token/create/*" { capabilities = ["update"] }"#);
    let role = |name: &str, body: &str| {
        let body = serde_json::from_str(body).unwrap();
        let role = TokenRole::parse(&mut Input { path: Vec::new(), body }).unwrap();
        refusal(house.write(|view| house.registry.put_token_role(view, name, role)))
    };
    let parent = house.token(&house.root, with(&["mk"]));
    let by = |role: &str, policies: &[&str]| TokenSpec {
        role: Some(role.into()),
        path: format!("auth/token/create/{role}"),
        ..with(policies)
    };
    let create = |spec: TokenSpec| house.create(&parent, spec).map(|issued| issued.auth);

    assert_eq!(refusal(create(by("none", &[]))), "unknown role none");
    assert_eq!(
        role(
            "r",
            r#"{"allowed_policies":"A,b","allowed_policies_glob":["dev-*"],"path_suffix":"v-1","orphan":true,
        "token_num_uses":3,"token_bound_cidrs":"10.0.0.0/8","renewable":false,"token_explicit_max_ttl":"2h"}"#
        ),
        "allowed"
    );
    let made = create(by("r", &[])).unwrap();
    assert_eq!(
        (made.policies.as_slice(), made.orphan, made.renewable),
        (["a", "b", "default"].map(String::from).as_slice(), true, false)
    );
    assert_eq!((made.num_uses, made.ttl), (3, hours(2)));
    let found = house.lookup(TokenRef::Accessor(&made.accessor));
    assert_eq!((&found["path"], &found["role"]), (&"auth/token/create/r/v-1".into(), &"r".into()));
    let token = made.client_token.unwrap();
    assert!(house.caller(&token).is_none(), "not from here");
    assert_eq!(create(by("r", &["dev-x", "a"])).unwrap().policies, ["a", "default", "dev-x"]);
    assert_eq!(
        refusal(create(by("r", &["c"]))),
        "token policies ([\"c\" \"default\"]) must be subset of the role's allowed policies ([\"a\" \"b\" \"default\"]) \
         or glob policies ([\"dev-*\"])"
    );
    let both = TokenSpec { ttl: hours(1), explicit_max_ttl: hours(1), num_uses: 9, ..by("r", &["a"]) };
    let both = house.create(&parent, both).unwrap();
    assert_eq!((both.auth.ttl, both.auth.num_uses), (hours(1), 3));
    assert_eq!(
        both.warnings,
        [
            "Explicit max TTL specified both during creation call and in role; using the lesser value of 3600 seconds",
            "Policy \"a\" does not exist"
        ]
    );

    assert_eq!(
        role("not", r#"{"disallowed_policies":"x","disallowed_policies_glob":"*adm*","token_no_default_policy":true}"#),
        "allowed"
    );
    assert_eq!(create(by("not", &["y"])).unwrap().policies, ["y"]);
    assert_eq!(refusal(create(by("not", &["x"]))), "token policy \"x\" is disallowed by this role");
    assert_eq!(refusal(create(by("not", &["an-admin"]))), "token policy \"an-admin\" is disallowed by this role");

    assert_eq!(role("short", r#"{"token_period":"30m"}"#), "allowed");
    let periodic = create(by("short", &[])).unwrap();
    assert_eq!(periodic.ttl, Duration::from_secs(1800));
    let renew = || {
        house.write(|view| {
            house.registry.renew_token(view, TokenRef::Accessor(&periodic.accessor), None, NOBODY, house.now())
        })
    };
    assert_eq!(role("short", r#"{"token_period":"10m"}"#), "allowed");
    assert_eq!(renew().unwrap().auth.ttl, Duration::from_secs(600), "the role's present period");
    house.write(|view| house.registry.delete_token_role(view, "short")).unwrap();
    assert_eq!(
        refusal(renew()),
        "failed to renew entry: original token role \"short\" could not be found, not renewing"
    );

    assert_eq!(role("b", r#"{"token_type":"batch","orphan":true,"renewable":false}"#), "allowed");
    assert_eq!(create(by("b", &[])).unwrap().kind, TokenKind::Batch);
    assert_eq!(role("db", r#"{"token_type":"default-batch"}"#), "allowed");
    assert_eq!(create(TokenSpec { kind: TokenKind::Service, ..by("db", &[]) }).unwrap().kind, TokenKind::Service);
    for (body, said) in [
        (r#"{"token_type":"batch"}"#, "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens"),
        (r#"{"token_type":"x"}"#, "invalid 'token_type' value \"x\""),
        (r#"{"token_num_uses":-1}"#, "error parsing role fields: 'token_num_uses' cannot be negative"),
        (r#"{"path_suffix":"a/b"}"#, "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w"),
    ] {
        assert_eq!(role("bad", body), said);
    }
    assert_eq!(house.write(|view| house.registry.token_roles(view)).unwrap(), ["b", "db", "not", "r"]);
}

#[test]
fn logins_are_given_tokens() {
    let house = house();
    let spec = MountSpec { path: "userpass".into(), kind: "userpass".into(), ..MountSpec::default() };
    house.write(|view| house.registry.enable_mount(view, MountClass::Auth, spec.clone())).unwrap();
    let mount = house.registry.mount("auth/userpass").unwrap().unwrap().info.clone();
    let issue = |auth: &mut Auth| {
        house.write(|view| house.registry.issue_token(view, auth, &mount, "auth/userpass/login/bob", house.now()))
    };
    let mut auth = Auth {
        policies: vec!["P".into()],
        display_name: "bob".into(),
        ttl: hours(1),
        max_ttl: hours(2),
        renewable: true,
        bound_cidrs: vec![Cidr::parse("127.0.0.0/8").unwrap()],
        ..Auth::default()
    };
    assert_eq!(issue(&mut auth).unwrap(), [""; 0]);
    let caller = house.caller(auth.client_token.as_ref().unwrap()).unwrap();
    assert_eq!((&*caller.policies, caller.orphan), (["default".into(), "p".into()].as_slice(), true));
    assert_eq!((auth.ttl, auth.accessor.as_str(), auth.orphan), (hours(1), caller.accessor.as_str(), true));
    let found = house.lookup(TokenRef::Accessor(&caller.accessor));
    assert_eq!((&found["path"], &found["display_name"]), (&"auth/userpass/login/bob".into(), &"userpass-bob".into()));
    let token = auth.client_token.unwrap();
    let from = |peer: &str| house.registry.identify(&house.store, &token, peer.parse().unwrap(), house.now()).unwrap();
    assert!(from("127.1.2.3").is_some() && from("10.0.0.1").is_none(), "only from where it is bound to");
    house.pass(3000);
    let renew = |increment, ask: &AskMethod<'_>| {
        house.write(|view| house.registry.renew_token(view, TokenRef::Token(&token), increment, ask, house.now()))
    };
    let left = hours(2) - Duration::from_secs(3000);
    assert_eq!(renew(Some(hours(5)), &|_, _| Ok(())).unwrap().auth.ttl, left, "no further than max_ttl");
    let anew = |_: &Mount, auth: &mut Auth| {
        assert_eq!(auth.policies, ["default", "p"]);
        (auth.ttl, auth.max_ttl) = (hours(1) / 2, hours(9));
        Ok(())
    };
    assert_eq!(renew(None, &anew).unwrap().auth.ttl, hours(1) / 2, "what a login would get now");
    assert_eq!(refusal(renew(None, &|_, _| Err(Error::invalid("gone")))), "gone");
    let mut root = Auth { policies: vec!["root".into()], ..Auth::default() };
    assert_eq!(refusal(issue(&mut root)), "auth methods cannot create root tokens");
    let batch = MountInfo { token_rule: TokenRule::Batch, ..mount.clone() };
    let mut auth = Auth { renewable: true, kind: TokenKind::Service, ..Auth::default() };
    house
        .write(|view| house.registry.issue_token(view, &mut auth, &batch, "auth/userpass/login/eve", house.now()))
        .unwrap();
    assert_eq!((auth.kind, auth.renewable), (TokenKind::Batch, false), "what the mount says counts");
}

#[test]
fn whoever_hears_of_the_commit_knows_of_it() {
    let house = house();
    let other =
        registry::Registry::new(house.clock.clone(), Arc::new(framework::SystemRng), registry::Settings::default());
    other.load(&house.store, &common::hmac_key()).unwrap();
    let token = house.token(&house.root, with(&["p"]));
    let knows = || other.identify(&house.store, &token, HOME, house.now()).unwrap().is_some();
    assert!(knows());
    let name = house.caller(&token).unwrap().token.clone();
    house.write(|view| house.registry.revoke_token(view, TokenRef::Token(&token), house.now())).unwrap();
    assert!(knows(), "from its cache");
    let key = framework::Key::new(format!("sys/token/id/{name}")).unwrap();
    other.committed(&[key], &house.store).unwrap();
    assert!(!knows());
}

#[test]
fn more_tokens_than_the_cache_holds_are_recognised() {
    let house = house();
    let caller = house.caller(&house.root).unwrap();
    let mut tokens = Vec::new();
    for _ in 0..34 {
        house
            .write(|view| {
                (0..1000).try_for_each(|_| {
                    tokens.extend(house.create_in(view, &caller, with(&["p"]))?.auth.client_token);
                    Ok(())
                })
            })
            .unwrap();
    }
    assert!(tokens.iter().all(|token| house.caller(token).is_some()));
    assert!(tokens.iter().take(100).all(|token| house.caller(token).is_some()));
}
