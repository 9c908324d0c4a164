//! TLS with libpq's meanings of `sslmode`, over rustls.
//!
//! | mode | encrypted | certificate |
//! |---|---|---|
//! | `disable` | never | |
//! | `allow`, `prefer` | if the server can | not checked |
//! | `require` | always | chain checked if there is a root certificate, else not checked |
//! | `verify-ca` | always | chain checked |
//! | `verify-full` | always | chain and name checked |
//!
//! `allow` differs from libpq's in that it tries with TLS first, which is never worse.

mod certificates;
mod mode;
mod name;
mod verifier;
mod x509;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, ConfigBuilder};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Error;
use super::parameters::Parameters;
use crate::settings::Environment;
use certificates::Roots;
use mode::Mode;
use verifier::{CertificateVerifier, Trusted};

/// What connections to servers other than PostgreSQL insist on: a certificate that is for the requested host and that a
/// file or the system vouches for.
///
/// # Errors
/// A file that cannot be read, and a system without root certificates.
pub(crate) fn verifying(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let trusted = Trusted {
        roots: ca_file.map_or_else(Roots::of_system, Roots::from_file)?,
        checks_name: true,
    };
    let client = builder(provider, Some(trusted))?.with_no_client_auth();
    Ok(Arc::new(client))
}

/// How connections are encrypted: what the driver is told, and what it does then.
pub(super) struct Tls {
    /// Whether TLS is tried and whether the connection goes on without.
    pub mode: SslMode,
    /// What shakes hands and checks the certificate.
    pub connector: MakeRustlsConnect,
}

/// What the connection string says about TLS, taken out of it, since the driver refuses most of it.
pub(super) struct Options {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    is_direct: bool,
    names_host: bool,
    home: Option<PathBuf>,
}

impl Options {
    pub fn take_from(parameters: &mut Parameters, environment: &Environment) -> Self {
        Self {
            mode: parameters.take("sslmode"),
            root: parameters.take("sslrootcert"),
            certificate: parameters.take("sslcert"),
            key: parameters.take("sslkey"),
            is_direct: parameters.get("sslnegotiation") == Some("direct"),
            names_host: parameters.take("sslsni").as_deref() != Some("0"),
            home: environment
                .get("HOME")
                .map(|home| PathBuf::from(home).join(".postgresql")),
        }
    }

    /// Reads the certificates and decides what is checked. Where only sockets are connected to, nothing is
    /// read, since a machine without root certificates would be refused for nothing.
    pub fn configure(&self, is_over_network: bool) -> Result<Tls, Error> {
        let mode = match Mode::read(self.mode.as_deref(), self.root.as_deref())? {
            mode if is_over_network => mode,
            _ => Mode::Disable,
        };
        let provider = Arc::new(ring::default_provider());
        Ok(Tls {
            mode: mode.for_driver(),
            connector: MakeRustlsConnect::new(self.client(mode, provider)?),
        })
    }

    fn trusted(&self, mode: Mode) -> Result<Option<Trusted>, Error> {
        let roots = match mode {
            Mode::Disable | Mode::Prefer => None,
            Mode::Require => self
                .root_file()
                .map(|path| Roots::from_file(&path))
                .transpose()?,
            Mode::VerifyCa | Mode::VerifyFull => Some(self.roots()?),
        };
        let checks_name = mode == Mode::VerifyFull;
        Ok(roots.map(|roots| Trusted { roots, checks_name }))
    }

    fn roots(&self) -> Result<Roots, Error> {
        match self.root_file() {
            Some(path) => Roots::from_file(&path),
            None => Roots::of_system(),
        }
    }

    fn root_file(&self) -> Option<PathBuf> {
        match self.root.as_deref() {
            Some("system") => None,
            Some(path) => Some(path.into()),
            None => self.usual_file("root.crt"),
        }
    }

    fn usual_file(&self, name: &str) -> Option<PathBuf> {
        let path = self.home.as_ref()?.join(name);
        path.exists().then_some(path)
    }

    fn client(&self, mode: Mode, provider: Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
        let builder = builder(provider, self.trusted(mode)?)?;
        let given = self.certificate.as_ref().map(PathBuf::from);
        let certificate = given.or_else(|| self.usual_file("postgresql.crt"));
        let mut client = match certificate.filter(|_| mode != Mode::Disable) {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let (chain, key) = certificates::of_client(&certificate, self.key_file())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let file = certificate.display();
                    settings(&format!(
                        "the client certificate {file} cannot be used with its key: {error}"
                    ))
                })?
            }
        };
        // Without a request for TLS in the clear, the server insists on knowing that PostgreSQL follows.
        if self.is_direct {
            client.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        client.enable_sni = self.names_host;
        Ok(client)
    }

    fn key_file(&self) -> Option<PathBuf> {
        let given = self.key.as_ref().map(PathBuf::from);
        given.or_else(|| self.usual_file("postgresql.key"))
    }
}

fn builder(
    provider: Arc<CryptoProvider>,
    trusted: Option<Trusted>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let verifier = CertificateVerifier {
        trusted,
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| settings(&format!("TLS cannot be set up: {error}")))?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

fn settings(sentence: &str) -> Error {
    Error::Settings(sentence.to_owned())
}

#[cfg(test)]
mod tests;
