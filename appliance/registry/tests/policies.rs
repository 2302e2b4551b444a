//! Policies and what is compiled of them.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::sync::Arc;

use common::{House, house, refusal};
use framework::acl::Question;
use framework::{Key, Operation, PolicyNames};
use registry::PolicySpec;

fn allows(house: &House, policies: &[&str], path: &str) -> bool {
    let names = PolicyNames::from(policies.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let acl = house.registry.acl(&house.store, &names, None, house.now()).unwrap();
    let question = Question { path, operation: Operation::Read, parameters: None, wrap_ttl: None, needs_sudo: false };
    acl.judge(&question).allowed
}

fn read(path: &str) -> String {
    format!("path {path:?} {{ capabilities = [\"read\"] }}")
}

#[test]
fn a_changed_policy_changes_what_it_feeds_and_nothing_else() {
    let house = house();
    let put = |name: &str, text: &str| {
        house.write(|view| house.registry.put_policy(view, name, PolicySpec::new(text), house.now())).unwrap()
    };
    assert!(!allows(&house, &["A", "b"], "x"));
    put("B", &read("x"));
    put("other", &read("z"));
    assert!(allows(&house, &["a", "b"], "x"));
    let names = PolicyNames::from(vec!["other".to_owned()]);
    let other = house.registry.acl(&house.store, &names, None, house.now()).unwrap();
    put("b", &read("y"));
    assert!(!allows(&house, &["a", "b"], "x") && allows(&house, &["a", "b"], "y"));
    assert!(Arc::ptr_eq(&other, &house.registry.acl(&house.store, &names, None, house.now()).unwrap()));
    house.write(|view| house.registry.delete_policy(view, "b")).unwrap();
    assert!(!allows(&house, &["a", "b"], "y"));
    assert!(allows(&house, &["root"], "anything") && allows(&house, &["default"], "auth/token/lookup-self"));
}

#[test]
fn a_transaction_sees_its_own_policies_and_nobody_else_does_before_the_commit() {
    let house = house();
    let names = PolicyNames::from(vec!["mine".to_owned()]);
    let sees = |acl: &framework::acl::Acl| acl.capabilities("x").contains(&"read");
    let failed: Result<(), _> = house.write(|view| {
        house.registry.put_policy(view, "mine", PolicySpec::new(read("x")), house.now())?;
        assert!(sees(&*house.registry.acl_in(view, &names, house.now())?));
        Err(framework::Error::Denied)
    });
    assert!(failed.is_err());
    assert!(!allows(&house, &["mine"], "x"));
}

#[test]
fn names_and_refusals_are_vaults() {
    let house = house();
    let put = |name: &str, text: &str| {
        refusal(house.write(|view| house.registry.put_policy(view, name, PolicySpec::new(text), house.now())))
    };
    assert_eq!(put("Team/Dev", &read("x")), "allowed");
    assert_eq!(put("team/dev", &read("y")), "allowed");
    assert_eq!(put("..", &read("y")), "allowed");
    assert_eq!(put("root", &read("x")), "cannot update \"root\" policy");
    assert!(put("p", "junk {").starts_with("failed to parse policy"));
    let delete = |name| refusal(house.write(|view| house.registry.delete_policy(view, name)));
    assert_eq!(delete("default"), "cannot delete default policy");
    assert_eq!(delete("root"), "cannot delete \"root\" policy");
    assert_eq!(delete("nonesuch"), "allowed");
    house
        .write(|view| {
            assert_eq!(house.registry.policies(view, "", house.now())?, ["..", "default", "root", "team/dev"]);
            let found = house.registry.policy(view, "TEAM/dev", house.now())?.unwrap();
            assert_eq!((found.text, found.version, found.modified), (read("y"), 2, Some(house.now())));
            assert_eq!(house.registry.policy(view, "nonesuch", house.now())?, None);
            assert_eq!(house.registry.policy(view, "root", house.now())?.unwrap().text, "");
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_commit_of_other_records_changes_nothing() {
    let house = house();
    let keys: Vec<Key> = ["logical/u/x", "sysx/policy/default", "core/other"].map(|k| Key::new(k).unwrap()).into();
    assert_eq!(house.registry.committed(&keys, &house.store).unwrap(), registry::Changed::default());
}

#[test]
fn a_version_may_be_asked_for() {
    let house = house();
    let put = |cas: Option<i64>, cas_required: bool| {
        let spec = PolicySpec { cas, cas_required, ..PolicySpec::new(read("x")) };
        refusal(house.write(|view| house.registry.put_policy(view, "p", spec, house.now())))
    };
    assert_eq!(put(Some(1), false), "check-and-set parameter 1 did not match the current version 0");
    assert_eq!(put(None, true), "check-and-set parameter required for this call");
    assert_eq!(put(Some(-1), true), "allowed");
    assert_eq!(put(Some(-1), true), "check-and-set parameter set to -1 on existing entry");
    assert_eq!(put(None, false), "check-and-set parameter required for this call");
    assert_eq!(put(Some(0), true), "check-and-set parameter 0 did not match the current version 1");
    assert_eq!(put(Some(1), false), "allowed");
    assert_eq!(put(None, false), "allowed");
}

#[test]
fn what_has_expired_is_gone() {
    let house = house();
    let put = |ends_in: u64| {
        let expires = Some(house.now().plus(std::time::Duration::from_secs(ends_in)));
        let spec = PolicySpec { expires, ..PolicySpec::new(read("x")) };
        refusal(house.write(|view| house.registry.put_policy(view, "short", spec, house.now())))
    };
    assert_eq!(put(0), "refusing to update policy as expiration time has already elapsed");
    assert_eq!(put(60), "allowed");
    assert_eq!(put(60), "allowed");
    assert!(allows(&house, &["short"], "x"));
    house.pass(60);
    assert!(!allows(&house, &["short"], "x"));
    house
        .write(|view| {
            assert_eq!(house.registry.policy(view, "short", house.now())?, None);
            assert_eq!(house.registry.policies(view, "", house.now())?, ["default", "root"]);
            Ok(())
        })
        .unwrap();
    // One of the same name begins anew.
    assert_eq!(put(60), "allowed");
    let version = house.write(|view| Ok(house.registry.policy(view, "short", house.now())?.unwrap().version)).unwrap();
    assert_eq!(version, 1);
    assert!(allows(&house, &["short"], "x"));
}

#[test]
fn the_policy_of_wrapping_tokens_is_the_servers_own() {
    let house = house();
    assert!(allows(&house, &["response-wrapping"], "cubbyhole/response"));
    let put = house
        .write(|view| house.registry.put_policy(view, "Response-Wrapping", PolicySpec::new(read("x")), house.now()));
    assert_eq!(refusal(put), "cannot update \"response-wrapping\" policy");
    let delete = house.write(|view| house.registry.delete_policy(view, "response-wrapping"));
    assert_eq!(refusal(delete), "cannot delete \"response-wrapping\" policy");
    let found = house.write(|view| house.registry.policy(view, "response-wrapping", house.now())).unwrap().unwrap();
    assert!(found.text.contains("sys/wrapping/unwrap") && found.version == 1);
}

#[test]
fn names_with_slashes_are_listed_by_folder() {
    let house = house();
    for name in ["team/a", "team/b/c", "teams", "team"] {
        house.write(|view| house.registry.put_policy(view, name, PolicySpec::new(read("x")), house.now())).unwrap();
    }
    let list = |folder| house.write(|view| house.registry.policies(view, folder, house.now())).unwrap();
    assert_eq!(list("team"), ["team/a", "team/b/c"]);
    assert_eq!(list("Team/b/"), ["team/b/c"]);
    assert_eq!(list("none"), Vec::<String>::new());
}
