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
    site::change_password(&transaction, erin).await?;
    transaction.rollback().await?;
    // That nothing happens shows only once something that came later has happened.
    let (later, ended) = stage.user("frank", 1).await?;
    site::change_password(&stage.actor, later).await?;
    stage.until_gone(&ended).await?;
    stage.until_settled(later, 1).await?;
    check(stage.revocation(erin).await?.is_none(), || {
        "there should be no revocation of erin".to_owned()
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
            "-- demo::scene::race::login_in_flight
             select password from auth_user where id = $1",
            &[/* id */ &grace],
        )
        .await?;
    let fresh = change_meanwhile(stage, grace, &keys).await?;
    stage
        .narrator
        .act("Mallory: insert into django_session …; commit");
    let late = site::log_in(&login, &[grace]).await?;
    check(site::count(&login, &late).await? == 1, || {
        "Mallory's session should be there until it is committed".to_owned()
    })?;
    login.commit().await?;
    let took = stage.until_gone(&late).await?;
    stage.until_settled(grace, 3).await?;
    stage
        .check_alive(&fresh, "that Grace opened with the new password")
        .await?;
    stage.narrator.fact(&format!(
        "Mallory's session ended {} after its commit; Grace's new one lives on",
        time(took)
    ));
    stage.bystanders.extend(fresh);
    Ok(())
}

// Grace changes her password and logs in with it, while another login, Mallory's, has not ended.
async fn change_meanwhile(stage: &Stage, grace: i32, old: &[String]) -> Result<Vec<String>, Error> {
    let Stage {
        narrator, actor, ..
    } = stage;
    narrator.act("Grace:   update auth_user set password = '…'");
    site::change_password(actor, grace).await?;
    let took = stage.until_gone(old).await?;
    narrator.fact(&format!(
        "Grace's 2 old sessions ended, {} after the commit",
        time(took)
    ));
    narrator.act("Grace:   logs in with the new one");
    let fresh = site::log_in(actor, &[grace]).await?;
    tokio::time::sleep(SLOW_LOGIN).await;
    let state = stage.revocation(grace).await?.map(|found| found.state);
    check(state.as_deref() == Some("revoked"), || {
        "the revocation should stay open while a login is in flight".to_owned()
    })?;
    narrator
        .fact("the revocation stays open: a transaction that began before the change still runs");
    Ok(fresh)
}
