//! Django's secret keys, which have their own file, because settings are copied around and looked at.

use crate::codec::{Codec, Format, django_hash::SecretKeys};

use super::{Error, Settings};

/// The keys of `link.secret_key_file`, one a line; none where no file is named.
///
/// # Errors
/// A file that cannot be read or is empty, and a site whose sessions are not Django's.
pub fn secret_keys(settings: &Settings) -> Result<Option<SecretKeys>, Error> {
    let Some(path) = &settings.link.secret_key_file else {
        return Ok(None);
    };
    let refuse = |rule: String| Error::Invalid {
        name: "link.secret_key_file",
        rule,
    };
    if settings.site.codec != Some(Codec::from(Format::Django)) {
        return Err(refuse(
            "is for Django's sessions, and site.codec names others: leave it out".to_owned(),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(format!(
            "names {}, which cannot be read: {error}; correct its path or its permissions",
            path.display()
        ))
    })?;
    let keys: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if keys.is_empty() {
        return Err(refuse(format!(
            "names {}, which is empty: put SECRET_KEY on its first line",
            path.display()
        )));
    }
    Ok(Some(SecretKeys::new(keys)))
}
