//! What a server's certificate has to prove, beyond which rustls is told nothing.
//!
//! rustls's own verifier is not used, because it always checks the name and refuses self-signed certificates
//! of the kind that PostgreSQL's manual shows how to make.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::certificates::Roots;
use super::name;

/// Takes every certificate, but insists that the server holds its key, so that what is encrypted is encrypted
/// for whoever showed it.
#[derive(Debug)]
pub(super) struct EncryptsOnly(pub WebPkiSupportedAlgorithms);

/// Takes certificates that a [`Trusted`] accepts.
#[derive(Debug)]
pub(super) struct Verifies(pub Trusted);

/// Which certificates are good.
#[derive(Debug)]
pub(super) struct Trusted {
    pub roots: Roots,
    pub checks_name: bool,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl Trusted {
    fn accept(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.roots.named.iter().any(|named| named == shown) {
            valid_at(now, &read(shown)?)?;
        } else {
            let (roots, algorithms) = (&self.roots.store, self.algorithms.all);
            let parsed = ParsedCertificate::try_from(shown)?;
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                roots,
                intermediates,
                now,
                algorithms,
            )?;
        }
        if self.checks_name {
            name::check(shown, server)?;
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifies {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.accept(end_entity, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_with_key_of(cert, message, dss, &self.0.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for EncryptsOnly {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_with_key_of(cert, message, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

// webpki refuses certificates of version 1, which the recipe in PostgreSQL's manual makes with older versions of
// OpenSSL. Their key is as good as any; whether the certificate is trusted has been decided elsewhere. Under
// TLS 1.2, which only servers without TLS 1.3 come down to, they stay refused.
fn verify_with_key_of(
    certificate: &CertificateDer<'_>,
    message: &[u8],
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = read(certificate)?.tbs_certificate.subject_public_key_info;
    let key = SubjectPublicKeyInfoDer::from(key.to_der().map_err(|_| bad_encoding())?);
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| bad_encoding())
}

fn valid_at(now: UnixTime, certificate: &Certificate) -> Result<(), Error> {
    let validity = certificate.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}
