//! The formats by name.

use super::{Found, MAX_BYTES, Reason, django, json, laravel, message_pack, rails, scs, symfony};

/// How a session table spells its data, and where in it the user is.
///
/// In settings a name is enough where the format says where its user is; otherwise a table says both.
///
/// ```
/// use session_reaper::codec::{Codec, Format, Found};
///
/// #[derive(serde::Deserialize)]
/// struct Site {
///     codec: Codec,
/// }
/// let site: Site = toml::from_str(r#"codec = "django""#).unwrap();
/// assert_eq!(site.codec, Codec::from(Format::Django));
///
/// let site: Site = toml::from_str(r#"codec = { format = "json", user = ["passport", "user"] }"#).unwrap();
/// assert_eq!(site.codec.find_user(br#"{"passport":{"user":42}}"#), Found::User("42".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The format.
    pub format: Format,
    /// The keys that lead to the user, outermost first; a number picks from a list. Empty: where the format's
    /// framework puts it.
    pub user: Vec<String>,
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `django.contrib.sessions`, today's signed format and the one from before Django 3.1.
    Django,
    /// JSON.
    Json,
    /// MessagePack.
    MessagePack,
    /// `tower-sessions`, of Rust. Unless told otherwise the user is where `axum-login` puts it.
    TowerSessions,
    /// Flask-Session 0.7 and newer. Unless told otherwise the user is where Flask-Login puts it.
    FlaskSession,
    /// `activerecord-session_store`, of Rails. Unless told otherwise the user is where Devise puts it.
    Rails,
    /// Laravel's `payload`. The one key is the beginning of that under which a guard notes its user: `login_` is any
    /// guard, `login_web_` the usual one.
    Laravel,
    /// Symfony's `sess_data`. The two keys are the beginning of the attribute under which a firewall notes its token,
    /// and the property of the user's class that is the key.
    Symfony,
    /// `alexedwards/scs`, of Go, with the codec that it has by default. The one key is the app's own.
    Scs,
}

impl Format {
    /// Where the user is if the settings do not say.
    pub(super) const fn usual_path(self) -> &'static [&'static str] {
        match self {
            Self::Django => &["_auth_user_id"],
            Self::Json | Self::MessagePack | Self::Scs => &[],
            Self::TowerSessions => &["axum-login.data", "user_id"],
            Self::FlaskSession => &["_user_id"],
            Self::Rails => &["warden.user.user.key", "0", "0"],
            Self::Laravel => &["login_"],
            Self::Symfony => &["_security_", "id"],
        }
    }
}

impl From<Format> for Codec {
    fn from(format: Format) -> Self {
        let user = format.usual_path().iter().map(|key| (*key).to_owned());
        Self {
            format,
            user: user.collect(),
        }
    }
}

impl Codec {
    /// Finds the user in a session's data, whatever the data is.
    pub fn find_user(&self, data: &[u8]) -> Found {
        if data.len() > MAX_BYTES {
            return Found::Unreadable(Reason::TooLarge);
        }
        match self.format {
            Format::Django => django::find_user(data, &self.user),
            Format::Json => json::find_user(data, &self.user),
            Format::MessagePack => message_pack::find_user(data, &self.user),
            Format::TowerSessions => message_pack::find_in_record(data, &self.user),
            Format::FlaskSession => message_pack::find_in_flask(data, &self.user),
            Format::Rails => rails::find_user(data, &self.user),
            Format::Laravel => laravel::find_user(data, &self.user),
            Format::Symfony => symfony::find_user(data, &self.user),
            Format::Scs => scs::find_user(data, &self.user),
        }
    }
}
