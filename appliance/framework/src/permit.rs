//! Proofs: that a request was judged and recorded, and that its answer was.

use crate::{Ask, AuditSink, Error};

/// What policy says of a request.
pub enum Verdict {
    /// It may go on.
    Allowed,
    /// It may not, and this is what the client is told.
    Refused(Error),
}

/// Proof that policy allowed a request and that the audit log has it. Cannot be made in any other way.
pub struct Permit(());

impl Permit {
    /// Records the request, allowed or not, and gives a permit if it was allowed and recorded.
    pub fn admit<T>(verdict: Verdict, ask: &Ask<'_>, audit: &dyn AuditSink) -> Result<Self, Unrecorded<T>> {
        let refusal = match &verdict {
            Verdict::Allowed => None,
            Verdict::Refused(error) => Some(error),
        };
        let recorded = audit.request(ask, refusal);
        match (verdict, recorded) {
            (Verdict::Refused(error), _) | (Verdict::Allowed, Err(error)) => Err(Unrecorded::new(Err(error))),
            (Verdict::Allowed, Ok(())) => Ok(Self(())),
        }
    }
}

/// An answer that the audit log does not have yet. Nobody can read it before it is settled.
#[must_use = "an answer reaches nobody before it is settled"]
pub struct Unrecorded<T>(Result<T, Error>);

impl<T> Unrecorded<T> {
    /// An answer or a refusal.
    pub fn new(result: Result<T, Error>) -> Self {
        Self(result)
    }

    /// Goes on with an answer, before it is recorded: issue the token, commit the transaction.
    pub fn then(self, step: impl FnOnce(T) -> Result<T, Error>) -> Self {
        Self(self.0.and_then(step))
    }

    /// What becomes of a refusal before it is recorded.
    pub fn or_else(self, step: impl FnOnce(Error) -> Result<T, Error>) -> Self {
        Self(self.0.or_else(step))
    }

    /// Whether the transaction conflicted and the handler must run again.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0, Err(Error::Conflict))
    }
}

impl Unrecorded<crate::Output> {
    /// Records the answer and hands it out. If it cannot be recorded, nobody gets it.
    pub fn settle(self, ask: &Ask<'_>, audit: &dyn AuditSink) -> Result<crate::Output, Error> {
        audit.response(ask, &self.0)?;
        self.0
    }
}
