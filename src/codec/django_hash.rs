//! Whether a session was opened under the password that the user has now, as Django itself checks at each request.
//!
//! Django keeps in each session `HMAC-SHA256(key, user.password)` as hexadecimal digits, where the key is the SHA-256
//! of a fixed salt and `SECRET_KEY` (`AbstractBaseUser.get_session_auth_hash` and `salted_hmac`, since Django 3.1).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::django::AuthHash;

const SALT: &[u8] = b"django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// A site's `SECRET_KEY` and its `SECRET_KEY_FALLBACKS`. Not shown by anything (P7).
pub struct SecretKeys(Vec<Hmac<Sha256>>);

impl SecretKeys {
    /// Takes the keys. Only what is computed from them is kept.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        Self(keys.into_iter().map(derived).collect())
    }

    /// Whether a session carries the hash of this password under one of the keys. The comparison takes the same time
    /// wherever the two differ.
    ///
    /// `false` for a hash of another algorithm or of a user model that computes its own, so it proves a session stale
    /// only on a site where these keys are seen to match other sessions.
    pub fn match_password(&self, password: &str, hash: &AuthHash) -> bool {
        let Some(hash) = digest(&hash.0) else {
            return false;
        };
        let is_under = |key: &Hmac<Sha256>| {
            key.clone()
                .chain_update(password)
                .verify(&hash.into())
                .is_ok()
        };
        self.0.iter().any(is_under)
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("SecretKeys")
    }
}

// A block of the hash, because HMAC fills shorter keys with zeros.
fn derived(secret: &str) -> Hmac<Sha256> {
    let mut key = [0; 64];
    let digest = Sha256::new()
        .chain_update(SALT)
        .chain_update(secret)
        .finalize();
    key[..digest.len()].copy_from_slice(&digest);
    Hmac::new(&key.into())
}

// 64 hexadecimal digits, in lower case as Python writes them.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests;
