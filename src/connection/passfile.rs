//! `.pgpass`: a line is `host:port:database:user:password`, `*` matches anything, `\` escapes `:` and `\`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The four things that a line of the file is looked up by.
pub(super) struct Login<'a> {
    /// The name of the host, or the directory of the socket.
    pub host: &'a str,
    /// The port.
    pub port: &'a str,
    /// The database.
    pub database: &'a str,
    /// The user.
    pub user: &'a str,
}

/// Reads the file, if it exists and no other user can read it. A file that is open to others is ignored with a warning,
/// as in libpq: the connection may well need no password.
pub(super) fn read(path: &Path) -> Option<String> {
    let found = path.metadata().ok()?;
    if !found.is_file() || found.mode() & 0o077 != 0 {
        let file = path.display();
        tracing::warn!(%file, "the password file is ignored, because it is not a plain file of mode 0600");
        return None;
    }
    std::fs::read_to_string(path)
        .inspect_err(|reason| {
            let file = path.display();
            tracing::warn!(%file, %reason, "the password file is ignored, because it cannot be read");
        })
        .ok()
}

/// The password of the first line that matches.
pub(super) fn password(text: &str, login: &Login) -> Option<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| password_in(line, login))
        .filter(|password| !password.is_empty())
}

fn password_in(line: &str, login: &Login) -> Option<String> {
    let mut rest = line;
    for wanted in [login.host, login.port, login.database, login.user] {
        let (field, after) = split_at_colon(rest)?;
        if field != "*" && unescaped(field) != wanted {
            return None;
        }
        rest = after;
    }
    Some(unescaped(rest))
}

fn split_at_colon(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let colon = text.find(|c| {
        let found = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        found
    })?;
    Some((&text[..colon], &text[colon + 1..]))
}

fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field.chars();
    while let Some(c) = rest.next() {
        // A backslash at the very end stands for itself.
        text.push(if c == '\\' {
            rest.next().unwrap_or(c)
        } else {
            c
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const LOGIN: Login = Login {
        host: "db.example",
        port: "5432",
        database: "shop",
        user: "app",
    };

    #[test]
    fn the_first_line_that_matches_gives_the_password() {
        let text = "# db.example:5432:shop:app:comment\n\
                    other:5432:shop:app:one\n\
                    db.example:5432:*:app:two\n\
                    *:*:*:*:three\n";
        assert_eq!(password(text, &LOGIN).as_deref(), Some("two"));
        assert_eq!(password("db.example:5432:shop\n", &LOGIN), None);
        assert_eq!(password("*:*:*:*:\n", &LOGIN), None);
    }

    #[test]
    fn a_backslash_escapes_colons_stars_and_itself() {
        let login = Login {
            host: "::1",
            database: "*",
            ..LOGIN
        };
        let text = "\\:\\:1:5432:\\*:app:a\\:b\\\\c:d\n";
        assert_eq!(password(text, &login).as_deref(), Some("a:b\\c:d"));
        assert_eq!(password("*:*:\\*:*:secret", &LOGIN), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_ignored() {
        let path =
            std::env::temp_dir().join(format!("session-reaper-pgpass-{}", std::process::id()));
        std::fs::write(&path, "*:*:*:*:x").unwrap();
        let read_with = |mode| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            read(&path)
        };
        assert_eq!(read_with(0o600).as_deref(), Some("*:*:*:*:x"));
        assert_eq!(read_with(0o640), None);
        assert_eq!(read_with(0o604), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(&path), None);
        assert_eq!(read(Path::new("/dev/null")), None);
    }
}
