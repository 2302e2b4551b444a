//! Policies and what is compiled of them.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::sync::Arc;

use common::{House, house, refusal};
use framework::acl::Question;
use framework::{Key, Operation};

fn allows(house: &House, policies: &[&str], path: &str) -> bool {
    let names: Vec<String> = policies.iter().map(|name| (*name).to_owned()).collect();
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
    let put =
        |name: &str, text: &str| house.write(|view| house.registry.put_policy(view, name, text, house.now())).unwrap();
    assert!(!allows(&house, &["A", "b"], "x"));
    put("B", &read("x"));
    put("other", &read("z"));
    assert!(allows(&house, &["a", "b"], "x"));
    let names = ["other".to_owned()];
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
    let names = ["mine".to_owned()];
    let sees = |acl: &framework::acl::Acl| acl.capabilities("x").contains(&"read");
    let failed: Result<(), _> = house.write(|view| {
        house.registry.put_policy(view, "mine", &read("x"), house.now())?;
        assert!(sees(&*house.registry.acl_in(view, &names, house.now())?));
        Err(framework::Error::Denied)
    });
    assert!(failed.is_err());
    assert!(!allows(&house, &["mine"], "x"));
}

#[test]
fn names_and_refusals_are_vaults() {
    let house = house();
    let put =
        |name: &str, text: &str| refusal(house.write(|view| house.registry.put_policy(view, name, text, house.now())));
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
            assert_eq!(house.registry.policies(view)?, ["..", "default", "team/dev", "root"]);
            let found = house.registry.policy(view, "TEAM/dev")?.unwrap();
            assert_eq!((found.text, found.version, found.modified), (read("y"), 2, Some(house.now())));
            assert_eq!(house.registry.policy(view, "nonesuch")?, None);
            assert_eq!(house.registry.policy(view, "root")?.unwrap().text, "");
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
