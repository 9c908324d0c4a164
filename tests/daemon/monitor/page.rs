//! The page for people.

use super::asking::watched;
use crate::stage::{Database, wait_until};

#[tokio::test]
async fn the_page_shows_what_status_and_history_show_and_no_key() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 2).await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.batch_execute("set local application_name = '<b>report</b>'; select 1")
        .await
        .unwrap();
    database
        .query_one(
            "select session_reaper.revoke_user($1, '<script>alert(1)</script>')",
            &[&user],
        )
        .await
        .unwrap();
    wait_until("the page says what it waits for", || async {
        let page = port.get("/").await.said(200);
        page.contains("&lt;b&gt;report&lt;/b&gt;") && page.contains("2 sessions ended")
    })
    .await;
    let answer = port.get("/").await;
    let page = answer.said(200);
    for part in [
        "<strong class=\"good\">serving</strong>",
        "<h2>Open revocations</h2>\n<table>",
        "<h2>Last revocations</h2>\n<table>",
        "<th scope=\"row\">served</th><td class=\"good\">yes, by session-reaper ",
        &format!("<td>user {user}</td><td>&lt;script&gt;alert(1)&lt;/script&gt;</td>"),
        "open: waits for the open transaction of process",
        "<meta http-equiv=\"refresh\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for never in [
        "<script",
        "<b>report",
        "http://",
        "https://",
        "url(",
        " src=",
    ] {
        assert!(!page.contains(never), "{never}: {page}");
    }
    // It is gone, and has not settled.
    assert!(page.contains("<circle class=\"gone\"") && !page.contains("<rect class=\"settled\""));
    for key in &sessions {
        assert!(!page.contains(key.as_str()));
    }
    for header in [
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
    ] {
        assert!(answer.head.contains(header), "{header}: {}", answer.head);
    }
    open.commit().await.unwrap();
    wait_until("nothing is open any more", || async {
        let page = port.get("/").await.said(200);
        page.contains("<h2>Open revocations</h2>\n<p>none is open</p>")
            && page.contains("settled after")
            && page.contains("<rect class=\"settled\"")
    })
    .await;
}
