//! Nothing alive is purged because of a zone, a night on which clocks change, or a unit.

use session_reaper::{
    process::shutdown::Stop,
    purge::purger::Purger,
    schema::{self, Site},
    settings::{self, EpochUnit, Purge},
};
use tokio_postgres::Client;

use crate::stage::{Database, connect, server, target};

/// A site with one table of sessions, whose column "at" says when they expire.
struct Sessions {
    database: Database,
    settings: settings::Site,
}

impl Sessions {
    async fn create(sql_type: &str) -> Self {
        let database = Database::create_empty(server()).await;
        database
            .batch_execute(&format!(
                "create table users (id integer primary key, password text);
                create table sessions (key text primary key, at {sql_type}, at_ms bigint);
                create index on sessions (at)"
            ))
            .await
            .unwrap();
        Self {
            database,
            settings: settings::Site {
                user_table: "users".to_owned(),
                session_table: "sessions".to_owned(),
                session_key: "key".to_owned(),
                expires_column: Some("at".to_owned()),
                data_column: None,
                codec: None,
                ..settings::Site::default()
            },
        }
    }

    async fn in_zone(zone: &str) -> Self {
        let mut sessions = Self::create("timestamp").await;
        sessions.settings.time_zone = Some(zone.to_owned());
        sessions
    }

    async fn in_unit(sql_type: &str, unit: EpochUnit) -> Self {
        let mut sessions = Self::create(sql_type).await;
        sessions.settings.expires_unit = Some(unit);
        sessions
    }

    async fn migrate(&self) -> Result<schema::Installed, schema::Error> {
        schema::migrate(&self.database.target(), &self.settings).await
    }

    /// What a daemon says that starts now.
    async fn checked(&self) -> Result<Site, schema::Error> {
        let site = schema::check(&self.database.client, &self.settings).await?;
        schema::check_expiry(&self.database.client, &site).await?;
        Ok(site)
    }

    async fn insert(&self, key: &str, at: &str) {
        let insert = format!("insert into sessions values ('{key}', {at})");
        self.database.batch_execute(&insert).await.unwrap();
    }

    /// Purges as a daemon with this connection string would, and asserts that it counts what it deletes.
    async fn purge_as(&self, url: &str) -> u64 {
        let site = Site::inspect(&self.database.client, &self.settings)
            .await
            .unwrap();
        let purger = Purger::new(target(url).database().unwrap(), &site);
        let counted = purger.count_expired().await.unwrap();
        let settings = Purge {
            batch_rows: 2,
            pause_ratio: 0.0,
            ..Purge::default()
        };
        let report = purger.purge(&settings, &Stop::default(), |_| {}).await;
        let deleted = report.unwrap().sessions;
        assert_eq!(i64::try_from(deleted).unwrap(), counted);
        deleted
    }

    async fn purge(&self) -> u64 {
        self.purge_as(self.database.url()).await
    }

    async fn left(&self) -> String {
        let list = "select coalesce(string_agg(key, ' ' order by key), '') from sessions";
        self.database.query_one(list, &[]).await.unwrap().get(0)
    }

    async fn refused(&self, says: &[&str]) {
        let sentence = self.migrate().await.unwrap_err().to_string();
        for part in says {
            assert!(sentence.contains(part), "{sentence} does not say {part}");
        }
    }
}

/// As connect-pg-simple writes them: the server converts, in the zone of the app's connection.
async fn write_sessions(app: &Client) {
    for (key, offset) in [
        ("a", "1 minute"),
        ("b", "3 hours"),
        ("c", "13 hours"),
        ("x", "-1 minute"),
        ("y", "-3 hours"),
        ("z", "-13 hours"),
    ] {
        let insert = format!(
            "insert into sessions values ('{key}', to_timestamp(extract(epoch from now() + interval '{offset}')))"
        );
        app.batch_execute(&insert).await.unwrap();
    }
}

#[tokio::test]
async fn an_apps_zone_holds_whatever_that_of_the_daemon_and_the_server_is() {
    for zone in ["America/New_York", "Asia/Tokyo"] {
        let sessions = Sessions::in_zone(zone).await;
        let database = &sessions.database;
        let default = format!(
            "alter database {} set timezone = 'Australia/Lord_Howe'",
            database.name()
        );
        database.batch_execute(&default).await.unwrap();
        sessions.migrate().await.unwrap();
        let app = connect(database.url()).await;
        app.batch_execute(&format!("set timezone = '{zone}'"))
            .await
            .unwrap();
        for of_daemon in ["UTC", "Asia/Tokyo", "America/Los_Angeles", ""] {
            write_sessions(&app).await;
            let options = match of_daemon {
                "" => database.url().to_owned(),
                zone => format!("{}&options=-c%20TimeZone%3D{zone}", database.url()),
            };
            let daemon = connect(&options).await;
            let own: String = daemon.query_one("show timezone", &[]).await.unwrap().get(0);
            assert!(own == of_daemon || own == "Australia/Lord_Howe", "{own}");
            assert_eq!(sessions.purge_as(&options).await, 3, "{zone}, {of_daemon}");
            assert_eq!(sessions.left().await, "a b c");
            database
                .batch_execute("delete from sessions")
                .await
                .unwrap();
        }
    }
}

/// Every half hour of years in which clocks changed: nothing below the bound expires at that moment or later, however
/// its local time is read, and on all but a few days the bound is exact.
#[tokio::test]
async fn on_no_night_is_a_session_purged_that_its_zone_may_still_take_for_alive() {
    for (zone, from, to, is_exact_for) in [
        ("UTC", 2024, 2026, 1.0),
        ("America/New_York", 2024, 2027, 0.97),
        ("Europe/Dublin", 2024, 2026, 0.97),
        ("Australia/Lord_Howe", 2024, 2026, 0.97),
        ("Africa/Casablanca", 2024, 2026, 0.97),
        ("Antarctica/Troll", 2024, 2026, 0.97),
        ("Asia/Kathmandu", 2024, 2025, 1.0),
        // It skipped the 30th of December.
        ("Pacific/Apia", 2011, 2013, 0.97),
        // Back by an hour for good.
        ("Europe/Moscow", 2014, 2015, 0.97),
    ] {
        let sessions = Sessions::in_zone(zone).await;
        let site = Site::inspect(&sessions.database.client, &sessions.settings)
            .await
            .unwrap();
        let bound = site.expires.unwrap().bound("m.moment");
        let statement = format!(
            "with moments as (
                select m.moment, {bound} as bound, m.moment at time zone '{zone}' as local
                from generate_series(
                    timestamptz '{from}-01-01 00:00+00', timestamptz '{to}-01-01 00:00+00', interval '30 minutes') m (moment))
            select (select count(*) from moments m
                    cross join unnest('{{00:00:00.000001,00:10,00:30,00:59,01:00,01:30,02:00,03:00,23:00,24:00,25:00}}'::interval[]) d (before)
                    where (m.bound - d.before) at time zone '{zone}' >= m.moment),
                (select avg((m.bound = m.local)::integer)::double precision from moments m),
                (select count(*) from moments m where m.bound > m.local or m.bound < m.local - interval '25 hours')"
        );
        let row = sessions.database.query_one(&statement, &[]).await.unwrap();
        let (alive, exact, far): (i64, f64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((alive, far), (0, 0), "{zone}");
        assert!(exact >= is_exact_for, "{zone}: {exact}");
    }
}

#[tokio::test]
async fn an_hour_that_clocks_show_twice_counts_as_the_later_one() {
    let sessions = Sessions::in_zone("America/New_York").await;
    let site = Site::inspect(&sessions.database.client, &sessions.settings)
        .await
        .unwrap();
    // In 2026 clocks go back on the 1st of November at 06:00 UTC: 01:30 is 05:30 UTC, or 06:30 UTC.
    let bound = site.expires.unwrap().bound("m.moment");
    let expired = async |moment: &str| -> bool {
        let ask = format!(
            "select timestamp '2026-11-01 01:30' < {bound} from (select timestamptz '{moment}') m (moment)"
        );
        sessions.database.query_one(&ask, &[]).await.unwrap().get(0)
    };
    for moment in [
        "2026-11-01 05:29+00",
        "2026-11-01 05:45+00",
        "2026-11-01 06:30+00",
    ] {
        assert!(!expired(moment).await, "{moment}");
    }
    assert!(expired("2026-11-01 06:31+00").await);
}

#[tokio::test]
async fn seconds_and_milliseconds_since_1970_are_read_as_what_they_are() {
    for (sql_type, unit, factor) in [
        ("integer", EpochUnit::EpochS, 1),
        ("bigint", EpochUnit::EpochS, 1),
        ("numeric", EpochUnit::EpochS, 1),
        ("bigint", EpochUnit::EpochMs, 1000),
        ("numeric(20,3)", EpochUnit::EpochMs, 1000),
    ] {
        let sessions = Sessions::in_unit(sql_type, unit).await;
        sessions.migrate().await.unwrap();
        for (key, offset) in [
            ("a", 60),
            ("b", 86_400),
            ("x", -60),
            ("y", -86_400),
            ("z", -1_000_000),
        ] {
            let at = format!("floor((extract(epoch from now()) + {offset}) * {factor})");
            sessions.insert(key, &at).await;
        }
        assert_eq!(sessions.purge().await, 3, "{sql_type}");
        assert_eq!(sessions.left().await, "a b");
    }
}

/// Stores write these for "never", "not yet" and by mistake.
#[tokio::test]
async fn what_cannot_be_meant_is_never_purged_and_fails_no_view() {
    let numbers = [
        "null",
        "0",
        "-1",
        "1440",
        "630720000",
        "9223372036854775807",
    ];
    let seconds = Sessions::in_unit("bigint", EpochUnit::EpochS).await;
    let milliseconds = Sessions::in_unit("bigint", EpochUnit::EpochMs).await;
    let local = Sessions::in_zone("America/New_York").await;
    let mut derived = Sessions::create("timestamptz").await;
    derived.settings.lifetime_s = Some(3600);
    let times = [
        "null",
        "'infinity'",
        "'-infinity'",
        "'0001-01-01'",
        "'9999-12-31'",
        "'294276-12-31'",
    ];
    for (sessions, values) in [
        (seconds, numbers),
        (milliseconds, numbers),
        (local, times),
        (derived, times),
    ] {
        sessions.migrate().await.unwrap();
        let database = &sessions.database;
        database
            .batch_execute("insert into users values (1, 'old')")
            .await
            .unwrap();
        for (number, value) in values.iter().enumerate() {
            sessions.insert(&format!("s{number}"), value).await;
            let link = format!("select session_reaper.link_session('s{number}', 1)");
            database.batch_execute(&link).await.unwrap();
        }
        assert_eq!(sessions.purge().await, 0);
        assert_eq!(sessions.left().await, "s0 s1 s2 s3 s4 s5");
        let shown = "select count(*) from session_reaper.live_session";
        assert_eq!(database.number(shown).await, 6);
    }
}

#[tokio::test]
async fn a_mistaken_unit_is_refused_at_the_start_and_purges_nothing_if_it_is_made_later() {
    for (written, unit, says) in [
        (
            1,
            EpochUnit::EpochMs,
            "set site.expires_unit to \"epoch_s\"",
        ),
        (
            1000,
            EpochUnit::EpochS,
            "set site.expires_unit to \"epoch_ms\"",
        ),
    ] {
        let sessions = Sessions::in_unit("bigint", unit).await;
        sessions.migrate().await.unwrap();
        for (key, offset) in [("a", 60), ("b", 86_400), ("x", -60)] {
            let at = format!("floor((extract(epoch from now()) + {offset}) * {written})::bigint");
            sessions.insert(key, &at).await;
        }
        assert_eq!(sessions.purge().await, 0);
        assert_eq!(sessions.left().await, "a b x");
        for refused in [
            sessions.migrate().await.unwrap_err(),
            sessions.checked().await.unwrap_err(),
        ] {
            let sentence = refused.to_string();
            assert!(
                sentence.contains("sessions.at cannot be times"),
                "{sentence}"
            );
            assert!(sentence.contains(says), "{sentence}");
        }
        // A single one that is odd is the app's business.
        sessions
            .database
            .batch_execute("update sessions set at = extract(epoch from now()) * case when at < 100000000000 then 1000 else 1 end where key <> 'x'")
            .await
            .unwrap();
        sessions.checked().await.unwrap();
    }
}

/// Of milliseconds it could hold three weeks, in 1970.
#[tokio::test]
async fn milliseconds_in_an_integer_overflow_nothing_and_purge_nothing() {
    let sessions = Sessions::in_unit("integer", EpochUnit::EpochMs).await;
    sessions.migrate().await.unwrap();
    for (key, at) in [("a", "2147483647"), ("b", "-2147483648"), ("c", "0")] {
        sessions.insert(key, at).await;
    }
    assert_eq!(sessions.purge().await, 0);
    sessions
        .refused(&["most are too small for milliseconds since 1970"])
        .await;
}

/// Symfony before 4.4 kept how long a session may rest, in the column that now says until when.
#[tokio::test]
async fn a_duration_is_told_from_a_time() {
    let mut sessions = Sessions::in_unit("integer", EpochUnit::EpochS).await;
    sessions.insert("a", "1440").await;
    sessions.insert("b", "315576000").await;
    sessions
        .refused(&[
            "most are durations",
            "site.expires_column",
            "site.lifetime_s",
        ])
        .await;
    sessions.settings.expires_column = None;
    sessions.settings.expires_unit = None;
    sessions.migrate().await.unwrap();
    assert_eq!(sessions.purge().await, 0);
    assert_eq!(sessions.left().await, "a b");
}

#[tokio::test]
async fn a_lifetime_counts_from_the_time_in_the_column() {
    let mut sessions = Sessions::in_zone("Asia/Kathmandu").await;
    sessions.settings.lifetime_s = Some(7200);
    sessions.migrate().await.unwrap();
    for (key, offset) in [
        ("a", "1 hour"),
        ("b", "-119 minutes"),
        ("x", "-121 minutes"),
    ] {
        let at = format!("(now() + interval '{offset}') at time zone 'Asia/Kathmandu'");
        sessions.insert(key, &at).await;
    }
    assert_eq!(sessions.purge().await, 1);
    assert_eq!(sessions.left().await, "a b");
}

#[tokio::test]
async fn a_purge_reads_the_index_on_the_raw_column() {
    for sessions in [
        Sessions::in_zone("America/New_York").await,
        Sessions::in_unit("integer", EpochUnit::EpochS).await,
        Sessions::in_unit("bigint", EpochUnit::EpochMs).await,
        Sessions::in_unit("numeric", EpochUnit::EpochMs).await,
        Sessions::create("timestamptz").await,
    ] {
        let site = Site::inspect(&sessions.database.client, &sessions.settings)
            .await
            .unwrap();
        // The table is empty, so only this makes the plan that a full one gets.
        let settings = "set enable_seqscan = off; set enable_bitmapscan = off";
        sessions.database.batch_execute(settings).await.unwrap();
        let rows = sessions
            .database
            .query(
                &format!(
                    "explain select from sessions s where {} order by s.at limit 10",
                    site.is_expired()
                ),
                &[],
            )
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Cond: ((at <"), "{plan}");
        assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{plan}");
    }
}

/// Another unit, zone or column is a matter of `migrate` alone: no link is lost for it.
#[tokio::test]
async fn an_expiry_that_changes_needs_a_migrate_and_nothing_else() {
    let mut sessions = Sessions::create("timestamptz").await;
    sessions.migrate().await.unwrap();
    let now = "now() - interval '1 minute', floor(extract(epoch from now() + interval '1 minute') * 1000)::bigint";
    sessions.insert("a", now).await;
    sessions.settings.expires_column = Some("at_ms".to_owned());
    sessions.settings.expires_unit = Some(EpochUnit::EpochMs);
    let sentence = sessions.checked().await.unwrap_err().to_string();
    assert!(sentence.contains("another expiry"), "{sentence}");

    sessions.migrate().await.unwrap();
    sessions.checked().await.unwrap();
    assert_eq!(sessions.purge().await, 0);
    let functions = "select count(*) from pg_proc where proname = 'purge_expired'";
    assert_eq!(sessions.database.number(functions).await, 1);
}

#[tokio::test]
async fn a_zone_and_a_unit_are_never_guessed() {
    let mut local = Sessions::create("timestamp(6)").await;
    local
        .refused(&[
            "public.sessions.at is a timestamp without time zone",
            "set site.time_zone",
        ])
        .await;
    local.settings.time_zone = Some("America/NewYork".to_owned());
    local
        .refused(&["the zone America/NewYork", "did you mean America/New_York?"])
        .await;
    for hostile in ["'; drop table users; --", "+03", "local", "$$", "<ab>3"] {
        local.settings.time_zone = Some(hostile.to_owned());
        local.refused(&["site.time_zone names the zone"]).await;
    }
    for number in ["integer", "bigint", "numeric"] {
        let sessions = Sessions::create(number).await;
        sessions
            .refused(&[
                "public.sessions.at is a number",
                "\"epoch_s\" or \"epoch_ms\"",
            ])
            .await;
    }
    for other in ["date", "text", "double precision", "interval"] {
        let sessions = Sessions::create(other).await;
        sessions.refused(&["which says no time"]).await;
    }
}
