//! Whoever can reach it can ask, and no more: the daemon goes on whatever comes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::asking::{Asked, watched};
use crate::stage::{Database, wait_until};

#[tokio::test]
async fn it_can_only_be_looked_at() {
    let database = Database::create().await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/metrics", "/", "/anything"] {
            let answer = port.ask(method, path, "Content-Length: 0\r\n").await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            assert!(answer.head.contains("allow: get, head"), "{answer:?}");
        }
    }
    let whole = port.get("/readyz").await;
    let head = port.ask("HEAD", "/readyz", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(
        head.head
            .contains(&format!("content-length: {}", whole.body.len()))
    );
    for path in [
        "/nothing",
        "/../etc/passwd",
        "/metrics/",
        "/healthz?x=1/../",
    ] {
        let wanted = if path.starts_with("/healthz?") {
            200
        } else {
            404
        };
        assert_eq!(port.get(path).await.status, wanted, "{path}");
    }
}

#[tokio::test]
async fn a_browser_that_was_led_here_under_another_name_gets_nothing() {
    let database = Database::create().await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    for path in ["/", "/metrics", "/readyz"] {
        let led = port.ask("GET", path, "Host: evil.example\r\n").await;
        assert_eq!(led.status, 421, "{led:?}");
        assert!(!led.body.contains("session_reaper"), "{led:?}");
        assert_eq!(
            port.ask("GET", path, "Host: localhost\r\n").await.status,
            200
        );
    }
}

#[tokio::test]
async fn what_is_too_large_or_no_request_is_refused_and_the_next_one_is_answered() {
    let database = Database::create().await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    let large = format!("X-Large: {}\r\n", "x".repeat(64 * 1024));
    let answer = port.ask("GET", "/readyz", &large).await;
    assert!(matches!(answer.status, 0 | 431), "{answer:?}");
    let many = "X-Many: 1\r\n".repeat(1000);
    let answer = port.ask("GET", "/readyz", &many).await;
    assert!(matches!(answer.status, 0 | 431), "{answer:?}");
    let long = format!("/{}", "x".repeat(70_000));
    assert!(matches!(port.get(&long).await.status, 0 | 414 | 431));
    let nonsense = Asked::over(port.connect().await, "\u{1}\u{2}\u{3} hello\r\n\r\n").await;
    assert!(matches!(nonsense.status, 0 | 400), "{nonsense:?}");
    let body = "Content-Length: 1000000000\r\n";
    assert_eq!(port.ask("GET", "/healthz", body).await.status, 200);
    assert_eq!(port.get("/readyz").await.status, 200);
}

/// More of them than are answered at once, and none of them ever says what he wants.
#[tokio::test]
async fn slow_clients_are_shown_out_and_keep_nothing_from_going_on() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    let sessions = database.log_in(user, 3).await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = port.connect().await;
        stream.write_all(b"GET /metrics HTT").await.unwrap();
        slow.push(stream);
    }
    // The workers do not notice.
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    // Whoever comes after them is answered: some of them are shown out for it, without waiting until all have had their time.
    assert_eq!(port.get("/readyz").await.said(200), "serving\n");
    let mut still_there = 0;
    for stream in &mut slow {
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let is_over = tokio::time::timeout(Duration::from_millis(10), read).await;
        still_there += usize::from(is_over.is_err());
    }
    assert!(still_there > 20, "{still_there}");
    daemon.signal("TERM");
}

/// However many ask at once, one looks for all of them, and it is not the workers' connections that it looks over.
#[tokio::test]
async fn a_hundred_questions_at_once_are_one_look_at_the_database() {
    let database = Database::create().await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    let mut site = database.connect().await;
    let migration = site.transaction().await.unwrap();
    migration
        .batch_execute("lock table session_reaper.unreadable in access exclusive mode")
        .await
        .unwrap();
    let asked = (0..100).map(|_| async move { port.get("/metrics").await.status });
    let mut asking = tokio::spawn(futures_util::future::join_all(asked));
    let looking = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%status::%'";
    let mut most = 0;
    let answers = loop {
        tokio::select! {
            answers = &mut asking => break answers.unwrap(),
            looks = database.number(looking) => most = most.max(looks),
        }
    };
    assert_eq!(most, 1);
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    migration.commit().await.unwrap();
    wait_until("all of it is known again", || async {
        let figures = port.get("/metrics").await.said(200);
        figures.contains("session_reaper_unknown 0\n")
    })
    .await;
}
