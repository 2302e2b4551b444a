//! What went wrong, sorted by who must act, with the function and the `CKR_` name kept.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::RvError;
use framework::hsm::{Failure, FailureKind};

use crate::profile::Profile;

/// Why an operation failed. The text names the PKCS#11 function and its `CKR_` code, and holds no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// It may work if asked again.
    Transient(String),
    /// The configuration or the token must be changed by an operator.
    Operator(String),
    /// Blob, key and associated data do not belong together.
    Rejected(String),
}

impl Error {
    /// The text alone.
    pub fn message(&self) -> &str {
        match self {
            Self::Transient(message) | Self::Operator(message) | Self::Rejected(message) => message,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = match error {
            Error::Transient(_) => FailureKind::Transient,
            Error::Operator(_) => FailureKind::Operator,
            Error::Rejected(_) => FailureKind::Rejected,
        };
        let (Error::Transient(message) | Error::Operator(message) | Error::Rejected(message)) = error;
        Failure { kind, message }
    }
}

/// What is to be done after a failure, the cheapest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Try again, on another session: throttled, or a call that reached the wrong HSM of a cluster.
    Busy,
    /// Sessions are gone: open new ones.
    Session,
    /// The login is gone, or the key: log in again and find it again.
    Login,
    /// Device or library are gone: finalise, initialise, and all of the above.
    Library,
    /// A decryption failed and the code does not say whose fault it is.
    Doubtful,
    /// A decryption failed because of what was given.
    Rejected,
    /// An operator must act; once he has, opening again may work.
    Operator,
    /// An operator must act, and this process must not try again: a wrong PIN, a module that does not load.
    Fatal,
}

impl Kind {
    /// Whether the HSM may do next what it did not do now.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Busy | Self::Session | Self::Login | Self::Library | Self::Doubtful)
    }
}

/// A failure inside this crate.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) code: Option<RvError>,
}

impl Fault {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), code: None }
    }

    /// For a key that has worked before: what is said against key or mechanism means that the key is not there any
    /// more. SoftHSM speaks so of a key that is deleted at this moment. Never the doing of a single request.
    pub(crate) fn of_proven_key(self) -> Fault {
        use RvError as R;
        match self.code {
            Some(R::MechanismInvalid | R::KeyFunctionNotPermitted | R::KeyTypeInconsistent | R::KeySizeRange) => {
                Fault { kind: Kind::Login, ..self }
            }
            _ => self,
        }
    }

    /// With what the code means to this vendor.
    pub(crate) fn under(self, profile: &Profile) -> Fault {
        match profile.exceptions.iter().find(|(code, _)| Some(*code) == self.code) {
            Some((_, kind)) => Fault { kind: *kind, ..self },
            None => self,
        }
    }

    /// The `CKR_` number, if the token has refused the PIN: another try may lock it.
    pub(crate) fn refused_pin(&self) -> Option<u8> {
        let code = self.code?;
        PIN_REFUSALS.iter().find(|(refusal, _)| *refusal == code).map(|(_, number)| *number)
    }

    /// What an earlier process was told when it logged in.
    pub(crate) fn pin_was_refused(number: u8) -> Fault {
        let code =
            PIN_REFUSALS.iter().find(|(_, known)| *known == number).map_or(RvError::PinIncorrect, |(code, _)| *code);
        cryptoki::error::Error::Pkcs11(code, Function::Login).into()
    }

    pub(crate) fn operator(message: impl Into<String>) -> Fault {
        Fault::new(Kind::Operator, message)
    }

    pub(crate) fn fatal(message: impl Into<String>) -> Fault {
        Fault::new(Kind::Fatal, message)
    }

    pub(crate) fn rejected(message: impl Into<String>) -> Fault {
        Fault::new(Kind::Rejected, message)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault.kind {
            kind if kind.may_pass() => Error::Transient(fault.message),
            Kind::Rejected => Error::Rejected(fault.message),
            _ => Error::Operator(fault.message),
        }
    }
}

impl From<cryptoki::error::Error> for Fault {
    fn from(error: cryptoki::error::Error) -> Fault {
        match error {
            cryptoki::error::Error::Pkcs11(code, function) => {
                let message = format!("C_{function:?}: {}{}", name(code), advice(code));
                Fault { kind: kind(code, function), message, code: Some(code) }
            }
            cryptoki::error::Error::LibraryLoading(error) => Fault::fatal(error.to_string()),
            other => Fault::operator(format!("the PKCS#11 module does not keep to the standard: {other}")),
        }
    }
}

/// Refusals of a PIN, with their numbers (PKCS#11 v2.40, appendix A), which fit an exit code.
const PIN_REFUSALS: [(RvError, u8); 5] = [
    (RvError::PinIncorrect, 0xa0),
    (RvError::PinInvalid, 0xa1),
    (RvError::PinLenRange, 0xa2),
    (RvError::PinExpired, 0xa3),
    (RvError::PinLocked, 0xa4),
];

/// The `CKR_` number in the exit code of a process whose PIN was refused ([`Hsm::refused_pin`](crate::Hsm::refused_pin)).
pub fn pin_refusal(exit_code: i32) -> Option<u8> {
    let number = u8::try_from(exit_code).ok()?;
    PIN_REFUSALS.iter().any(|(_, known)| *known == number).then_some(number)
}

/// `CKR_AEAD_DECRYPT_FAILED` of PKCS#11 3.0, which `cryptoki` does not name.
const AEAD_DECRYPT_FAILED: u64 = 0x35;

fn kind(code: RvError, function: Function) -> Kind {
    use RvError as R;
    let decrypting = matches!(function, Function::Decrypt);
    match code {
        R::PinIncorrect | R::PinLocked | R::PinExpired | R::PinInvalid | R::PinLenRange | R::UserPinNotInitialized => {
            Kind::Fatal
        }
        R::EncryptedDataInvalid | R::EncryptedDataLenRange | R::UnknownErrorCode(AEAD_DECRYPT_FAILED) if decrypting => {
            Kind::Rejected
        }
        // SoftHSM says CKR_GENERAL_ERROR for a wrong tag; other modules are no better. `Connection::unwrap` finds out.
        R::GeneralError
        | R::FunctionFailed
        | R::DeviceError
        | R::ArgumentsBad
        | R::DataInvalid
        | R::DataLenRange
        | R::VendorDefined(_)
        | R::UnknownErrorCode(_)
            if decrypting =>
        {
            Kind::Doubtful
        }
        R::SessionHandleInvalid | R::SessionClosed => Kind::Session,
        R::UserNotLoggedIn | R::KeyHandleInvalid | R::ObjectHandleInvalid => Kind::Login,
        R::DeviceError
        | R::DeviceRemoved
        | R::TokenNotPresent
        | R::TokenNotRecognized
        | R::SlotIdInvalid
        | R::CryptokiNotInitialized => Kind::Library,
        R::MechanismInvalid
        | R::MechanismParamInvalid
        | R::ArgumentsBad
        | R::DataInvalid
        | R::DataLenRange
        | R::KeyFunctionNotPermitted
        | R::KeyTypeInconsistent
        | R::KeySizeRange
        | R::FunctionNotSupported
        | R::ActionProhibited
        | R::AttributeReadOnly
        | R::AttributeTypeInvalid
        | R::AttributeValueInvalid
        | R::TemplateIncomplete
        | R::TemplateInconsistent
        | R::TokenWriteProtected
        | R::UserAnotherAlreadyLoggedIn
        | R::FipsSelfTestFailed => Kind::Operator,
        _ => Kind::Busy,
    }
}

/// What to do about the codes that an operator meets.
fn advice(code: RvError) -> &'static str {
    match code {
        RvError::PinIncorrect => {
            ": the PIN in the configuration is wrong; not tried again, the token locks after a few attempts. \
             Correct it and restart"
        }
        RvError::PinLocked => ": the PIN is locked after too many wrong attempts; the security officer must reset it",
        RvError::PinExpired => ": the PIN has expired; set a new one and restart",
        RvError::PinInvalid | RvError::PinLenRange => ": no PIN of this token looks like the one in the configuration",
        RvError::UserPinNotInitialized => ": the token has no user PIN yet; set one (C_InitPIN) and restart",
        RvError::TokenWriteProtected => ": the token is write-protected",
        _ => "",
    }
}

/// The name in the standard: `PinIncorrect` is `CKR_PIN_INCORRECT`.
fn name(code: RvError) -> String {
    if let RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) = code {
        return format!("CKR_{number:#x}");
    }
    let mut text = String::from("CKR");
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: RvError, function: Function) -> Fault {
        cryptoki::error::Error::Pkcs11(code, function).into()
    }

    #[test]
    fn the_code_and_the_function_are_kept() {
        let wrong_pin = fault(RvError::PinIncorrect, Function::Login);
        assert!(wrong_pin.message.starts_with("C_Login: CKR_PIN_INCORRECT: "), "{}", wrong_pin.message);
        assert!(wrong_pin.message.contains("not tried again"));
        assert_eq!(wrong_pin.kind, Kind::Fatal);
        assert_eq!(fault(RvError::VendorDefined(0x8000_0001), Function::Sign).message, "C_Sign: CKR_0x80000001");
    }

    #[test]
    fn a_general_error_is_doubtful_in_a_decryption_only() {
        assert_eq!(fault(RvError::GeneralError, Function::Decrypt).kind, Kind::Doubtful);
        assert_eq!(fault(RvError::GeneralError, Function::Encrypt).kind, Kind::Busy);
        assert_eq!(fault(RvError::DeviceError, Function::Encrypt).kind, Kind::Library);
        assert_eq!(fault(RvError::UnknownErrorCode(0x35), Function::Decrypt).kind, Kind::Rejected);
    }
}
