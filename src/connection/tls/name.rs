//! Whether a certificate is for the host that was asked for.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::ext::pkix::SubjectAltName;

use super::x509::read;

/// Checks the alternative names, and the common name only where there are none: that is libpq's rule, and the
/// certificates that PostgreSQL's manual shows how to make have nothing but a common name.
pub(super) fn check(shown: &CertificateDer<'_>, server: &ServerName<'_>) -> Result<(), Error> {
    let certificate = read(shown)?;
    if has_alternative_names(&certificate) {
        return verify_server_name(&ParsedCertificate::try_from(shown)?, server);
    }
    let host = server.to_str();
    match common_name(&certificate) {
        Some(name) if covers(&name, &host) => Ok(()),
        _ => Err(CertificateError::NotValidForName.into()),
    }
}

// One that cannot be read is left to webpki, which refuses it.
fn has_alternative_names(certificate: &Certificate) -> bool {
    !matches!(
        certificate.tbs_certificate.get::<SubjectAltName>(),
        Ok(None)
    )
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let subject = &certificate.tbs_certificate.subject;
    let mut attributes = subject.0.iter().flat_map(|part| part.0.iter());
    let value = &attributes.find(|attribute| attribute.oid == CN)?.value;
    String::from_utf8(value.value().to_vec()).ok()
}

// A star stands for one whole label at the front, and never for a part of an address.
fn covers(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    match (name.strip_prefix("*."), host.split_once('.')) {
        (Some(name), Some((label, rest))) => {
            !is_address
                && !label.is_empty()
                && name.contains('.')
                && name.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(covers("DB.example.org", "db.Example.org"));
        assert!(covers("*.example.org", "db.example.org"));
        assert!(!covers("*.example.org", "a.db.example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(!covers("*.org", "example.org"));
        assert!(!covers("*.0.0.1", "127.0.0.1"));
        assert!(!covers("", "db.example.org"));
    }
}
