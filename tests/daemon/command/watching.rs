//! `status --watch`: for a person on a terminal, and for a file.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::stage::program::{Daemon, program, run_with};
use crate::stage::{Database, wait_until};

/// A program that runs, and what it has printed so far.
struct Watching {
    child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&printed);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut piece) {
                ears.lock().unwrap().extend(&piece[..length]);
            }
        });
        Self { child, printed }
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn prints(&self, part: &str, times: usize) -> impl Future<Output = ()> {
        let (printed, part) = (Arc::clone(&self.printed), part.to_owned());
        wait_until(&format!("{part:?} is printed {times} times"), move || {
            let text = String::from_utf8_lossy(&printed.lock().unwrap()).into_owned();
            let found = text.matches(&part).count();
            async move { found >= times }
        })
    }

    fn press_ctrl_c(&mut self) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\x03")
            .unwrap();
    }

    async fn ended(&mut self) -> Option<i32> {
        let ended = Mutex::new(None);
        wait_until("it ends", || {
            let status = self.child.try_wait().unwrap();
            *ended.lock().unwrap() = status;
            async move { status.is_some() }
        })
        .await;
        let ended = ended.lock().unwrap();
        ended.unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WATCH: [&str; 4] = ["status", "--watch", "--interval", "1"];

#[tokio::test]
async fn in_a_file_one_block_follows_the_other_and_nothing_is_there_but_text() {
    let database = Database::create().await;
    let mut watching = Watching::start(program(database.url(), &WATCH));
    watching.prints("served     no: ", 1).await;
    let daemon = Daemon::start(database.url());
    watching
        .prints("served     yes, by session-reaper ", 2)
        .await;
    drop(daemon);
    watching.prints("\n\ndatabase   ", 2).await;
    assert!(!watching.printed().contains('\x1b'));
    let interrupted = Command::new("sh")
        .args(["-c", "kill -s INT \"$0\""])
        .arg(watching.child.id().to_string())
        .status();
    assert!(interrupted.unwrap().success());
    assert_eq!(watching.ended().await, Some(0));
}

/// By `script`, which gives it a terminal and passes on what is typed.
fn on_a_terminal(database: &Database, variables: &[(&str, &str)]) -> Option<Watching> {
    let script = ["/usr/bin/script", "/bin/script"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let Some(script) = script else {
        eprintln!("skipped: there is no script here, which Debian has in bsdutils");
        return None;
    };
    let reaper = env!("CARGO_BIN_EXE_session-reaper");
    let mut command = Command::new(script);
    command
        .args([
            "-qec",
            &format!("stty rows 30 cols 200; exec '{reaper}' {}", WATCH.join(" ")),
        ])
        .arg("/dev/null")
        .env("DATABASE_URL", database.url())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied());
    Some(Watching::start(command))
}

#[tokio::test]
async fn on_a_terminal_it_is_redrawn_in_place_in_colour_until_ctrl_c() {
    let database = Database::create().await;
    let Some(mut watching) = on_a_terminal(&database, &[]) else {
        return;
    };
    watching.prints("\x1b[1m\x1b[31mno: until", 2).await;
    let _daemon = Daemon::start(database.url());
    watching.prints("\x1b[32myes, by session-reaper ", 2).await;
    let printed = watching.printed();
    // Up by as many rows as there were lines, and everything below away.
    let (first, rest) = printed.split_once("\x1b[J").unwrap();
    assert_eq!(first, "\r");
    let (block, rest) = rest.split_once("\x1b[").unwrap_or((rest, ""));
    assert!(block.starts_with("database   "), "{block:?}");
    let _ = rest;
    let mut frames = printed.split("\r\x1b[J").skip(1);
    let first = frames.next().unwrap();
    let lines = first.matches("\r\n").count();
    assert!(first.ends_with(&format!("\x1b[{lines}A")), "{first:?}");
    watching.press_ctrl_c();
    assert_eq!(watching.ended().await, Some(0));
}

#[tokio::test]
async fn no_color_is_heeded_on_a_terminal() {
    let database = Database::create().await;
    let Some(mut watching) = on_a_terminal(&database, &[("NO_COLOR", "1")]) else {
        return;
    };
    watching.prints("served     no: until", 2).await;
    let printed = watching.printed();
    assert!(
        printed.contains("\x1b[J") && !printed.contains("\x1b[31m"),
        "{printed:?}"
    );
    watching.press_ctrl_c();
    assert_eq!(watching.ended().await, Some(0));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_and_looked_for_again() {
    let variables = [("PGCONNECT_TIMEOUT", "2")];
    let mut command = program("postgresql://nobody@127.0.0.1:1/nothing", &WATCH);
    command.envs(variables);
    let watching = Watching::start(command);
    watching.prints("not known  ", 2).await;
    let refused = run_with("", &["status", "--watch", "--json"], &[]).await;
    assert_eq!(refused.code, Some(2));
    let refused = run_with("", &["status", "--interval", "5"], &[]).await;
    assert_eq!(refused.code, Some(2));
}
