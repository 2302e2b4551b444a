//! Policies through their public surface: what parses, which rule counts, what limits do.
#![allow(clippy::expect_used, reason = "helpers of tests fail the test they help")]

use std::collections::BTreeMap;
use std::time::Duration;

use framework::acl::{Acl, Alias, Cause, Group, Identity, Policy, Question, Values};
use framework::{Json, Operation, Timestamp};
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;

fn acl(policies: &[&str]) -> Acl {
    for_identity(policies, None)
}

fn for_identity(policies: &[&str], identity: Option<&Identity>) -> Acl {
    let policies: Vec<Policy> =
        policies.iter().enumerate().map(|(i, text)| Policy::parse(&format!("p{i}"), text).expect(text)).collect();
    Acl::compile(&policies, identity, Timestamp::from_secs(NOW))
}

fn ask(path: &str, operation: Operation) -> Question<'_> {
    Question { path, operation, parameters: None, wrap_ttl: None, needs_sudo: false }
}

fn refused(text: &str) -> String {
    Policy::parse("p", text).expect_err(text).to_string()
}

#[test]
fn refusals_are_vaults_and_name_the_path() {
    for (text, wanted) in [
        ("path \"a\" { capabilities = [\"frob\"] }", "failed to parse policy: path \"a\": invalid capability \"frob\""),
        ("path \"a\" { policy = \"frob\" }", "failed to parse policy: path \"a\": invalid policy \"frob\""),
        ("path \"a\" {\n foo = 1 }", "failed to parse policy: path \"a\": invalid key \"foo\" on line 2"),
        (
            "path \"a\" { capabilites = [\"read\"] }",
            "failed to parse policy: path \"a\": invalid key \"capabilites\" on line 1; did you mean \"capabilities\"?",
        ),
        ("paths \"a\" { }", "failed to parse policy: invalid key \"paths\" on line 1; did you mean \"path\"?"),
        ("path \"a+*\" { }", "failed to parse policy: path \"a+*\": invalid use of wildcards ('+*' is forbidden)"),
        (
            "path \"a\" { min_wrapping_ttl = \"2h\" max_wrapping_ttl = 60 }",
            "failed to parse policy: path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        (
            "path \"a/{{identity.entity.id\" {}",
            "failed to parse policy: path \"a/{{identity.entity.id\": failed to validate policy templating: unbalanced templating characters",
        ),
    ] {
        assert_eq!(refused(text), wanted);
    }
    for text in [
        "path \"a\" { capabilities = [\"subscribe\"] }",
        "path \"a\" { control_group = { } }",
        "path \"a\" { mfa_methods = [\"x\"] }",
        "path \"a\" { pagination_limit = 5 }",
        "path \"a\" { capabilities = \"read\" }",
        "path \"a\" { capabilities = [\"read\"] capabilities = [\"list\"] }",
        "path \"a\" { allowed_parameters = { \"x\" = \"y\" } }",
        "path \"a\" { denied_parameters = { \"x*\" = [] } }",
        "path \"a\" { expiration = \"soon\" }",
        "path \"a/{{time.now}}\" {}",
        "path \"a/{{identity.entity.custom_metadata.x}}\" {}",
        "path \"a/{{identity.entity.groups.names}}\" {}",
        "path \"a\" \"b\" {}",
        "path { capabilities = [\"read\"] }",
        "path \"a\" {",
    ] {
        assert!(refused(text).starts_with("failed to parse policy: "), "{text}");
    }
}

#[test]
fn the_nearest_rule_counts() {
    // (rules as path=capability, path asked for, capabilities): Vault's documentation of priorities, and both list rules.
    for (rules, path, wanted) in [
        ("secret/*=read secret/foo=list", "secret/foo", "list"),
        ("secret/*=read secret/foo*=list", "secret/foobar", "list"),
        ("secret/*=read secret/+/team=list", "secret/x/team", "list"),
        ("secret/a*=read secret/+/team=list", "secret/a/team", "read"),
        ("secret/+/+/foo/*=read secret/+/bar/baz/*=list", "secret/a/bar/foo/b", "read"),
        ("a/+/b=read a/+/*=list", "a/x/b", "read"),
        ("a/+/+/c=read a/+/b/c=list", "a/x/b/c", "list"),
        ("a/+/b/*=read a/+/b/cc*=list", "a/x/b/ccd", "list"),
        ("+/$bb/+=read +/+/c=list", "a/$bb/c", "read"),
        ("a/+=read", "a/x/y", "deny"),
        ("a/+=read", "a/", "read"),
        ("a/+=read", "a", "deny"),
        ("+/b=read", "a/b", "read"),
        ("+=read", "a", "read"),
        ("*=read", "any/thing", "read"),
        ("a/b+=read", "a/bx", "deny"),
        ("a=read", "/a", "read"),
        ("/a=read", "a", "read"),
        ("a=list", "a/", "list"),
        ("a/=list", "a", "deny"),
        ("a=list a/*=read", "a/", "list"),
        ("a/+=list a/*=read", "a/x/", "read"),
        ("a/x=read a/x=list", "a/x", "list read"),
        ("a/x=read a/x=deny a/x=list", "a/x", "deny"),
        ("a/*=deny a/x=read", "a/x", "read"),
        ("a/*=read a/x=deny", "a/x", "deny"),
        ("a=", "a", "deny"),
    ] {
        let text: String = rules
            .split(' ')
            .map(|rule| rule.split_once('=').unwrap())
            .map(|(path, cap)| match cap {
                "" => format!("path \"{path}\" {{}}\n"),
                cap => format!("path \"{path}\" {{ capabilities = [\"{cap}\"] }}\n"),
            })
            .collect();
        let wanted: Vec<&str> = wanted.split(' ').collect();
        assert_eq!(acl(&[&text]).capabilities(path), wanted, "{rules}: {path}");
        // Each rule in a policy of its own says the same.
        let split: Vec<&str> = text.lines().collect();
        assert_eq!(acl(&split).capabilities(path), wanted, "{rules}: {path}");
    }
}

#[test]
fn judgements_say_what_is_missing_and_who_granted() {
    let acl = acl(&[
        "path \"a\" { policy = \"write\" } path \"s\" { capabilities = [\"read\", \"sudo\"] }",
        "path \"a\" { capabilities = [\"patch\"] } path \"d\" { policy = \"deny\" }",
    ]);
    let judge = |path, operation, needs_sudo| {
        let question = Question { needs_sudo, ..ask(path, operation) };
        let judgement = acl.judge(&question);
        assert_eq!(judgement.allowed, judgement.refusal.is_none());
        judgement.refusal.map(|refusal| refusal.cause)
    };
    for operation in
        [Operation::Create, Operation::Read, Operation::Update, Operation::Patch, Operation::Delete, Operation::List]
    {
        assert_eq!(judge("a", operation, false), None);
        assert_eq!(judge("d", operation, false), Some(Cause::Denied));
        assert_eq!(judge("x", operation, false), Some(Cause::NoRule));
    }
    assert_eq!(judge("a", Operation::Read, true), Some(Cause::Sudo));
    assert_eq!(judge("s", Operation::Read, true), None);
    assert_eq!(judge("s", Operation::List, false), Some(Cause::Capability));
    let granting = |operation| acl.judge(&ask("a", operation)).granting_policies().collect::<Vec<_>>();
    assert_eq!(granting(Operation::Read), ["p0"]);
    assert_eq!(granting(Operation::Patch), ["p1"]);
    let question = ask("s", Operation::List);
    let refusal = acl.judge(&question).refusal.unwrap().to_string();
    assert!(refusal.contains("\"s\"") && refusal.contains("\"list\""), "{refusal}");

    let root = Acl::compile([&Policy::root()], None, Timestamp::from_secs(NOW));
    let question = Question { needs_sudo: true, ..ask("any", Operation::Delete) };
    let judgement = root.judge(&question);
    assert!(judgement.allowed && judgement.is_root && judgement.granting_policies().eq(["root"]));
    assert_eq!(root.capabilities("any"), ["root"]);
    let named_root = Policy::parse("root", "").unwrap();
    assert!(!Acl::compile([&named_root], None, Timestamp::from_secs(NOW)).is_root());
}

#[test]
fn parameters_limit_what_may_be_written() {
    // (what the policy says, the body, allowed)
    for (limits, body, allowed) in [
        ("allowed_parameters = { \"x\" = [] }", r#"{"x": 1}"#, true),
        ("allowed_parameters = { \"x\" = [] }", r#"{"x": 1, "y": 1}"#, false),
        ("allowed_parameters = { \"x\" = [] }", "{}", true),
        ("allowed_parameters { X = [\"a\"] }", r#"{"x": "a"}"#, true),
        ("allowed_parameters = { \"x\" = [\"a\"] }", r#"{"X": "a"}"#, true),
        ("allowed_parameters = { \"x\" = [\"a\"] }", r#"{"x": "b"}"#, false),
        ("allowed_parameters = { \"x\" = [\"a\"] }", r#"{"x": null}"#, false),
        ("allowed_parameters = { \"x\" = [\"a*\", \"*z\"] }", r#"{"x": "ab"}"#, true),
        ("allowed_parameters = { \"x\" = [\"a*\", \"*z\"] }", r#"{"x": "bz"}"#, true),
        ("allowed_parameters = { \"x\" = [\"*mid*\"] }", r#"{"x": "amidz"}"#, true),
        ("allowed_parameters = { \"x\" = [\"*\"] }", r#"{"x": "a"}"#, false),
        ("allowed_parameters = { \"x\" = [5, true, 1.5] }", r#"{"x": 5}"#, true),
        ("allowed_parameters = { \"x\" = [5, true, 1.5] }", r#"{"x": 1.5}"#, true),
        ("allowed_parameters = { \"x\" = [5] }", r#"{"x": "5"}"#, false),
        ("allowed_parameters = { \"x\" = [\"a\", \"b\"] }", r#"{"x": ["b", "a"]}"#, true),
        ("allowed_parameters = { \"x\" = [\"a\", \"b\"] }", r#"{"x": ["b", "c"]}"#, false),
        ("allowed_parameters = { \"x\" = [\"a\", \"b\"] }", r#"{"x": "a, b"}"#, true),
        ("allowed_parameters = { \"x\" = [\"a\", \"b\"] }", r#"{"x": "a,c"}"#, false),
        ("allowed_parameters = { \"x\" = [\"a\"] }", r#"{"x": []}"#, false),
        ("allowed_parameters = { \"x\" = [\"a\"] }", r#"{"x": ""}"#, false),
        ("allowed_parameters = { \"x\" = [[\"a\", \"b\"]] }", r#"{"x": ["a", "b"]}"#, true),
        ("allowed_parameters = { \"*\" = [] }", r#"{"x": 1}"#, true),
        ("allowed_parameters = { \"*\" = [] \"x\" = [\"a\"] }", r#"{"y": 1, "x": "a"}"#, true),
        ("allowed_parameters = { \"*\" = [] \"x\" = [\"a\"] }", r#"{"x": "b"}"#, false),
        ("denied_parameters = { \"x\" = [] }", r#"{"x": 1}"#, false),
        ("denied_parameters = { \"x\" = [] }", r#"{"y": 1}"#, true),
        ("denied_parameters = { \"x\" = [\"a\"] }", r#"{"x": "b"}"#, true),
        ("denied_parameters = { \"x\" = [\"a\"] }", r#"{"x": ["b", "a"]}"#, false),
        ("denied_parameters = { \"x\" = [\"a\"] }", r#"{"x": "b,a"}"#, false),
        ("denied_parameters = { \"x\" = [5] }", r#"{"x": "5"}"#, false),
        ("denied_parameters = { \"x\" = [\"true\"] }", r#"{"x": true}"#, false),
        ("denied_parameters = { \"*\" = [] }", r#"{"x": 1}"#, false),
        ("denied_parameters = { \"*\" = [] }", "{}", true),
        ("denied_parameters = { \"x\" = [] } allowed_parameters = { \"*\" = [] }", r#"{"x": 1}"#, false),
        ("required_parameters = [\"X\"]", r#"{"x": 1}"#, true),
        ("required_parameters = [\"x\", \"y\"]", r#"{"x": 1}"#, false),
        ("required_parameters = [\"x\"]", "{}", false),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ policy = \"write\" {limits} }}")]);
        let body: Json = serde_json::from_str(body).unwrap();
        for operation in [Operation::Create, Operation::Update, Operation::Read] {
            let question = Question { parameters: body.as_object(), ..ask("a", operation) };
            assert_eq!(acl.judge(&question).allowed, allowed, "{limits} {body}");
        }
        let list = Question { parameters: body.as_object(), ..ask("a", Operation::List) };
        assert!(acl.judge(&list).allowed, "parameters do not limit lists");
    }
}

#[test]
fn policies_on_one_path_are_merged() {
    let judge = |policies: &[&str], body: &str, ttl: Option<u64>| {
        let body: Json = serde_json::from_str(body).unwrap();
        let acl = acl(&policies
            .iter()
            .map(|p| format!("path \"a\" {{ policy = \"write\" {p} }}"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>());
        let wrap_ttl = ttl.map(Duration::from_secs);
        acl.judge(&Question { parameters: body.as_object(), wrap_ttl, ..ask("a", Operation::Update) }).allowed
    };
    let x = "allowed_parameters = { \"x\" = [\"1\"] }";
    assert!(judge(&[x, "allowed_parameters = { \"x\" = [\"2\"] }"], r#"{"x": "2"}"#, None));
    assert!(judge(&[x, "allowed_parameters = { \"x\" = [] }"], r#"{"x": "3"}"#, None));
    assert!(judge(&[x, "allowed_parameters = { \"y\" = [] }"], r#"{"x": "1", "y": 5}"#, None));
    assert!(!judge(&["", x], r#"{"x": "2"}"#, None), "a policy without a limit does not lift another's");
    assert!(!judge(
        &["denied_parameters = { \"x\" = [\"1\"] }", "denied_parameters = { \"x\" = [\"2\"] }"],
        r#"{"x": "1"}"#,
        None
    ));
    assert!(!judge(&["required_parameters = [\"x\"]", "required_parameters = [\"y\"]"], r#"{"y": 1}"#, None));

    let (min, max) = ("min_wrapping_ttl = \"10s\"", "max_wrapping_ttl = \"1m\"");
    for (ttl, allowed) in [(None, false), (Some(9), false), (Some(10), true), (Some(60), true), (Some(61), false)] {
        assert_eq!(judge(&[min, max], "{}", ttl), allowed, "{ttl:?}");
    }
    assert!(judge(&[min, "min_wrapping_ttl = 5"], "{}", Some(5)), "the lesser of two minima");
    assert!(!judge(&[max, "max_wrapping_ttl = 30"], "{}", Some(31)), "the lesser of two maxima");
}

fn identity() -> Identity {
    let metadata = BTreeMap::from([("team".to_owned(), "blue".to_owned()), ("none".to_owned(), String::new())]);
    let alias =
        Alias { id: "a1".into(), name: "ada".into(), metadata: metadata.clone(), custom_metadata: metadata.clone() };
    let group = Group { id: "g1".into(), name: "admins".into(), metadata: metadata.clone() };
    let aliases = BTreeMap::from([("auth_userpass_1".to_owned(), alias)]);
    Identity { id: "e1".into(), name: "Ada".into(), metadata, aliases, groups: vec![group] }
}

#[test]
fn templates_are_filled_in() {
    let template = |directive: &str| format!("path \"s/{{{{ {directive} }}}}/*\" {{ capabilities = [\"read\"] }}");
    for (directive, value) in [
        ("identity.entity.id", Some("e1")),
        ("identity.entity.name", Some("Ada")),
        ("identity.entity.metadata.team", Some("blue")),
        ("identity.entity.metadata.none", Some("")),
        ("identity.entity.metadata.absent", None),
        ("identity.entity.aliases.auth_userpass_1.id", Some("a1")),
        ("identity.entity.aliases.auth_userpass_1.name", Some("ada")),
        ("identity.entity.aliases.auth_userpass_1.metadata.team", Some("blue")),
        ("identity.entity.aliases.auth_userpass_1.custom_metadata.team", Some("blue")),
        ("identity.entity.aliases.auth_other_1.name", None),
        ("identity.groups.ids.g1.name", Some("admins")),
        ("identity.groups.names.admins.id", Some("g1")),
        ("identity.groups.names.admins.metadata.team", Some("blue")),
        ("identity.groups.names.users.id", None),
    ] {
        let text = template(directive);
        assert!(Policy::parse("p", &text).unwrap().templated());
        let acl = for_identity(&[&text], Some(&identity()));
        let path = format!("s/{}/x", value.unwrap_or("absent"));
        assert_eq!(acl.judge(&ask(&path, Operation::Read)).allowed, value.is_some(), "{directive}");
        assert!(!for_identity(&[&text], None).judge(&ask(&path, Operation::Read)).allowed, "{directive}");
    }
}

#[test]
fn a_filled_in_value_is_no_wildcard() {
    let text = "path \"s/{{identity.entity.name}}/x\" { policy = \"read\" } path \"t/{{identity.entity.name}}\" { policy = \"read\" }";
    for name in ["+", "*", "a*", "+x"] {
        let acl = for_identity(&[text], Some(&Identity { name: name.into(), ..identity() }));
        for path in ["s/other/x", "t/other", "t/ab", "t/ax", "s/a/x"] {
            assert_eq!(acl.capabilities(path), ["deny"], "{name} {path}");
        }
        assert_eq!(acl.capabilities(&format!("s/{name}/x")), ["list", "read"]);
        assert_eq!(acl.capabilities(&format!("t/{name}")), ["list", "read"]);
    }
}

#[test]
fn a_policy_may_let_values_mean_more() {
    let text = "path \"s/{{identity.entity.name}}/x\" { policy = \"read\" } path \"fixed\" { policy = \"read\" }";
    let reads = |values: Values, name: &str, path: &str| {
        let policy = Policy::parse("p", text).unwrap().filled_with(values);
        let identity = Identity { name: name.into(), ..identity() };
        let acl = Acl::compile([&policy], Some(&identity), Timestamp::from_secs(NOW));
        assert!(acl.judge(&ask("fixed", Operation::Read)).allowed, "a value that does not fit voids its own path only");
        acl.judge(&ask(path, Operation::Read)).allowed
    };
    let (plain, slashes, wildcards) =
        (Values::default(), Values { slashes: true, wildcards: false }, Values { slashes: false, wildcards: true });
    for (values, name, path, allowed) in [
        (plain, "a/b", "s/a/b/x", false),
        (slashes, "a/b", "s/a/b/x", true),
        (wildcards, "a/b", "s/a/b/x", false),
        (plain, "+", "s/any/x", false),
        (slashes, "+", "s/any/x", false),
        (wildcards, "+", "s/any/x", true),
        (wildcards, "+", "s/a/b/x", false),
    ] {
        assert_eq!(reads(values, name, path), allowed, "{values:?} {name} {path}");
    }
}

#[test]
fn policies_expire() {
    let policy = |name, path| Policy::parse(name, &format!("path {path:?} {{ policy = \"read\" }}")).unwrap();
    let (short, long) = (policy("s", "a").until(Some(Timestamp::from_secs(NOW))), policy("l", "b"));
    let at = |secs| Acl::compile([&short, &long], None, Timestamp::from_secs(secs));
    let read = |acl: &Acl| ["a", "b"].map(|path| acl.judge(&ask(path, Operation::Read)).allowed);
    assert_eq!((read(&at(NOW - 1)), at(NOW - 1).expires()), ([true, true], Some(Timestamp::from_secs(NOW))));
    assert_eq!((read(&at(NOW)), at(NOW).expires()), ([false, true], None));
}

#[test]
fn rules_expire() {
    let text = "path \"a\" { policy = \"read\" expiration = \"2027-01-15T08:00:00Z\" } path \"b\" { policy = \"read\" expiration = 1 }";
    let policy = Policy::parse("p", text).unwrap();
    let before = Acl::compile([&policy], None, Timestamp::from_secs(1_799_999_999));
    assert_eq!((before.capabilities("a"), before.capabilities("b")), (vec!["list", "read"], vec!["deny"]));
    assert_eq!(before.expires(), Some(Timestamp::from_secs(NOW)));
    let after = Acl::compile([&policy], None, Timestamp::from_secs(NOW + 1));
    assert_eq!((after.capabilities("a"), after.expires()), (vec!["deny"], None));
}

#[test]
fn resultant_acl_has_vaults_shape() {
    let acl = acl(&["path \"a\" { capabilities = [\"scan\", \"patch\", \"update\", \"sudo\", \"read\", \"list\", \"delete\", \"create\"]
        required_parameters = [\"X\"] allowed_parameters = { \"Q\" = [\"b\", 1] } min_wrapping_ttl = 5 }
        path \"g/*\" { policy = \"read\" } path \"s/+/x\" { policy = \"read\" } path \"e\" { }"]);
    let wanted: Json = serde_json::from_str(
        r#"{"root": false, "exact_paths": {
            "a": {"capabilities": ["create", "delete", "list", "read", "sudo", "update", "patch", "scan"],
                  "required_parameters": ["x"], "allowed_parameters": {"q": ["b", 1]}, "min_wrapping_ttl": 5},
            "e": {"capabilities": ["deny"]}},
          "glob_paths": {"g/": {"capabilities": ["list", "read"]}}}"#,
    )
    .unwrap();
    assert_eq!(Json::Object(acl.resultant()), wanted);
}

#[test]
fn a_mount_shows_when_something_in_it_is_granted() {
    let text = "path \"kv/a/b\" { policy = \"read\" } path \"+/team/*\" { policy = \"read\" } path \"ssh/*\" { policy = \"deny\" }
        path \"pki/+/issue\" { policy = \"read\" }";
    let acl = acl(&[text]);
    for (mount, shown) in [("kv/", true), ("pki/", true), ("other/", true), ("a/b/", false), ("a/team/", true)] {
        assert_eq!(acl.reaches(mount), shown, "{mount}");
    }
    let denied = self::acl(&["path \"ssh/*\" { policy = \"deny\" } path \"s*\" { policy = \"read\" }"]);
    assert_eq!((denied.reaches("ssh/"), denied.reaches("sys/"), denied.reaches("kv/")), (false, true, false));
}

#[test]
fn the_default_policy_covers_what_vaults_covers() {
    let policy = Policy::parse("default", Policy::default_text()).unwrap();
    assert!(policy.templated());
    let acl = Acl::compile([&policy], Some(&identity()), Timestamp::from_secs(NOW));
    let everything = ["create", "delete", "list", "read", "update"];
    for (path, wanted) in [
        ("auth/token/lookup-self", &["read"][..]),
        ("auth/token/renew-self", &["update"]),
        ("auth/token/revoke-self", &["update"]),
        ("sys/capabilities-self", &["update"]),
        ("identity/entity/id/e1", &["read"]),
        ("identity/entity/name/Ada", &["read"]),
        ("identity/entity/id/e2", &["deny"]),
        ("sys/internal/ui/resultant-acl", &["read"]),
        ("sys/leases/renew", &["update"]),
        ("sys/leases/lookup", &["update"]),
        ("cubbyhole/x/y", &everything),
        ("sys/wrapping/wrap", &["update"]),
        ("sys/wrapping/lookup", &["update"]),
        ("sys/wrapping/unwrap", &["update"]),
        ("sys/tools/hash", &["update"]),
        ("sys/tools/hash/sha2-256", &["update"]),
        ("identity/oidc/provider/p/authorize", &["read", "update"]),
        ("secret/data/x", &["deny"]),
        ("sys/mounts", &["deny"]),
    ] {
        assert_eq!(acl.capabilities(path), wanted, "{path}");
    }
}

#[test]
fn deep_rules_and_paths_do_no_harm() {
    let rule = |stem: &str, n: usize| format!("path \"{}*\" {{ policy = \"read\" }}\n", stem.repeat(n));
    let text: String = (1..400).flat_map(|n| [rule("+/", n), rule("a/", n), rule("a/+/", n), rule("aa", n)]).collect();
    let acl = acl(&[&text]);
    for (path, allowed) in [
        ("a/".repeat(100_000), true),
        ("aa".repeat(100_000), true),
        ("/+".repeat(50_000), true),
        ("b".repeat(9), false),
    ] {
        assert_eq!(acl.judge(&ask(&path, Operation::List)).allowed, allowed);
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,80}", path in "\\PC{0,20}", inner in "[a-z_=\\[\\]{}\" +*/.]{0,60}", asked in "\\PC{0,20}") {
        let shaped = format!("path {path:?} {{ capabilities = [\"read\"] {inner} }}");
        let plain = format!("path {path:?} {{ capabilities = [\"read\"] }}");
        for text in [text, shaped, plain] {
            if let Ok(policy) = Policy::parse("p", &text) {
                let acl = Acl::compile([&policy], Some(&identity()), Timestamp::from_secs(NOW));
                acl.judge(&ask(&asked, Operation::List));
                acl.capabilities(&path);
                acl.reaches(&asked);
            }
        }
    }
}
