//! Certificates made at test time.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// Writes `tls.crt` and `tls.key` to a folder: a certificate for this address that signs itself and is good until the end of
/// `year`. Returns its DER.
pub fn certify(folder: &Path, address: IpAddr, year: i32) -> Vec<u8> {
    let mut params = CertificateParams::new(vec![address.to_string()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    certificate.der().to_vec()
}
