//! pgbouncer in transaction mode in front of the server: LISTEN succeeds there and hears nothing.
//! The daemon says what is wrong, and polling does the work.

use std::{
    net::TcpListener,
    os::unix::fs::{MetadataExt, chown},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use session_reaper::demo::server::Server;
use tokio_postgres::SimpleQueryMessage;

use crate::stage::{
    Database,
    binary::{Binary, EAGER},
    connect, find_program,
    program::{run, run_with},
    start_server, wait_until,
};

/// Connections to the server, shared by everybody who connects through the pooler.
const POOL_SIZE: usize = 5;

/// A pooler in transaction mode. Dropping it ends it.
struct Pooler {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Pooler {
    /// Starts one as the server's own user, since it does not run as root; none if it is not installed.
    fn before(server: &Server) -> Option<Self> {
        let program = find_program("pgbouncer")?;
        let owner = server.data_dir().metadata().unwrap();
        let dir =
            std::env::temp_dir().join(format!("session-reaper-pooler-{:08x}", fastrand::u32(..)));
        std::fs::create_dir(&dir).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let conf = dir.join("pgbouncer.ini");
        std::fs::write(&conf, configuration(server, &dir, port)).unwrap();
        let users = dir.join("users");
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        for path in [&dir, &conf, &users] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let mut command = Command::new(program);
        command.arg(&conf).current_dir(&dir).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.spawn().unwrap();
        Some(Self { child, dir, port })
    }

    fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    async fn is_up(&self) {
        wait_until("the pooler accepts connections", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_ok()
        })
        .await;
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn configuration(server: &Server, dir: &Path, port: u16) -> String {
    format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\npool_mode = transaction\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         default_pool_size = {POOL_SIZE}\nlogfile = {}\n",
        server.socket_dir().display(),
        server.port(),
        dir.join("users").display(),
        dir.join("log").display(),
    )
}

#[tokio::test]
async fn behind_a_pooler_in_transaction_mode_the_daemon_says_so_serves_nobody_and_revokes_all_the_same()
 {
    let server = start_server(&[]);
    let Some(pooler) = Pooler::before(&server) else {
        println!("skipped: pgbouncer is not installed (Debian's package is called pgbouncer)");
        return;
    };
    pooler.is_up().await;
    let database = Database::create_on(&server).await;
    let users = database.users(20).await;
    let daemon = Binary::run(&pooler.url(database.name()), &EAGER);
    wait_until("it says what is wrong", || async {
        daemon.log().lines().any(|line| {
            line.contains("a pooler in transaction mode") && line.contains("not listening")
        })
    })
    .await;

    let mut sessions = Vec::new();
    let mut app = database.connect().await;
    for user in users {
        sessions.extend(database.log_in(user, 2).await);
        // What the changing transaction cannot end is the daemon's.
        let request = app.transaction().await.unwrap();
        request
            .execute("select from django_session for update", &[])
            .await
            .unwrap();
        database.change_password(user).await;
        request.commit().await.unwrap();
    }
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
    assert_eq!(database.daemons().await, 0);
    // Which server each message reaches is up to the pooler, so how far it gets with its checks is luck.
    let doctor = run(&pooler.url(database.name()), &["doctor"]).await;
    let named =
        |line: &str| line.starts_with("FAIL") && line.contains("a pooler in transaction mode");
    assert!(
        doctor.stdout.lines().any(named),
        "{}{}",
        doctor.stdout,
        doctor.stderr
    );
    the_app_beside_it_is_left_alone(&pooler.url(database.name())).await;
}

#[tokio::test]
async fn migrate_and_uninstall_refuse_a_pooler_in_transaction_mode_and_change_nothing() {
    let server = start_server(&[]);
    let Some(pooler) = Pooler::before(&server) else {
        println!("skipped: pgbouncer is not installed (Debian's package is called pgbouncer)");
        return;
    };
    pooler.is_up().await;
    let database = Database::create_bare(&server).await;
    let url = pooler.url(database.name());
    let says = [
        "is reached through a pooler in transaction mode",
        "connect to PostgreSQL itself",
    ];
    let quickly = [("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1")];
    run_with(&url, &["migrate"], &quickly)
        .await
        .assert_refused(1, &says);
    let schemas = "select count(*) from pg_namespace where nspname = 'session_reaper'";
    assert_eq!(database.number(schemas).await, 0);

    run(database.url(), &["migrate"]).await.assert_done();
    run_with(&url, &["uninstall", "--yes"], &quickly)
        .await
        .assert_refused(1, &says);
    assert_eq!(database.number(schemas).await, 1);
    the_app_beside_it_is_left_alone(&url).await;
}

/// What is set on a connection of the pooler's stays set for whoever gets that one next.
async fn the_app_beside_it_is_left_alone(url: &str) {
    let mut apps = Vec::new();
    for _ in 0..POOL_SIZE {
        let app = connect(url).await;
        // Held open, so that each has another one of the server's connections.
        app.batch_execute("begin").await.unwrap();
        apps.push(app);
    }
    for app in &apps {
        let set = app
            .simple_query(
                "select name, setting from pg_settings
                 where source = 'session' and name not in ('application_name', 'client_encoding', 'DateStyle', 'TimeZone')",
            )
            .await
            .unwrap();
        let names: Vec<_> = set
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        assert_eq!(names, Vec::<&str>::new());
    }
}
