//! AES-256-GCM by AWS CloudHSM's own mechanism, whose result has the IV in front: the same blob as AES-GCM's, and read
//! as that, on any HSM.

use std::ffi::c_void;
use std::ptr;

use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use hardening::Secret;

use super::gcm::{self, IV_BYTES, TAG_BYTES};
use super::{CLOUDHSM_AES_GCM, LONGEST_PLAINTEXT, Mechanism, Opened, aes_key, within};
use crate::config::Config;
use crate::entry::Entry;
use crate::error::Fault;

/// `CK_GCM_PARAMS` (PKCS#11 v2.40 mechanisms, section 2.12.2).
#[repr(C)]
struct Parameters {
    iv: *const c_void,
    iv_length: Ulong,
    iv_bits: Ulong,
    aad: *const u8,
    aad_length: Ulong,
    tag_bits: Ulong,
}

struct CloudHsmGcm {
    key: ObjectHandle,
}

pub(super) fn open(entry: &Entry, config: &Config) -> Result<Opened, Fault> {
    let key = aes_key(entry.door, entry.token.label(), config)?;
    Ok(Opened { mechanism: Box::new(CloudHsmGcm { key: key.handle }), key })
}

impl Mechanism for CloudHsmGcm {
    fn number(&self) -> u32 {
        CLOUDHSM_AES_GCM
    }

    fn wrap(&self, session: &Session, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        within(LONGEST_PLAINTEXT, plain)?;
        let parameters = Parameters {
            iv: ptr::null(),
            iv_length: 0.into(),
            iv_bits: 0.into(),
            aad: aad.as_ptr(),
            aad_length: Ulong::try_from(aad.len())?,
            tag_bits: 128.into(),
        };
        let kind = MechanismType::new_vendor_defined(CLOUDHSM_AES_GCM.into())?;
        let mechanism = VendorDefinedMechanism::new(kind, Some(&parameters));
        let mechanism = cryptoki::mechanism::Mechanism::VendorDefined(mechanism);
        let blob = session.encrypt(&mechanism, self.key, plain)?;
        match blob.first_chunk::<IV_BYTES>() {
            Some(iv) if blob.len() == IV_BYTES + plain.len() + TAG_BYTES => {
                gcm::refuse_zero(
                    iv,
                    "C_Encrypt: the token encrypted under an all-zero IV; the result was thrown away",
                )?;
                Ok(blob)
            }
            _ => Err(Fault::operator("C_Encrypt: CKM_CLOUDHSM_AES_GCM gave a result of the wrong length")),
        }
    }

    fn unwrap(&self, session: &Session, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        gcm::unwrap(session, self.key, blob, aad)
    }

    fn about(&self) -> String {
        "AES-256-GCM (CKM_CLOUDHSM_AES_GCM), IV by the token".to_owned()
    }
}
