//! One user at a time: what ends, and what does not.

use crate::demo::error::Error;
use crate::demo::narrator::time;
use crate::demo::site;
use crate::demo::stage::Stage;

/// A plain UPDATE, as any program with a database connection can send it.
pub async fn password_change(stage: &mut Stage) -> Result<(), Error> {
    stage.narrator.heading("Alice's password changes, in SQL");
    let (alice, keys) = stage.user("alice", 3).await?;
    let (_, neighbours) = stage.user("bob", 2).await?;
    stage
        .narrator
        .act("update auth_user set password = '…' where username = 'alice'");
    site::change_password(&stage.actor, alice).await?;
    let took = stage.until_gone(&keys).await?;
    let revocation = stage.until_settled(alice, 3).await?;
    stage.check_alive(&neighbours, "of bob").await?;
    stage.narrator.fact(&format!(
        "all 3 of Alice's sessions ended, {} after the commit ({})",
        time(took),
        revocation.origin
    ));
    // Logged in with the new password, so not to be ended by the old change.
    let again = site::log_in(&stage.actor, &[alice]).await?;
    stage.check_alive(&again, "opened after the change").await?;
    stage
        .narrator
        .fact("Bob's 2 sessions live on, and so does the one that Alice opened since");
    stage.bystanders.extend(neighbours);
    stage.bystanders.extend(again);
    Ok(())
}

/// The app changes the password for its user, whose browser stays logged in.
pub async fn kept_session(stage: &mut Stage) -> Result<(), Error> {
    stage
        .narrator
        .heading("Carol changes hers in the app, and her browser stays logged in");
    let (carol, mut keys) = stage.user("carol", 3).await?;
    let kept = keys.split_off(2);
    stage
        .narrator
        .act("select set_config('session_reaper.keep_session', $1, true); update auth_user …");
    let transaction = stage.actor.transaction().await?;
    transaction
        .execute(
            "-- demo::scene::single::kept_session
             select set_config('session_reaper.keep_session', $1, true)",
            &[/* session_key */ &kept[0]],
        )
        .await?;
    site::change_password(&transaction, carol).await?;
    transaction.commit().await?;
    let took = stage.until_gone(&keys).await?;
    stage.until_settled(carol, 2).await?;
    stage
        .check_alive(&kept, "that the app asked to keep")
        .await?;
    stage.narrator.fact(&format!(
        "her 2 other sessions ended, {} after the commit",
        time(took)
    ));
    stage
        .narrator
        .fact("the session that the app asked to keep lives on");
    stage.bystanders.extend(kept);
    Ok(())
}

/// An operator ends a user's sessions without touching the password.
pub async fn by_hand(stage: &mut Stage) -> Result<(), Error> {
    stage.narrator.heading("Somebody asks by hand");
    let (dave, keys) = stage.user("dave", 2).await?;
    let statement = format!("notify session_reaper, '{dave}'");
    stage.narrator.act(&statement);
    stage.actor.batch_execute(&statement).await?;
    let took = stage.until_gone(&keys).await?;
    let revocation = stage.until_settled(dave, 2).await?;
    stage.narrator.fact(&format!(
        "Dave's 2 sessions ended after {} ({})",
        time(took),
        revocation.origin
    ));
    Ok(())
}
