//! `history`, `explain` and `--by`: what people ask when somebody says "I am still logged in".

use crate::stage::{Database, program::run, wait_until};

async fn json(database: &Database, arguments: &[&str]) -> serde_json::Value {
    let said = run(database.url(), arguments).await;
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    serde_json::from_str(&said.stdout).unwrap()
}

#[tokio::test]
async fn history_lists_who_asked_what_ended_and_how_long_it_took_the_newest_first() {
    let database = Database::create().await;
    let users = database.users(2).await;
    let hers = database.log_in(users[0], 3).await;
    database.log_in(users[1], 1).await;
    let _daemon = database.daemon().await;
    database.change_password(users[0]).await;
    database.settled().await;
    database
        .execute(
            "select session_reaper.revoke_user($1, 'stolen')",
            &[&users[1]],
        )
        .await
        .unwrap();
    database.settled().await;

    let all = json(&database, &["history", "--json"]).await;
    assert_eq!(
        (&all[0]["reason"], &all[1]["reason"]),
        (&"stolen".into(), &"password".into())
    );
    assert_eq!(all[1]["sessions_ended"], 3);
    assert_eq!(all[1]["state"], "settled");
    assert!(all[1]["settled_after_s"].as_f64() >= all[1]["revoked_after_s"].as_f64());
    assert_eq!(all[1]["waits_for"], serde_json::json!([]));

    let user = users[0].to_string();
    let one = json(&database, &["history", &user, "--json"]).await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(one[0]["user"], user);
    let said = run(database.url(), &["history", &user]).await.stdout;
    assert!(said.contains("3 sessions ended"), "{said}");
    assert!(hers.iter().all(|key| !said.contains(key.as_str())));
}

#[tokio::test]
async fn history_of_an_age_leaves_out_what_is_older_and_a_deleted_user_still_has_one() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.change_password(user).await;
    database
        .batch_execute("update session_reaper.change set at = at - interval '2 days'")
        .await
        .unwrap();
    database
        .execute("delete from auth_user where id = $1", &[&user])
        .await
        .unwrap();

    let user = user.to_string();
    let young = json(&database, &["history", "--since", "1d", "--json"]).await;
    let reasons: Vec<_> = young
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["reason"])
        .collect();
    assert!(!reasons.contains(&&"password".into()), "{young}");
    let all = json(&database, &["history", &user, "--since", "3d", "--json"]).await;
    assert_eq!(all[1]["reason"], "password", "{all}");
}

#[tokio::test]
async fn an_open_revocation_says_what_it_waits_for() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let user_key = user.to_string();
    database.log_in(user, 1).await;
    let cause = async || {
        let all = json(&database, &["history", &user_key, "--json"]).await;
        all[0]["waits_for"][0]["cause"].as_str().map(str::to_owned)
    };

    database.change_password(user).await;
    assert_eq!(cause().await.as_deref(), Some("unserved"));

    let mut app = database.connect().await;
    let idle = app.transaction().await.unwrap();
    idle.batch_execute("select").await.unwrap();
    let _daemon = database.daemon().await;
    wait_until("it waits for the transaction", async || {
        cause().await.as_deref() == Some("transaction")
    })
    .await;
    let said = run(database.url(), &["history", &user_key]).await.stdout;
    assert!(
        said.contains("waits for the open transaction of process"),
        "{said}"
    );

    run(database.url(), &["pause"]).await;
    assert_eq!(cause().await.as_deref(), Some("paused"));
    run(database.url(), &["resume"]).await;
    idle.commit().await.unwrap();
    database.settled().await;
    assert_eq!(cause().await, None);
}

#[tokio::test]
async fn explain_names_the_rule_that_keeps_each_session_or_ends_it() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let user_key = user.to_string();
    let keys = database.log_in(user, 2).await;
    let verdicts = async || {
        let all = json(&database, &["explain", &user_key, "--json"]).await;
        let mut verdicts: Vec<String> = all["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["verdict"].as_str().unwrap().to_owned())
            .collect();
        verdicts.sort();
        verdicts
    };
    assert_eq!(verdicts().await, ["nothing_asked", "nothing_asked"]);

    let ask = "select session_reaper.revoke_user($1, 'stolen', $2)";
    database.execute(ask, &[&user, &keys[0]]).await.unwrap();
    database.log_in(user, 1).await;
    let mut expected = vec!["kept".to_owned(), "newer".to_owned()];
    if database.count(&keys).await == 2 {
        expected.insert(0, "ends".to_owned());
    }
    assert_eq!(verdicts().await, expected);

    let _daemon = database.daemon().await;
    database.settled().await;
    assert_eq!(verdicts().await, ["kept", "newer"]);
    let said = run(database.url(), &["explain", &user_key]).await.stdout;
    assert!(said.contains("stays: the app asked revocation"), "{said}");
    assert!(keys.iter().all(|key| !said.contains(key.as_str())));
}

#[tokio::test]
async fn a_user_is_found_by_a_name_and_a_name_where_a_key_is_asked_for_is_understood() {
    let database = Database::create().await;
    let user = database.users(2).await[0];
    database
        .execute(
            "update auth_user set username = 'ann' where id = $1",
            &[&user],
        )
        .await
        .unwrap();
    database.log_in(user, 1).await;

    for command in ["sessions", "explain", "history", "revoke"] {
        let said = run(database.url(), &[command, "--by", "username", "ann"]).await;
        assert_eq!(said.code, Some(0), "{command}: {}", said.stderr);
        let said = run(database.url(), &[command, "--by", "username", "bob"]).await;
        assert_eq!(said.code, Some(1));
        assert!(
            said.stderr.contains("there is no user bob"),
            "{}",
            said.stderr
        );
        let said = run(database.url(), &[command, "ann"]).await;
        let hint = format!("did you mean user {user}, whose username that is?");
        assert!(said.stderr.contains(&hint), "{command}: {}", said.stderr);
        let said = run(database.url(), &[command, "--by", "usernam", "ann"]).await;
        assert!(said.stderr.contains("username"), "{}", said.stderr);
    }
    let keys = database.log_in(user, 1).await;
    assert_eq!(database.count(&keys).await, 1);
}

/// The wrong one would be logged out.
#[tokio::test]
async fn a_name_that_two_users_share_is_refused() {
    let database = Database::create().await;
    database.users(2).await;
    database
        .batch_execute("alter table auth_user add column nick text default 'ann'")
        .await
        .unwrap();
    let said = run(database.url(), &["revoke", "--by", "nick", "ann"]).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr.contains("several users have this nick"),
        "{}",
        said.stderr
    );
    assert_eq!(
        database
            .number("select count(*) from session_reaper.revocation")
            .await,
        0
    );
}
