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
use x509_cert::der::Encode;

use super::certificates::Roots;
use super::name;
use super::x509::{bad_encoding, read};

/// Insists that the server holds the key of the certificate that it shows, so that the encryption is for the server that
/// showed it. Where something is trusted, also insists that this vouches for the certificate.
#[derive(Debug)]
pub(super) struct CertificateVerifier {
    pub trusted: Option<Trusted>,
    pub algorithms: WebPkiSupportedAlgorithms,
}

/// Which certificates are good.
#[derive(Debug)]
pub(super) struct Trusted {
    pub roots: Roots,
    pub checks_name: bool,
}

impl Trusted {
    fn accept(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        if self.roots.named.iter().any(|named| named == shown) {
            valid_at(now, &read(shown)?)?;
        } else {
            let parsed = ParsedCertificate::try_from(shown)?;
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots.store,
                intermediates,
                now,
                algorithms.all,
            )?;
        }
        if self.checks_name {
            name::check(shown, server)?;
        }
        Ok(())
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            trusted.accept(
                end_entity,
                intermediates,
                server_name,
                now,
                &self.algorithms,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_with_key_of(cert, message, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
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
