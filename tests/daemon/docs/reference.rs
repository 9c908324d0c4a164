//! `docs/reference.md` holds what the program does: every exit code, and every field of every `--json` with its type.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stage::{
    Database,
    program::{Ended, run, run_with},
    server, wait_until,
};

const REFERENCE: &str = include_str!("../../../docs/reference.md");
const DOCTOR: &str = include_str!("../../../docs/doctor.md");
const POLICIES: &str = include_str!("../../../docs/policies.md");

/// Where the keys are no names of ours.
const MAPS: [&str; 6] = [
    "totals.sessions_ended",
    "totals.revocations",
    "linking.unreadable",
    "failing_by_sqlstate",
    "missed",
    "unreadable",
];

/// The rows of the first table of three columns that follows a line.
fn rows<'a>(text: &'a str, after: &str) -> Vec<[&'a str; 3]> {
    let (_, rest) = text.split_once(after).unwrap_or_else(|| panic!("{after}"));
    let table = rest.lines().skip_while(|line| !line.starts_with("|---"));
    let table = table.skip(1).take_while(|line| line.starts_with('|'));
    let row = |line: &'a str| {
        let cells: Vec<&str> = line
            .trim_matches('|')
            .splitn(3, '|')
            .map(str::trim)
            .collect();
        <[&str; 3]>::try_from(cells).unwrap()
    };
    table.map(row).collect()
}

type Fields = BTreeMap<String, BTreeSet<String>>;

fn documented(text: &str, after: &str) -> Fields {
    let field = |[name, kinds, _]: [&str; 3]| {
        let kinds = kinds.split(" or ").map(str::to_owned).collect();
        (name.trim_matches('`').to_owned(), kinds)
    };
    rows(text, after).into_iter().map(field).collect()
}

/// Each leaf with the types that it has. What is empty, or null, shows no leaf below it.
fn observe(path: &str, value: &Value, seen: &mut Fields) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    let mut note = |kind: &str| {
        seen.entry(path.to_owned())
            .or_default()
            .insert(kind.to_owned());
    };
    match value {
        // What a setting is.
        _ if path == "settings[].value" => note("any"),
        Value::Null => note("null"),
        Value::Bool(_) => note("boolean"),
        Value::Number(number) if number.is_f64() => note("number"),
        Value::Number(_) => note("integer"),
        Value::String(_) => note("string"),
        Value::Array(items) => {
            for item in items {
                observe(&format!("{path}[]"), item, seen);
            }
        }
        Value::Object(fields) => {
            if ["paused", "last_purge", "pause", "totals"].contains(&path) {
                note("object");
            }
            for (key, value) in fields {
                let key = if MAPS.contains(&path) { "*" } else { key };
                observe(&join(key), value, seen);
            }
        }
    }
}

/// What a command printed, again and again in different circumstances.
#[derive(Default)]
struct Seen(Fields);

impl Seen {
    fn look(&mut self, ended: &Ended) {
        let value: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
        observe("", &value, &mut self.0);
    }

    /// Every field that was seen is documented with its type, and every documented field was seen.
    #[track_caller]
    fn is_as(&self, documented: &Fields, of: &str) {
        for (field, kinds) in &self.0 {
            let known = documented.get(field);
            let known = known.unwrap_or_else(|| panic!("{of}: {field} is not documented"));
            // A number without a fraction is one all the same.
            let fits = |kind: &String| {
                known.contains(kind)
                    || known.contains("any")
                    || kind == "integer" && known.contains("number")
            };
            assert!(
                kinds.iter().all(fits),
                "{of}: {field} is {kinds:?}, not {known:?}"
            );
        }
        for (field, kinds) in documented {
            let Some(seen) = self.0.get(field) else {
                panic!("{of}: {field} does not exist, or was not seen");
            };
            if kinds.contains("any") {
                continue;
            }
            let more = seen.iter().any(|kind| kind != "null");
            assert!(more, "{of}: {field} was only ever null");
        }
    }
}

/// A site in which there is something of everything.
async fn eventful() -> (Database, Vec<i32>, crate::stage::Running) {
    let database = Database::create().await;
    let users = database.users(2).await;
    database.log_in(users[0], 2).await;
    database.log_in(users[1], 1).await;
    let daemon = database.daemon().await;
    database.change_password(users[1]).await;
    database.settled().await;
    database.log_in(users[0], 1).await;
    (database, users, daemon)
}

#[tokio::test]
async fn the_json_of_status_history_explain_and_sessions_is_as_documented() {
    let (database, users, _daemon) = eventful().await;
    let user = users[0].to_string();
    let (mut status, mut history, mut explain, mut sessions) = (
        Seen::default(),
        Seen::default(),
        Seen::default(),
        Seen::default(),
    );
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.execute("select 1", &[]).await.unwrap();
    sessions.look(&run(database.url(), &["sessions", &user, "--json"]).await);
    let other = users[1].to_string();
    explain.look(&run(database.url(), &["explain", &other, "--json"]).await);
    let one = [("SESSION_REAPER_POLICY_SESSIONS_MAX", "1")];
    explain.look(&run_with(database.url(), &["explain", &user, "--json"], &one).await);
    database.change_password(users[0]).await;
    database.log_in(users[0], 1).await;
    wait_until("the open transaction is waited for", || async {
        let ended = run(database.url(), &["status", "--json"]).await;
        !serde_json::from_str::<Value>(&ended.stdout).unwrap()["waits_for"]
            .as_array()
            .unwrap()
            .is_empty()
    })
    .await;
    let planted = "
        insert into session_reaper.missed (what, sqlstate) values ('eviction', '42501');
        insert into session_reaper.unreadable (reason, writes) values ('pickle', 3);
        insert into session_reaper.trouble (daemon, worker, since, attempts, sqlstate) values ('x', 'purger', now() - interval '1 minute', 3, '42501');
        insert into session_reaper.revocation (change_id, scope, user_id, reason, next_attempt_at, last_error)
            select max(c.id), 'user', -1, 'x', 'infinity', '42501' from session_reaper.change c;
        update session_reaper.purge set finished_at = now(), sessions = 1, duration_ms = 1;
        update session_reaper.canary set user_key = '1', began_at = now(), succeeded_at = now(), gone_s = 0.5, settled_s = 0.5,
            failed_at = now(), failed_stage = 'session', failed_sqlstate = '42501';
        update session_reaper.eviction set failing_since = now(), confirmed_at = now(), last_error = 'x';
        alter table django_session disable trigger all;
        analyze django_session;
        insert into session_reaper.pause (complete) values (false)";
    for (command, seen) in [
        (vec!["status", "--json"], &mut status),
        (vec!["history", "--json"], &mut history),
        (vec!["explain", &user, "--json"], &mut explain),
    ] {
        seen.look(&run(database.url(), &command).await);
    }
    database.batch_execute(planted).await.unwrap();
    status.look(&run(database.url(), &["status", "--json"]).await);
    database
        .batch_execute("delete from session_reaper.pause")
        .await
        .unwrap();
    status.look(&run(database.url(), &["status", "--json"]).await);
    // Somebody who holds a table keeps others from looking.
    let migration = database.connect().await;
    let hold = "begin; lock table django_session in access exclusive mode";
    migration.batch_execute(hold).await.unwrap();
    let command = ["status", "--json"];
    let patience = [("SESSION_REAPER_DATABASE_STATEMENT_TIMEOUT_S", "1")];
    status.look(&run_with(database.url(), &command, &patience).await);
    drop(migration);
    status.is_as(&documented(REFERENCE, "## `status --json`"), "status");
    history.is_as(&documented(REFERENCE, "## `history --json`"), "history");
    explain.is_as(&documented(REFERENCE, "## `explain --json`"), "explain");
    sessions.is_as(&documented(REFERENCE, "## `sessions --json`"), "sessions");
}

#[tokio::test]
async fn the_json_of_what_changes_something_is_as_documented() {
    let (database, users, _daemon) = eventful().await;
    let user = users[0].to_string();
    for (heading, command) in [
        (
            "revoke --all --rehearse",
            vec!["revoke", "--all", "--rehearse", "--json"],
        ),
        ("purge --dry-run", vec!["purge", "--dry-run", "--json"]),
        ("purge", vec!["purge", "--json"]),
        ("policies", vec!["policies", "--json"]),
        ("revoke", vec!["revoke", &user, "--json"]),
        ("link", vec!["link", "--again", "--json"]),
        ("pause", vec!["pause", "--json"]),
        ("config", vec!["config", "--json"]),
    ] {
        let mut seen = Seen::default();
        if heading == "link" {
            let planted = "insert into session_reaper.unreadable (reason, writes) values ('pickle', 3); analyze django_session; update session_reaper.backfill set reason = 'resumed'";
            database.batch_execute(planted).await.unwrap();
        }
        seen.look(&run(database.url(), &command).await);
        seen.is_as(
            &documented(REFERENCE, &format!("## `{heading} --json`")),
            heading,
        );
    }
    let mut resume = Seen::default();
    database
        .batch_execute("drop view session_reaper.revocation_trail; alter table session_reaper.revocation alter column user_id type bigint")
        .await
        .unwrap();
    resume.look(&run(database.url(), &["resume", "--json"]).await);
    database
        .batch_execute("drop trigger session_reaper_update_password on auth_user; update session_reaper.behaviour set digest = 'x' where name = 'sweep'")
        .await
        .unwrap();
    resume.look(&run(database.url(), &["resume", "--json"]).await);
    resume.is_as(&documented(REFERENCE, "## `resume --json`"), "resume");
}

#[tokio::test]
async fn the_json_of_doctor_and_of_a_dry_run_of_the_policies_is_as_documented() {
    let (database, _, _daemon) = eventful().await;
    let at = |fields: Fields| -> Fields {
        let inside = fields
            .into_iter()
            .map(|(name, kinds)| (format!("[].{name}"), kinds));
        inside.collect()
    };
    let mut doctor = Seen::default();
    doctor.look(&run(database.url(), &["doctor", "--json"]).await);
    doctor.is_as(&at(documented(DOCTOR, "## As JSON")), "doctor");
    let mut policies = Seen::default();
    let one = [("SESSION_REAPER_POLICY_SESSIONS_MAX", "1")];
    policies.look(&run_with(database.url(), &["policies", "--dry-run", "--json"], &one).await);
    policies.is_as(&at(documented(POLICIES, "**Beforehand**")), "policies");
}

/// Each with what causes it.
/// Those of a second signal.
fn are_planted_by_signals(codes: &[(i32, &str)]) {
    let signals = include_str!("../process/signals.rs");
    assert_eq!(codes, [(130, "`run`"), (143, "`run`")]);
    assert!(signals.contains(r#"[("TERM", 143), ("INT", 130)]"#));
}

#[tokio::test]
async fn every_exit_code_has_its_cause_and_no_other_is_documented() {
    let (database, users, daemon) = eventful().await;
    let user = users[0].to_string();
    let url = database.url();
    let bare = Database::create_bare(server()).await;
    let mut tried: Vec<(i32, &str)> = Vec::new();
    let mut expect = |ended: Ended, code: i32, of: &'static str| {
        assert_eq!(
            ended.code,
            Some(code),
            "{of}: {}{}",
            ended.stdout,
            ended.stderr
        );
        tried.push((code, of));
    };
    expect(run(url, &["sessions", &user]).await, 0, "every command");
    expect(
        run(bare.url(), &["sessions", &user]).await,
        1,
        "every command",
    );
    expect(run(url, &["doctor", "--strict"]).await, 1, "`doctor`");
    let mut purging = database.connect().await;
    let turn = purging.transaction().await.unwrap();
    let take = "select from session_reaper.behaviour where name = 'purge' for update";
    turn.execute(take, &[]).await.unwrap();
    expect(run(url, &["purge"]).await, 1, "`purge`");
    turn.rollback().await.unwrap();
    expect(run(url, &["sessions"]).await, 2, "every command");
    let wrong = [("SESSION_REAPER_REVOKE_BATCH_ROWS", "none")];
    expect(
        run_with(url, &["run", "--check"], &wrong).await,
        2,
        "`run --check`",
    );
    let mut open = database.connect().await;
    let open = open.transaction().await.unwrap();
    open.execute("select 1", &[]).await.unwrap();
    expect(
        run(url, &["revoke", &user, "--wait-s", "1"]).await,
        3,
        "`revoke`",
    );
    drop(daemon);
    database.served_by(0).await;
    expect(run(url, &["status"]).await, 1, "`status`");

    let documented = rows(REFERENCE, "## Exit codes").into_iter();
    let mut documented: Vec<(i32, &str)> = documented
        .map(|[code, of, _]| (code.parse().unwrap(), of))
        .collect();
    documented.sort_unstable();
    let of_signals = documented.split_off(documented.partition_point(|(code, _)| *code < 128));
    are_planted_by_signals(&of_signals);
    tried.sort_unstable();
    assert_eq!(documented, tried);

    // And what --help says of them is the same in short.
    let help = run("", &["--help"]).await;
    let (_, short) = help.assert_done().rsplit_once("Exit codes: ").unwrap();
    for (code, of) in documented {
        let is_own = of == "`revoke`";
        let said = if is_own {
            format!("from revoke, {code}:")
        } else {
            format!("{code} ")
        };
        assert!(
            short.replace('\n', " ").contains(&said),
            "{short} does not say {said}"
        );
    }
}
