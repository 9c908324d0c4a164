//! The page in a real browser, which says on its console what a policy has kept out.

use std::process::Command;

use super::asking::watched;
use crate::stage::Database;

/// What keeps it from talking to its maker's servers.
const QUIET: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

#[tokio::test]
async fn a_browser_shows_the_page_and_finds_nothing_in_it_that_the_policy_forbids() {
    let Some(chromium) = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
    else {
        eprintln!("skipped: there is no Chromium here");
        return;
    };
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 2).await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    database.change_password(user).await;
    database.settled().await;
    let profile = std::env::temp_dir().join(format!("session-reaper-{:016x}", fastrand::u64(..)));
    let mut browser = Command::new(chromium);
    browser
        .args(QUIET)
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("http://127.0.0.1:{}/", port.number()));
    let shown = tokio::task::spawn_blocking(move || browser.output())
        .await
        .unwrap()
        .unwrap();
    let _ = std::fs::remove_dir_all(profile);
    let (page, said) = (
        String::from_utf8_lossy(&shown.stdout),
        String::from_utf8_lossy(&shown.stderr),
    );
    for part in [
        "<h2>Last revocations</h2>",
        "<circle class=\"gone\"",
        "settled after",
    ] {
        assert!(page.contains(part), "{part}: {page}{said}");
    }
    assert!(!said.contains("CONSOLE"), "{said}");
}
