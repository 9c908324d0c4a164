//! A session as Django writes it: a random key, and data that are signed but not encrypted.

const HEX: &str = "0123456789abcdef";
const BASE36: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A key such as Django's `SessionStore` draws. What keeps the sessions of this site secret is the directory
/// of its socket, not the generator.
pub fn key() -> String {
    random(BASE36, 32)
}

/// What the session of a logged-in user holds.
pub fn of_user(id: i32) -> String {
    signed(&format!(
        r#"{{"_auth_user_id":"{id}","_auth_user_backend":"django.contrib.auth.backends.ModelBackend","_auth_user_hash":"{}"}}"#,
        random(HEX, 64),
    ))
}

/// What the session of a visitor who is not logged in holds.
pub fn of_nobody() -> String {
    signed(r#"{"next":"/checkout/"}"#)
}

/// A password hash as Django's default hasher writes it, of no password at all.
pub fn password_hash() -> String {
    format!(
        "pbkdf2_sha256$1000000${}${}=",
        random(BASE62, 22),
        random(BASE62, 43)
    )
}

// django.core.signing.dumps(): data, time and signature. The signature is made up, since there is no secret key.
fn signed(json: &str) -> String {
    let now_s = chrono::Utc::now().timestamp().unsigned_abs();
    format!(
        "{}:{}:{}",
        base64url(json.as_bytes()),
        base62(now_s),
        random(BASE64URL, 43)
    )
}

fn random(alphabet: &str, length: usize) -> String {
    let draw = || digit(alphabet, fastrand::usize(..alphabet.len()));
    std::iter::repeat_with(draw).take(length).collect()
}

fn digit(alphabet: &str, value: usize) -> char {
    char::from(alphabet.as_bytes()[value])
}

fn base62(mut number: u64) -> String {
    let mut reversed = Vec::new();
    while number > 0 {
        reversed.push(digit(BASE62, (number % 62) as usize));
        number /= 62;
    }
    reversed.into_iter().rev().collect()
}

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        // Three bytes are four digits; what is short of three is short of digits, since Django leaves out the padding.
        for place in 0..=chunk.len() {
            text.push(digit(BASE64URL, bits >> (18 - 6 * place) & 63));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_read_as_django_writes_them() {
        assert_eq!(base64url(b""), "");
        assert_eq!(base64url(b"f"), "Zg");
        assert_eq!(base64url(b"fo"), "Zm8");
        assert_eq!(base64url(b"foo"), "Zm9v");
        assert_eq!(base64url(br#"{"next":"/"}"#), "eyJuZXh0IjoiLyJ9");
        assert_eq!(base64url(b"\xff\xef\xbf"), "_--_");
        // What signing.b62_encode() makes of it.
        assert_eq!(base62(1_795_469_611), "1xVbfH");
        assert_eq!(of_user(7).split(':').count(), 3);
    }
}
