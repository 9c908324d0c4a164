use super::*;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::time::Duration;

/// The self-signed kind of PostgreSQL's manual: an authority by its own account, with a common name only.
const SELF_SIGNED: &str = "self-signed.pem";
/// Signed by `authority.pem`, for db.example and 127.0.0.1, with another common name.
const VOUCHED_FOR: &str = "vouched-for.pem";
const VERSION_1: &str = "version-1.pem";
/// The year 2050, in which all of them are valid, and 2200, in which none is.
const NOW: u64 = 2_524_608_000;
const LATER: u64 = 7_258_118_400;

fn file(name: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/connection/tls/tests");
    tests.join(name).to_str().unwrap().to_owned()
}

fn options(mode: &str, root: Option<&str>) -> Options {
    Options {
        mode: Some(mode.to_owned()),
        root: root.map(file),
        certificate: None,
        key: None,
        is_direct: false,
        names_host: true,
        home: None,
    }
}

fn accepts_at(now: u64, options: &Options, shown: &str, name: &str) -> bool {
    let mode = Mode::read(options.mode.as_deref(), options.root.as_deref()).unwrap();
    let verifier = CertificateVerifier {
        trusted: options.trusted(mode).unwrap(),
        algorithms: ring::default_provider().signature_verification_algorithms,
    };
    let shown = CertificateDer::from_pem_file(file(shown)).unwrap();
    let name = ServerName::try_from(name).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    verifier
        .verify_server_cert(&shown, &[], &name, &[], now)
        .is_ok()
}

fn accepts(mode: &str, root: Option<&str>, shown: &str, name: &str) -> bool {
    accepts_at(NOW, &options(mode, root), shown, name)
}

fn told(options: &Options) -> String {
    options
        .configure(true)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn prefer_and_require_encrypt_without_asking_who_it_is() {
    for mode in ["allow", "prefer", "require"] {
        for shown in [SELF_SIGNED, VOUCHED_FOR, VERSION_1] {
            assert!(
                accepts(mode, None, shown, "anything.example"),
                "{mode} {shown}"
            );
        }
    }
    assert!(accepts(
        "prefer",
        Some("authority.pem"),
        SELF_SIGNED,
        "db.example"
    ));
}

#[test]
fn with_a_root_certificate_require_means_verify_ca() {
    for mode in ["require", "verify-ca"] {
        assert!(
            accepts(mode, Some("authority.pem"), VOUCHED_FOR, "anything.example"),
            "{mode}"
        );
        assert!(
            !accepts(mode, Some("authority.pem"), SELF_SIGNED, "db.example"),
            "{mode}"
        );
        assert!(
            !accepts(mode, Some(SELF_SIGNED), VOUCHED_FOR, "db.example"),
            "{mode}"
        );
    }
    let usual = Options {
        home: Some(file("home").into()),
        ..options("require", None)
    };
    assert!(!accepts_at(NOW, &usual, SELF_SIGNED, "db.example"));
    assert!(accepts_at(NOW, &usual, VOUCHED_FOR, "anything.example"));
}

#[test]
fn verify_full_checks_the_name_as_well() {
    let accepts = |shown, name| accepts("verify-full", Some("authority.pem"), shown, name);
    assert!(accepts(VOUCHED_FOR, "db.example"));
    assert!(accepts(VOUCHED_FOR, "127.0.0.1"));
    assert!(!accepts(VOUCHED_FOR, "127.0.0.2"));
    // Its common name, which does not count beside alternative names.
    assert!(!accepts(VOUCHED_FOR, "other.example"));
    assert!(!accepts(SELF_SIGNED, "db.example"));
}

#[test]
fn a_certificate_that_the_file_names_needs_nobody_to_vouch_for_it() {
    for shown in [SELF_SIGNED, VERSION_1] {
        assert!(
            accepts("verify-ca", Some(shown), shown, "anything.example"),
            "{shown}"
        );
        assert!(
            accepts("verify-full", Some(shown), shown, "DB.example"),
            "{shown}"
        );
        assert!(
            !accepts("verify-full", Some(shown), shown, "other.example"),
            "{shown}"
        );
    }
}

#[test]
fn a_certificate_that_ran_out_is_refused() {
    for (root, shown) in [("authority.pem", VOUCHED_FOR), (SELF_SIGNED, SELF_SIGNED)] {
        for now in [0, LATER] {
            let options = options("verify-ca", Some(root));
            assert!(!accepts_at(now, &options, shown, "db.example"), "{shown}");
        }
    }
}

#[test]
fn the_roots_of_the_system_count_only_together_with_the_name() {
    let system = Some("system");
    assert_eq!(Mode::read(None, system).ok(), Some(Mode::VerifyFull));
    assert_eq!(Mode::read(None, None).ok(), Some(Mode::Prefer));
    for weak in ["prefer", "require", "verify-ca"] {
        assert!(Mode::read(Some(weak), system).is_err(), "{weak}");
    }
}

#[test]
fn what_cannot_be_used_is_told_in_a_sentence() {
    assert!(
        told(&options("s3cret", None))
            .contains("disable, allow, prefer, require, verify-ca or verify-full")
    );
    assert!(!told(&options("s3cret", None)).contains("s3cret"));
    assert!(
        told(&options("verify-ca", Some("missing.pem")))
            .starts_with("cannot read the root certificate ")
    );
    assert!(
        told(&options("require", Some("../mod.rs"))).contains("holds no certificate in PEM form")
    );
    let with_certificate = |key: Option<&str>| Options {
        certificate: Some(file(SELF_SIGNED)),
        key: key.map(file),
        ..options("require", None)
    };
    let missing = options("verify-ca", Some("missing.pem"));
    assert!(missing.configure(false).is_ok());
    assert!(told(&with_certificate(None)).contains("name the file of its key as sslkey"));
    assert!(told(&with_certificate(Some(SELF_SIGNED))).starts_with("cannot read the client key "));
}
