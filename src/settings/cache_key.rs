//! What the entry of a session is called in the cache.

use crate::settings;

const SESSION_KEY: &str = "{session_key}";

const UNKNOWN: &str = "has a placeholder that is not known: there are {key_prefix}, {version} and {session_key}, and {} for an opening brace";

/// How the entries of sessions are called.
#[derive(Clone, Debug)]
pub struct Names {
    /// The texts around the session keys; there is one more text than keys.
    pieces: Vec<String>,
}

impl Names {
    /// Fills in everything but the session key.
    ///
    /// # Errors
    /// What is wrong with `cache.key`, as the end of a sentence.
    pub fn of(settings: &settings::Cache) -> Result<Self, &'static str> {
        let template = settings.key.as_deref().unwrap_or_default();
        if template.is_empty() {
            return Err(
                "has to be set: the preset does not know how the cache calls the entry of a session, such as {key_prefix}{session_key}",
            );
        }
        if !template.contains(SESSION_KEY) {
            return Err(
                "has no {session_key} in it, so that every session would have the same entry",
            );
        }
        // Piece by piece, so that braces in a prefix stay what they are.
        let pieces = template
            .split(SESSION_KEY)
            .map(|piece| filled_in(piece, settings));
        let mut pieces: Vec<String> = pieces.collect::<Result<_, _>>()?;
        pieces[0].insert_str(0, &settings.backend_prefix);
        Ok(Self { pieces })
    }

    /// The texts around and between the session key, for a caller that puts the key in itself.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// The entry of a session.
    pub fn entry(&self, session_key: &str) -> String {
        self.pieces.join(session_key)
    }

    /// A key that looks like an entry and is none.
    pub(crate) fn marker(&self, nth: u32) -> String {
        self.entry(&format!("session-reaper-{nth}"))
    }
}

fn filled_in(piece: &str, settings: &settings::Cache) -> Result<String, &'static str> {
    let mut filled = String::new();
    let mut rest = piece;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, behind)) = behind.split_once('}') else {
            return Err(UNKNOWN);
        };
        match name {
            "key_prefix" => filled.push_str(&settings.key_prefix),
            "version" => filled.push_str(&settings.version.to_string()),
            // How a hash tag of a cluster is written, and everything else in braces.
            "" => filled.push('{'),
            _ => return Err(UNKNOWN),
        }
        rest = behind;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> Result<String, &'static str> {
        let settings = settings::Cache {
            key: Some(key.to_owned()),
            key_prefix: "shop{version}".to_owned(),
            version: 2,
            backend_prefix: "b/".to_owned(),
            ..settings::Cache::default()
        };
        Ok(Names::of(&settings)?.entry("abc"))
    }

    #[test]
    fn djangos_entries_are_called_as_django_calls_them() {
        let django = "{key_prefix}:{version}:django.contrib.sessions.cached_db{session_key}";
        let plain = settings::Cache {
            key: Some(django.to_owned()),
            ..settings::Cache::default()
        };
        assert_eq!(
            Names::of(&plain).unwrap().entry("abc"),
            ":1:django.contrib.sessions.cached_dbabc"
        );
        assert_eq!(
            entry(django).unwrap(),
            "b/shop{version}:2:django.contrib.sessions.cached_dbabc"
        );
    }

    #[test]
    fn what_is_filled_in_is_not_read_again_and_a_key_may_stand_twice() {
        assert_eq!(
            entry("{key_prefix}{session_key}/{session_key}}").unwrap(),
            "b/shop{version}abc/abc}"
        );
        assert_eq!(entry("{}{session_key}}:s").unwrap(), "b/{abc}:s");
    }

    #[test]
    fn an_unknown_placeholder_and_a_key_without_the_session_are_refused() {
        for key in [
            "{session}",
            "x{session_key}{user}",
            "{session_key}{version",
            "",
        ] {
            assert!(entry(key).unwrap_err().starts_with("has "));
        }
    }
}
