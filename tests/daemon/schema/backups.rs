//! Backups with `pg_dump`, by the commands that docs/operating.md names.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::stage::{Database, program::run, server};

/// Runs one of PostgreSQL's programs; an error is what it said.
fn program(name: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(server().bin_dir().join(name))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(said),
    }
}

/// A directory that goes when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("session-reaper-backup-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        Path::new(&self.0).join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A role that may read what is in `public`.
async fn reader_of_public(database: &Database) -> String {
    let role = format!("backup_{:08x}", fastrand::u32(..));
    database
        .batch_execute(&format!(
            "create role {role} login; grant select on all tables in schema public to {role};
            grant select on all sequences in schema public to {role}"
        ))
        .await
        .unwrap();
    role
}

async fn works(database: &Database) {
    run(database.url(), &["migrate"]).await.assert_done();
    let _daemon = database.daemon().await;
    let user = database.number("select id::bigint from auth_user").await;
    let user = i32::try_from(user).unwrap();
    let sessions = database.log_in(user, 2).await;
    database.change_password(user).await;
    database.settled().await;
    assert_eq!(database.count(&sessions).await, 0);
}

#[tokio::test]
async fn a_dump_of_everything_is_restored_with_the_installation_in_it() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    let directory = Directory::new();
    let dump = directory.file("site.dump");
    program("pg_dump", &["-Fc", "-f", &dump, database.url()]).unwrap();

    let restored = Database::create_empty(server()).await;
    program("pg_restore", &["-d", restored.url(), &dump]).unwrap();
    works(&restored).await;
}

#[tokio::test]
async fn a_role_that_may_read_public_alone_dumps_without_our_schema_and_it_is_installed_again() {
    let database = Database::create().await;
    let user = database.users(1).await[0];
    database.log_in(user, 1).await;
    let role = reader_of_public(&database).await;
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let directory = Directory::new();
    let (dump, list) = (directory.file("site.dump"), directory.file("site.list"));
    let refused = program("pg_dump", &["-Fc", "-f", &dump, &url]).unwrap_err();
    assert!(refused.contains("session_reaper"), "{refused}");

    let without = ["-Fc", "-f", &dump, "--exclude-schema=session_reaper", &url];
    program("pg_dump", &without).unwrap();
    let entries = program("pg_restore", &["-l", &dump]).unwrap();
    let entries: Vec<&str> = entries
        .lines()
        .filter(|line| !line.contains("session_reaper"))
        .collect();
    std::fs::write(&list, entries.join("\n")).unwrap();
    let restored = Database::create_empty(server()).await;
    program("pg_restore", &["-L", &list, "-d", restored.url(), &dump]).unwrap();
    works(&restored).await;
}

#[tokio::test]
async fn a_role_that_may_read_all_data_dumps_everything() {
    let database = Database::create().await;
    let role = reader_of_public(&database).await;
    database
        .batch_execute(&format!("grant pg_read_all_data to {role}"))
        .await
        .unwrap();
    let url = database
        .url()
        .replace("user=postgres", &format!("user={role}"));
    let directory = Directory::new();
    let dump = directory.file("site.dump");
    program("pg_dump", &["-Fc", "-f", &dump, &url]).unwrap();
}
