//! Certificates and keys, read from files or from the system's store.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Error, settings};

/// Who is trusted.
#[derive(Debug)]
pub(super) struct Roots {
    /// Those who may vouch for a server.
    pub store: RootCertStore,
    /// Certificates that a file names. A server that shows one of them needs no authority to vouch for it: that is how
    /// a self-signed certificate is trusted, which webpki refuses where it calls itself an authority.
    pub named: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// The certificates in a file.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let named = chain("root certificate", path)?;
        let mut store = RootCertStore::empty();
        // What webpki cannot use as an authority still counts as a certificate that is named.
        store.add_parsable_certificates(named.iter().cloned());
        Ok(Self { store, named })
    }

    /// Those that the operating system trusts.
    pub fn of_system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            return Err(settings(
                "the operating system has no root certificates to check the server with: \
                 install them or name a file (sslrootcert for the database, cache.ca_file for the cache)",
            ));
        }
        Ok(Self {
            store,
            named: Vec::new(),
        })
    }
}

/// The daemon's own certificate and key.
pub(super) fn of_client(
    certificate: &Path,
    key: Option<PathBuf>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = chain("client certificate", certificate)?;
    let key = key.ok_or_else(|| {
        settings("the client certificate has no key: name the file of its key as sslkey")
    })?;
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|reason| unreadable("client key", &key, &reason))?;
    Ok((chain, key))
}

fn chain(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let chain = read().map_err(|reason| unreadable(what, path, &reason))?;
    if chain.is_empty() {
        let file = path.display();
        return Err(settings(&format!(
            "the {what} {file} holds no certificate in PEM form"
        )));
    }
    Ok(chain)
}

fn unreadable(what: &str, path: &Path, reason: &dyn std::fmt::Display) -> Error {
    let file = path.display();
    settings(&format!(
        "cannot read the {what} {file}: {reason}; correct its path or its permissions"
    ))
}
