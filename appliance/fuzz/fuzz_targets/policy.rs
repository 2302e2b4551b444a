//! A policy and a path (after a NUL): it parses or not, and its ACL answers every question.
#![no_main]

use framework::acl::{Acl, Identity, Policy, Question};
use framework::{Operation, Timestamp};

libfuzzer_sys::fuzz_target!(|input: &str| {
    let (text, path) = input.split_once('\0').unwrap_or((input, "secret/data/a/"));
    let Ok(policy) = Policy::parse("fuzz", text) else { return };
    let identity = Identity { id: path.to_owned(), name: "+".to_owned(), ..Identity::default() };
    let acl = Acl::compile([&policy, &policy], Some(&identity), Timestamp::from_secs(0));
    for operation in [Operation::Read, Operation::Update, Operation::List] {
        let question = Question { path, operation, parameters: None, wrap_ttl: None, needs_sudo: true };
        let judgement = acl.judge(&question);
        assert_eq!(judgement.allowed, judgement.refusal.is_none());
        // What is allowed with sudo is shown with sudo.
        let shown = acl.capabilities(path);
        assert!(!judgement.allowed || operation != Operation::List || (shown.contains(&"list") && shown.contains(&"sudo")));
    }
    let _ = (acl.reaches(path), acl.resultant());
});
