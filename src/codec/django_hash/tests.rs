//! The hash was computed by Django 3.2, 4.2 and 5.2 alike: `User(password=...).get_session_auth_hash()`.

use super::*;

const SECRET: &str = "not a secret";
const PASSWORD: &str = "pbkdf2_sha256$600000$salt$hash";
const HASH: &str = "4c7d4993e9b2613dbd96a221002d68f99ddebcffbb22f49a3b82f969b3ad7c21";

fn hash(text: &str) -> AuthHash {
    AuthHash(text.to_owned())
}

fn matches(keys: &SecretKeys, password: &str, hash: &AuthHash) -> bool {
    let answers = keys.blocks().iter().map(|blocks| blocks.answer(password));
    let answers: Vec<Vec<u8>> = answers.collect();
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    is_among(&answers, hash)
}

#[test]
fn the_hash_is_djangos() {
    assert!(matches(&SecretKeys::new([SECRET]), PASSWORD, &hash(HASH)));
}

#[test]
fn another_password_or_key_does_not_match() {
    let keys = SecretKeys::new([SECRET]);
    assert!(!matches(
        &keys,
        "pbkdf2_sha256$600000$salt$hasH",
        &hash(HASH)
    ));
    assert!(!matches(&keys, "", &hash(HASH)));
    assert!(!matches(
        &SecretKeys::new(["another"]),
        PASSWORD,
        &hash(HASH)
    ));
    assert!(!matches(&SecretKeys::new([]), PASSWORD, &hash(HASH)));
}

#[test]
fn a_fallback_matches_too() {
    assert!(matches(
        &SecretKeys::new(["new", SECRET]),
        PASSWORD,
        &hash(HASH)
    ));
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
        assert!(!matches(&keys, PASSWORD, &hash(text)), "{text}");
    }
}

#[test]
fn neither_keys_nor_hashes_show() {
    assert_eq!(
        format!("{:?} {:?}", SecretKeys::new([SECRET]), hash(HASH)),
        "SecretKeys AuthHash"
    );
}
