use super::*;
use crate::settings::LogFormat;

const NOTHING: [(&str, &str); 0] = [];

fn from_text(text: &str) -> Result<Settings, Error> {
    from_text_and(text, &Environment::from(NOTHING))
}

// Tests run in parallel in one process, so the name is made of the text as well.
fn from_text_and(text: &str, environment: &Environment) -> Result<Settings, Error> {
    use std::hash::{BuildHasher, RandomState};
    let name = format!(
        "session-reaper-settings-{:x}.toml",
        RandomState::new().hash_one(text)
    );
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    let settings = load(Some(&path), environment);
    std::fs::remove_file(&path).unwrap();
    settings
}

fn from_variables<const N: usize>(variables: [(&str, &str); N]) -> Result<Settings, Error> {
    load(None, &Environment::from(variables))
}

fn sentence(result: Result<Settings, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn without_a_file_the_defaults_hold_and_keep_every_rule() {
    assert_eq!(
        load(None, &Environment::from(NOTHING)).unwrap(),
        Settings::default()
    );
}

#[test]
fn a_variable_wins_over_the_file() {
    let environment = Environment::from([("SESSION_REAPER_LISTEN_HEARTBEAT_S", "7")]);
    let settings = from_text_and(
        "[listen]\nheartbeat_s = 3\npoll_interval_s = 9\n",
        &environment,
    )
    .unwrap();
    assert_eq!(
        (settings.listen.heartbeat_s, settings.listen.poll_interval_s),
        (7, 9)
    );
}

#[test]
fn the_argument_wins_over_the_variable_that_names_a_file() {
    let environment = Environment::from([("SESSION_REAPER_CONFIG", "/does/not/exist")]);
    assert!(from_text_and("[log]\nlevel = \"debug\"\n", &environment).is_ok());
    assert!(
        sentence(load(None, &environment))
            .starts_with("cannot read the settings file /does/not/exist: ")
    );
}

#[test]
fn variables_take_the_type_of_their_setting() {
    let settings = from_variables([
        ("SESSION_REAPER_SITE_USER_TABLE", "2024"),
        ("SESSION_REAPER_LISTEN_HAND_REQUESTS", "false"),
        ("SESSION_REAPER_PURGE_PAUSE_RATIO", "2"),
        ("SESSION_REAPER_LOG_FORMAT", "json"),
        ("SESSION_REAPER_SITE_APP_ROLES", "web, worker"),
        ("SESSION_REAPER_PG_BINDIR", "/not/a/setting"),
        ("SESSION_REAPER_DATABASE_POOL_SIZE", ""),
    ])
    .unwrap();
    assert_eq!(settings.site.user_table, "2024");
    assert!(!settings.listen.hand_requests);
    assert_eq!(settings.purge.pause_ratio, 2.0);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.site.app_roles, ["web", "worker"]);
    assert_eq!(settings.database.pool_size, 4);
}

#[test]
fn a_list_may_be_a_toml_array_or_one_item() {
    let roles = |text| {
        from_variables([("SESSION_REAPER_SITE_APP_ROLES", text)])
            .unwrap()
            .site
            .app_roles
    };
    assert_eq!(roles(r#"["a,b", "c"]"#), ["a,b", "c"]);
    assert_eq!(roles("web"), ["web"]);
}

#[test]
fn an_unknown_name_in_the_file_names_its_line_and_the_nearest_one() {
    let told = sentence(from_text("[revoke]\n\nbach_rows = 5\n"));
    assert!(told.starts_with("line 3 of the settings file "), "{told}");
    assert!(
        told.ends_with("`bach_rows` is not known; the nearest known name is `batch_rows`"),
        "{told}"
    );
    let told = sentence(from_text("[databse]\npool_size = 5\n"));
    assert!(
        told.ends_with("the nearest known name is `database`"),
        "{told}"
    );
}

#[test]
fn an_unknown_variable_names_the_nearest_one() {
    assert_eq!(
        sentence(from_variables([("SESSION_REAPER_REVOKE_BATCHROWS", "5")])),
        "the variable SESSION_REAPER_REVOKE_BATCHROWS is wrong: no such setting is known; \
         the nearest known one is SESSION_REAPER_REVOKE_BATCH_ROWS"
    );
    assert!(
        sentence(from_variables([("SESSION_REAPER_CONFG", "x")]))
            .ends_with("SESSION_REAPER_CONFIG")
    );
}

#[test]
fn no_error_quotes_a_connection_string() {
    let texts = [
        "[database]\nurl = \"postgres://a:s3cret@h/d\n",
        "[database]\nurl = postgres://a:s3cret@h/d\n",
        "[database]\npool_size = \"postgres://a:s3cret@h/d\"\n",
        "database = \"postgres://a:s3cret, expected u32@h/d\"\n",
        "[database]\nurl = [\"postgres://a:s3cret@h/d\"]\nurl = \"postgres://a:s3cret@h/d\"\n",
        "[log]\nformat = \"s3cret\"\n",
        "[log]\nlevel = \"s3cret\"\n",
    ];
    for text in texts {
        let error = from_text(text).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
    let error = from_variables([("SESSION_REAPER_DATABASE_POOL_SIZE", "s3cret")]).unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("s3cret"),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .ends_with("it has to be a whole number, 0 or more"),
        "{error}"
    );
    let settings =
        from_variables([("SESSION_REAPER_DATABASE_URL", "postgres://a:s3cret@h/d")]).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn every_rule_is_kept() {
    let broken = [
        ("DATABASE_POOL_SIZE", "2"),
        ("DATABASE_CONNECT_TIMEOUT_S", "0"),
        ("DATABASE_STATEMENT_TIMEOUT_S", "0"),
        ("SITE_USER_TABLE", " "),
        ("SITE_SESSION_KEY", "a\0b"),
        ("SITE_APP_ROLES", "web,"),
        ("SITE_PRESET", "djanga"),
        ("SITE_LIFETIME_S", "315360001"),
        ("SITE_TIME_ZONE", " "),
        ("SITE_USER_PATH", "[]"),
        ("SITE_USER_PATH", "[\"a\", \"\"]"),
        ("LISTEN_HEARTBEAT_S", "3601"),
        ("LISTEN_POLL_INTERVAL_S", "0"),
        ("REVOKE_BATCH_ROWS", "100001"),
        ("REVOKE_WRITE_BACK_GRACE_S", "86401"),
        ("REVOKE_SETTLE_CAP_S", "0"),
        ("PURGE_SCHEDULE", "*/5 * * * *"),
        ("PURGE_BATCH_ROWS", "0"),
        ("PURGE_PAUSE_RATIO", "nan"),
        ("PURGE_PAUSE_RATIO", "inf"),
        ("PURGE_RETENTION_D", "36501"),
        ("LOG_LEVEL", "inof"),
        ("LOG_LEVEL", "session_reaper=loud"),
    ];
    for (name, value) in broken {
        let error =
            from_variables([(format!("SESSION_REAPER_{name}").as_str(), value)]).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{name}: {error}");
    }
}

#[test]
fn an_empty_schedule_and_a_filter_are_fine() {
    let settings =
        from_text("[purge]\nschedule = \"\"\n[log]\nlevel = \"warn,session_reaper=debug\"\n");
    assert_eq!(settings.unwrap().purge.schedule, "");
}

#[test]
fn what_a_preset_does_not_know_has_to_be_named() {
    let preset = |name| from_text(&format!("[site]\npreset = \"{name}\""));
    assert_eq!(
        sentence(preset("none")),
        "the setting site.user_table has to be set: the preset none does not know it"
    );
    let told = sentence(from_text(
        "[site]\npreset = \"scs\"\nuser_table = \"users\"",
    ));
    assert_eq!(
        told,
        "the setting site.password_column has to be set: the preset scs does not know it"
    );
    // Auth.js has no passwords, which is not the same as not knowing.
    assert!(preset("authjs").is_ok());
}

#[test]
fn half_a_way_to_the_user_and_two_of_them_are_refused() {
    let site = |lines: &str| {
        let names = "user_table = \"u\"\npassword_column = \"p\"\nsession_table = \"s\"\nsession_key = \"k\"";
        from_text(&format!("[site]\npreset = \"none\"\n{names}\n{lines}\n"))
    };
    for (lines, says) in [
        (
            "user_path = [\"a\"]",
            "site.user_path needs site.data_column",
        ),
        ("codec = \"django\"", "site.codec needs site.data_column"),
        (
            "data_column = \"d\"",
            "site.data_column does not say where in the data the user is",
        ),
        (
            "user_column = \"c\"\ndata_column = \"d\"",
            "site.data_column contradicts site.user_column",
        ),
        (
            "user_column = \"c\"\nuser_path = [\"a\"]",
            "site.user_path contradicts site.user_column",
        ),
        (
            "user_column = \"c\"\ncodec = \"django\"",
            "site.codec contradicts site.user_column",
        ),
        (
            "data_column = \"d\"\nuser_path = [\"a\"]\ncodec = \"django\"",
            "site.user_path contradicts site.codec",
        ),
        (
            "data_column = \"d\"\nuser_path = []",
            "site.user_path names no key",
        ),
        (
            "time_zone = \"UTC\"",
            "site.time_zone needs site.expires_column",
        ),
        (
            "expires_unit = \"epoch_s\"",
            "site.expires_unit needs site.expires_column",
        ),
        (
            "lifetime_s = 1",
            "site.lifetime_s needs site.expires_column",
        ),
    ] {
        let told = sentence(site(lines));
        assert!(told.contains(says), "{lines}: {told}");
    }
    for lines in [
        "",
        "user_column = \"c\"",
        "data_column = \"d\"\nuser_path = [\"a\", \"0\"]",
        "data_column = \"d\"\ncodec = { format = \"json\", user = [\"id\"] }",
        "expires_column = \"e\"\nexpires_unit = \"epoch_ms\"\nlifetime_s = 60",
    ] {
        site(lines).unwrap();
    }
}

#[test]
fn half_a_cache_and_one_that_contradicts_itself_are_refused() {
    let cache = |lines: &str| from_text(&format!("[cache]\n{lines}\n"));
    let redis = "servers = [\"redis://h\"]";
    let sentinel = "kind = \"redis_sentinel\"\nservers = [\"redis://h\"]";
    for (lines, says) in [
        ("", "cache.servers has to be set"),
        ("servers = []", "cache.servers has to be set"),
        (sentinel, "cache.sentinel_master has to be set"),
        ("kind = \"table\"", "cache.table has to be set"),
        (
            "kind = \"in_process\"\nservers = [\"redis://h\"]",
            "cache.servers does not go with this cache.kind",
        ),
        (
            "kind = \"memcached\"\nservers = [\"h\"]\nuser = \"u\"",
            "cache.user is for Redis",
        ),
        (
            "kind = \"memcached\"\nservers = [\"h\"]\nmin_replicas = 0",
            "cache.min_replicas is for Redis",
        ),
        (
            "servers = [\"redis://h\"]\nsentinel_user = \"u\"",
            "cache.sentinel_user is for cache.kind = \"redis_sentinel\"",
        ),
        (
            "servers = [\"redis://h\"]\ntable = \"t\"",
            "cache.table is for cache.kind = \"table\"",
        ),
        (
            "servers = [\"redis://h\"]\nkey = \"sessions\"",
            "cache.key has no {session_key}",
        ),
        (
            "servers = [\"redis://h\"]\nkey = \"{user}{session_key}\"",
            "cache.key has a placeholder that is not known",
        ),
        (
            "servers = [\"redis://h\"]\n[site]\npreset = \"laravel\"",
            "cache.key has to be set",
        ),
        (
            "servers = [\"redis://h\"]\ntimeout_s = 0",
            "cache.timeout_s has to be from 1",
        ),
        ("kind = \"reddis\"", "it has to be one of `redis`"),
    ] {
        let told = sentence(cache(lines));
        assert!(told.contains(says), "{lines}: {told}");
    }
    for lines in [
        redis,
        "kind = \"memcached\"\nservers = [\"h:11211\", \"/run/m.sock\"]",
        "kind = \"redis_cluster\"\nservers = [\"redis://h\"]\nmin_replicas = 0",
        "kind = \"in_process\"\n[site]\npreset = \"laravel\"",
        "kind = \"table\"\ntable = \"django_cache\"",
        &format!("{sentinel}\nsentinel_master = \"m\""),
    ] {
        let told = cache(lines);
        assert!(told.is_ok(), "{lines}: {told:?}");
    }
}

#[test]
fn a_cache_may_be_named_by_variables_and_its_password_is_not_shown() {
    let settings = from_variables([
        (
            "SESSION_REAPER_CACHE_SERVERS",
            "redis://a:s3cret@h/1,redis://a:s3cret@i",
        ),
        ("SESSION_REAPER_CACHE_KEY_PREFIX", "s3cret"),
    ])
    .unwrap();
    let cache = settings.cache.as_ref().unwrap();
    assert_eq!(cache.servers.len(), 2);
    assert!(!format!("{settings:?}").contains("s3cret"));
    let told = sentence(from_text("[cache]\nservers = \"redis://a:s3cret@h\"\n"));
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn a_misspelt_unit_is_told_what_there_is() {
    let told = sentence(from_text("[site]\nexpires_unit = \"seconds\""));
    assert!(
        told.ends_with("it has to be one of `epoch_s`, `epoch_ms`")
            || told.ends_with("it has to be `epoch_s` or `epoch_ms`"),
        "{told}"
    );
}
