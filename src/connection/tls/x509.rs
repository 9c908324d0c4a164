//! Reads from a certificate what rustls does not tell.

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::Decode;

pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| bad_encoding())
}

pub(super) fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}
