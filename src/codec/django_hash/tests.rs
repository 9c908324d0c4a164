//! The hash was computed by Django 3.2, 4.2 and 5.2 alike: `User(password=...).get_session_auth_hash()`.

use super::*;

const SECRET: &str = "not a secret";
const PASSWORD: &str = "pbkdf2_sha256$600000$salt$hash";
const HASH: &str = "4c7d4993e9b2613dbd96a221002d68f99ddebcffbb22f49a3b82f969b3ad7c21";

fn hash(text: &str) -> AuthHash {
    AuthHash(text.to_owned())
}

#[test]
fn the_hash_is_djangos() {
    assert!(SecretKeys::new([SECRET]).match_password(PASSWORD, &hash(HASH)));
}

#[test]
fn another_password_or_key_does_not_match() {
    let keys = SecretKeys::new([SECRET]);
    assert!(!keys.match_password("pbkdf2_sha256$600000$salt$hasH", &hash(HASH)));
    assert!(!keys.match_password("", &hash(HASH)));
    assert!(!SecretKeys::new(["another"]).match_password(PASSWORD, &hash(HASH)));
    assert!(!SecretKeys::new([]).match_password(PASSWORD, &hash(HASH)));
}

#[test]
fn a_fallback_matches_too() {
    assert!(SecretKeys::new(["new", SECRET]).match_password(PASSWORD, &hash(HASH)));
}

#[test]
fn what_is_no_such_hash_never_matches() {
    let keys = SecretKeys::new([SECRET]);
    for text in [
        "",
        &HASH[..62],
        &HASH[..63],
        &format!("{HASH}00"),
        &HASH.to_uppercase(),
        &HASH.replace('4', "\u{fc}"),
    ] {
        assert!(!keys.match_password(PASSWORD, &hash(text)), "{text}");
    }
}

#[test]
fn neither_keys_nor_hashes_show() {
    assert_eq!(
        format!("{:?} {:?}", SecretKeys::new([SECRET]), hash(HASH)),
        "SecretKeys AuthHash"
    );
}
