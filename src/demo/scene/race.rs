//! What goes wrong where a change is noticed by polling a column, or by a clock.

use std::time::Duration;

use crate::demo::database::connect;
use crate::demo::error::{Error, check};
use crate::demo::narrator::time;
use crate::demo::site;
use crate::demo::stage::Stage;

/// How long the slow login of the story takes after the change.
const SLOW_LOGIN: Duration = Duration::from_millis(300);

/// A change that rolls back never happened.
pub async fn roll_back(stage: &mut Stage) -> Result<(), Error> {
    stage
        .narrator
        .heading("A change that rolls back ends nothing");
    let (erin, keys) = stage.user("erin", 2).await?;
    stage
        .narrator
        .act("begin; update auth_user set password = '…' where username = 'erin'; rollback");
    let transaction = stage.actor.transaction().await?;
    site::change_passwords(&transaction, &[erin]).await?;
    transaction.rollback().await?;
    // That nothing happens shows only once something that came later has happened.
    let (later, ended) = stage.user("frank", 1).await?;
    site::change_passwords(&stage.actor, &[later]).await?;
    stage.until_gone(&ended).await?;
    stage.until_settled(later).await?;
    check(stage.revocation(erin).await?.is_none(), || {
        "no revocation of erin is left".to_owned()
    })?;
    stage.check_alive(&keys, "of erin").await?;
    stage
        .narrator
        .fact("Erin's 2 sessions live on, after a change made later has been settled");
    stage.bystanders.extend(keys);
    Ok(())
}

/// The case that a single look at the table misses: the login read the old password, and commits its session
/// after the daemon has looked.
pub async fn login_in_flight(stage: &mut Stage, url: &str) -> Result<(), Error> {
    stage
        .narrator
        .heading("Mallory logs in with Grace's old password while it changes");
    let (grace, keys) = stage.user("grace", 2).await?;
    let mut mallory = connect(url, "demo-login").await?;
    let login = mallory.transaction().await?;
    stage
        .narrator
        .act("Mallory: begin; select password …        (the old one, and it is right)");
    login
        .query_one(
            "select password from auth_user where id = $1",
            &[/* id */ &grace],
        )
        .await?;
    stage
        .narrator
        .act("Grace:   update auth_user set password = '…'");
    site::change_passwords(&stage.actor, &[grace]).await?;
    let took = stage.until_gone(&keys).await?;
    stage.narrator.fact(&format!(
        "Grace's 2 old sessions ended, {} after the commit",
        time(took)
    ));
    tokio::time::sleep(SLOW_LOGIN).await;
    let waiting = stage
        .revocation(grace)
        .await?
        .is_some_and(|found| found.state == "revoked");
    check(waiting, || {
        "the revocation stays open while the login is in flight".to_owned()
    })?;
    stage
        .narrator
        .fact("the revocation stays open: a transaction that began before the change still runs");

    stage
        .narrator
        .act("Mallory: insert into django_session …; commit");
    let late = site::log_in(&login, &[grace]).await?;
    check(site::count(&login, &late).await? == 1, || {
        "the late session is there".to_owned()
    })?;
    login.commit().await?;
    let took = stage.until_gone(&late).await?;
    let revocation = stage.until_settled(grace).await?;
    check(revocation.sessions_ended == 3, || {
        "the late session is counted with the others".to_owned()
    })?;
    stage.narrator.fact(&format!(
        "Mallory's session ended {} after its commit; settled",
        time(took)
    ));
    Ok(())
}
