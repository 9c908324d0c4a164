//! Whether a session was opened under the password that the user has now, as Django itself checks at each request.
//!
//! Django keeps in each session `HMAC-SHA256(key, user.password)` as hexadecimal digits, where the key is the SHA-256
//! of a fixed salt and `SECRET_KEY` (`AbstractBaseUser.get_session_auth_hash` and `salted_hmac`, since Django 3.1).

use std::fmt;

use sha2::{Digest, Sha256};

use super::django::AuthHash;

const SALT: &[u8] = b"django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// The bytes that SHA-256 takes at once.
const BLOCK: usize = 64;

/// A site's `SECRET_KEY` and its `SECRET_KEY_FALLBACKS`. Not shown by anything (P7).
pub struct SecretKeys(Vec<Blocks>);

/// What HMAC makes of a key. The database, which has the password and must not hand it out, does the rest with it:
/// `sha256(outer || sha256(inner || password))`.
pub struct Blocks {
    /// What is put before the password.
    pub inner: [u8; BLOCK],
    /// What is put before the digest of that.
    pub outer: [u8; BLOCK],
}

impl Blocks {
    /// What the database answers, for tests.
    #[doc(hidden)]
    pub fn answer(&self, password: &str) -> Vec<u8> {
        let inner = Sha256::new()
            .chain_update(self.inner)
            .chain_update(password);
        let outer = Sha256::new().chain_update(self.outer);
        outer.chain_update(inner.finalize()).finalize().to_vec()
    }
}

impl SecretKeys {
    /// Takes the keys. Only what is computed from them is kept.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        Self(keys.into_iter().map(derived).collect())
    }

    /// One for each key.
    pub fn blocks(&self) -> &[Blocks] {
        &self.0
    }
}

/// Whether a session carries one of these answers: the hashes of its user's password under each of the keys. The comparison
/// takes the same time wherever two differ.
///
/// `false` for a hash of another algorithm or of a user model that computes its own, so it proves a session stale
/// only on a site where these keys are seen to match other sessions.
pub fn is_among(answers: &[&[u8]], hash: &AuthHash) -> bool {
    let Some(hash) = digest(&hash.0) else {
        return false;
    };
    let is_equal = |answer: &[u8]| {
        let differing = |differing, (one, other): (&u8, &u8)| differing | (one ^ other);
        answer.len() == hash.len() && answer.iter().zip(&hash).fold(0, differing) == 0
    };
    answers.iter().any(|answer| is_equal(answer))
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("SecretKeys")
    }
}

// A block of the hash, because HMAC fills shorter keys with zeros.
fn derived(secret: &str) -> Blocks {
    let digest = Sha256::new()
        .chain_update(SALT)
        .chain_update(secret)
        .finalize();
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK];
        for (byte, key) in block.iter_mut().zip(&digest) {
            *byte ^= key;
        }
        block
    };
    Blocks {
        inner: padded(0x36),
        outer: padded(0x5c),
    }
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
