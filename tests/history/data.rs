//! What Django writes into a session: `base64url(json):timestamp:signature`, by `django.core.signing.dumps`.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// Data of a session of this user's, or of a visitor whom nobody knows. Different for each `salt`; with none, a
/// visitor's is the empty one that Django opens sessions with.
///
/// Nobody checks the signature, so it says whose the session is: a client that saves it can see to it that it still is.
pub fn session_data(user: Option<i32>, salt: Option<u64>) -> String {
    let mut fields = Vec::new();
    if let Some(user) = user {
        fields.push(format!("\"_auth_user_id\":\"{user}\""));
        fields.push("\"_auth_user_hash\":\"\"".to_owned());
    }
    if let Some(salt) = salt {
        fields.push(format!("\"seen\":{salt}"));
    }
    let json = format!("{{{}}}", fields.join(","));
    let packed = BASE64_URL_SAFE_NO_PAD.encode(json);
    format!("{packed}:1tkLwQ:{}", owner(user))
}

/// How data of this user's ends.
pub fn owner(user: Option<i32>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| format!("user{user}"))
}
