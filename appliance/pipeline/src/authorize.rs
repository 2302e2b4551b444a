//! What policy says of a request.

use framework::acl;
use framework::{Access, Ask, Error, Secret, Store, Timestamp, Verdict};
use registry::Registry;

/// What has to be known beside what the audit log is told.
pub(crate) struct Question<'q> {
    /// The token stands for somebody.
    pub(crate) known: bool,
    /// Only documentation is wanted.
    pub(crate) help: bool,
    /// What is wrong with the request whoever makes it, and told to anybody.
    pub(crate) objection: Option<Error>,
    /// What was wrong with the request before it got here: told to those who may know it.
    pub(crate) trouble: Option<Error>,
    /// Who may call the route, or why there is none.
    pub(crate) route: Result<Access, &'q Error>,
}

/// Judges a request. A refusal that is a matter of policy looks the same to every client; what was missing goes to the log.
pub(crate) fn authorize(
    registry: &Registry,
    store: &dyn Store<Secret>,
    ask: &Ask<'_>,
    mut question: Question<'_>,
    now: Timestamp,
) -> Verdict {
    match judge(registry, store, ask, &mut question, now) {
        Err(error) => Verdict::Refused(error),
        Ok(()) => match question.trouble.or_else(|| unsupported(ask)) {
            Some(error) => Verdict::Refused(error),
            None => Verdict::Allowed,
        },
    }
}

fn judge(
    registry: &Registry,
    store: &dyn Store<Secret>,
    ask: &Ask<'_>,
    question: &mut Question<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    if let Err(Error::Sealed) = question.route {
        return Err(Error::Sealed);
    }
    if let Some(Error::Sealed) = question.trouble {
        return Err(Error::Sealed);
    }
    if let Some(objection) = question.objection.take() {
        return Err(objection);
    }
    if matches!(question.route, Ok(Access::Open)) {
        return Ok(());
    }
    if !question.known {
        // Who it is could not be found out: no refusal, and it may be asked again.
        let passing = |trouble: &mut Error| matches!(trouble, Error::HsmUnavailable { .. } | Error::Busy { .. });
        return Err(question.trouble.take_if(passing).unwrap_or(Error::Denied));
    }
    if question.help {
        return Ok(());
    }
    let acl = registry.acl(store, &ask.caller.policies, None, now)?;
    let judgement = acl.judge(&acl::Question {
        path: ask.path,
        operation: ask.operation,
        parameters: ask.operation.has_body().then_some(ask.data),
        wrap_ttl: ask.origin.wrap_ttl,
        needs_sudo: matches!(question.route, Ok(Access::Sudo)),
    });
    if judgement.allowed {
        return Ok(());
    }
    if let Some(refusal) = judgement.refusal {
        tracing::info!(
            request_id = ask.origin.request_id,
            accessor = ask.caller.accessor,
            "permission denied: {refusal}"
        );
    }
    Err(Error::Denied)
}

/// Headers that this version does not carry out are refused, never ignored.
fn unsupported(ask: &Ask<'_>) -> Option<Error> {
    if !ask.origin.namespace.is_empty() {
        return Some(Error::NoRoute {
            message: "no such namespace: this server has the root namespace only".to_owned(),
        });
    }
    let format = ask.headers.iter().find(|(name, value)| name == "x-vault-wrap-format" && !value.is_empty());
    format.map(|_| Error::invalid("X-Vault-Wrap-Format is not supported: wrapping tokens are tokens like any other"))
}
