use super::*;
use crate::codec::{Codec, Format};
use crate::settings::{EpochUnit, Settings};

fn laid_under(text: &str) -> Result<Settings, Error> {
    let mut table = text.parse().unwrap();
    lay_under(&mut table)?;
    Ok(Settings::deserialize(table).unwrap())
}

fn sentence(text: &str) -> String {
    laid_under(text).unwrap_err().to_string()
}

#[test]
fn every_preset_is_readable() {
    for name in names() {
        let settings = laid_under(&format!("[site]\npreset = \"{name}\"")).unwrap();
        assert_eq!(settings.site.preset, name);
    }
    assert_eq!(names().len(), 17);
}

#[test]
fn every_preset_has_its_source_written_over_it() {
    for name in names() {
        let before = PRESETS.split(&format!("[{name}.site]")).next().unwrap();
        assert!(before.lines().last().unwrap().starts_with("# "), "{name}");
    }
}

#[test]
fn the_usual_one_is_djangos() {
    let settings = laid_under("").unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.site.session_table, "django_session");
    assert_eq!(settings.site.codec, Some(Codec::from(Format::Django)));
}

#[test]
fn a_preset_stands_below_the_operator_and_above_the_defaults() {
    let settings = laid_under(
        "[site]\npreset = \"connect-pg-simple\"\nsession_table = \"web.session\"\n[revoke]\nbatch_rows = 5",
    )
    .unwrap();
    assert_eq!(settings.site.session_table, "web.session");
    assert_eq!(settings.site.session_key, "sid");
    assert_eq!(settings.revoke.batch_rows, 5);
    assert_eq!(settings.revoke.write_back_grace_s, 10);
    assert_eq!(settings.purge, crate::settings::Purge::default());
    let mine = "[site]\npreset = \"scs\"\n[revoke]\nwrite_back_grace_s = 3";
    assert_eq!(laid_under(mine).unwrap().revoke.write_back_grace_s, 3);
}

#[test]
fn a_preset_says_how_entries_are_called_and_not_that_there_is_a_cache() {
    let cache = |lines: &str| laid_under(lines).unwrap().cache;
    let named = |preset: &str| cache(&format!("[cache]\n[site]\npreset = \"{preset}\""));
    for (preset, key) in [
        (
            "django",
            "{key_prefix}:{version}:django.contrib.sessions.cached_db{session_key}",
        ),
        (
            "django-qsessions",
            "{key_prefix}:{version}:qsessions.q_cached_db{session_key}",
        ),
        ("tower-sessions", "{key_prefix}{session_key}"),
        ("better-auth", "{key_prefix}{session_key}"),
    ] {
        assert_eq!(cache(&format!("[site]\npreset = \"{preset}\"")), None);
        assert_eq!(named(preset).unwrap().key.as_deref(), Some(key));
    }
    assert_eq!(named("laravel").unwrap().key, None);
    let mine = cache("[cache]\nkey = \"mine{session_key}\"").unwrap();
    assert_eq!(mine.key.as_deref(), Some("mine{session_key}"));
}

#[test]
fn whoever_knows_how_entries_are_called_says_what_makes_them() {
    for name in names() {
        let knows = find(&name).unwrap().contains_key("cache");
        assert_eq!(cached_by(&name).is_some(), knows, "{name}");
    }
    let said = cached_by("tower-sessions").unwrap();
    assert!(said.contains("CachingSessionStore") && !said.contains("Django"));
}

#[test]
fn another_preset_inherits_nothing_from_djangos() {
    let site = laid_under("[site]\npreset = \"rails-authentication\"")
        .unwrap()
        .site;
    assert_eq!(
        (site.expires_column, site.codec, site.data_column),
        (None, None, None)
    );
    let none = laid_under("[site]\npreset = \"none\"").unwrap().site;
    assert_eq!((none.user_table.as_str(), none.password_column), ("", None));
}

#[test]
fn a_list_takes_the_place_of_the_presets() {
    let text = "[site]\npreset = \"spring-session\"\nwatch = [{ column = \"password\" }]";
    assert_eq!(laid_under(text).unwrap().site.watch.unwrap().len(), 1);
    let text = "[site]\npreset = \"connect-pg-simple\"\nuser_path = [\"userId\"]";
    let site = laid_under(text).unwrap().site;
    assert_eq!(site.user_path.unwrap(), ["userId"]);
    assert_eq!(site.data_column.unwrap(), "sess");
}

#[test]
fn another_way_to_the_user_takes_the_place_of_the_presets() {
    let with = |name, setting: &str| {
        let text = format!("[site]\npreset = \"{name}\"\n{setting}");
        let site = laid_under(&text).unwrap().site;
        (
            site.user_column.is_some(),
            site.data_column.is_some(),
            site.user_path.is_some(),
            site.codec.is_some(),
        )
    };
    assert_eq!(
        with("django", "user_column = \"u\""),
        (true, false, false, false)
    );
    assert_eq!(
        with("django", "user_path = [\"u\"]"),
        (false, true, true, false)
    );
    assert_eq!(
        with("connect-pg-simple", "codec = \"django\""),
        (false, true, false, true)
    );
    assert_eq!(
        with("laravel", "data_column = \"payload\""),
        (false, true, false, false)
    );
}

#[test]
fn what_a_preset_knows_of_its_table_falls_away_for_another_one() {
    let with = |preset: &str, lines: &str| {
        let site = laid_under(&format!("[site]\npreset = \"{preset}\"\n{lines}"));
        site.map(|settings| (settings.site.time_zone, settings.site.lifetime_s))
    };
    let utc = || Some("UTC".to_owned());
    for (preset, lines, known) in [
        (
            "flask-session",
            "session_table = \"flask_sessions\"",
            (None, None),
        ),
        ("flask-session", "expires_column = \"until\"", (None, None)),
        (
            "flask-session",
            "session_table = \"sessions\"",
            (utc(), None),
        ),
        ("flask-session", "session_key = \"id\"", (utc(), None)),
        (
            "rails",
            "session_table = \"logins\"\nlifetime_s = 60",
            (None, Some(60)),
        ),
        (
            "laravel",
            "expires_column = \"until\"\nlifetime_s = 0",
            (None, Some(0)),
        ),
        (
            "phoenix",
            "user_table = \"people\"",
            (utc(), Some(5_184_000)),
        ),
    ] {
        assert_eq!(with(preset, lines).unwrap(), known, "{preset}, {lines}");
    }
}

#[test]
fn a_lifetime_that_falls_away_is_asked_for() {
    for (preset, line) in [
        ("rails", "session_table = \"web.sessions\""),
        ("laravel", "session_table = \"app_sessions\""),
        ("phoenix", "expires_column = \"authenticated_at\""),
    ] {
        let told = sentence(&format!("[site]\npreset = \"{preset}\"\n{line}"));
        let name = line.split(' ').next().unwrap();
        let says =
            format!("site.lifetime_s has to be set, because site.{name} is not the preset's");
        assert!(told.contains(&says), "{told}");
    }
    let told = sentence("[site]\npreset = \"laravel\"\nlifetime_s = 0");
    assert!(told.contains("site.lifetime_s must not be 0"), "{told}");
}

#[test]
fn a_misspelt_preset_names_the_nearest() {
    let told = sentence("[site]\npreset = \"larvel\"");
    assert!(
        told.starts_with("the setting site.preset is none of the presets ("),
        "{told}"
    );
    assert!(told.ends_with("the nearest one is laravel"), "{told}");
    let told = sentence("[site]\npreset = \"postgres://a:s3cret@h/d\"");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn milliseconds_and_seconds_are_told_apart() {
    let unit = |name| {
        let text = format!("[site]\npreset = \"{name}\"");
        laid_under(&text).unwrap().site.expires_unit
    };
    assert_eq!(unit("spring-session"), Some(EpochUnit::EpochMs));
    assert_eq!(unit("laravel"), Some(EpochUnit::EpochS));
}
