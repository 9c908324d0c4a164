//! `policies`: who has too many sessions, or too old ones.

use std::{collections::BTreeMap, process::ExitCode};

use super::{Failure, arguments::Policies, user};
use crate::{
    connection::Target,
    policy::{
        enforcer::Enforcer,
        over::{self, Over},
    },
    process::shutdown::Stop,
    schema,
    settings::Settings,
    wording::{count, count_of},
    worker::{InForce, passing::past_locks},
};

pub async fn policies(
    arguments: &Policies,
    settings: Settings,
    target: &Target,
) -> Result<ExitCode, Failure> {
    let client = user::connect(target).await?;
    let stop = Stop::default();
    past_locks(&stop, async || schema::check(&client, &settings.site).await).await?;
    if !settings.policy.any() {
        eprintln!("nothing is limited: no policy is set under [policy]");
    }
    if arguments.dry_run {
        let found = past_locks(&stop, async || over::find(&client, &settings.policy).await).await?;
        print_over(&found, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (_sender, in_force) = InForce::new(settings);
    let mut enforcer = Enforcer::new(target.database()?, in_force);
    let ended = enforcer.enforce_all(&stop).await?;
    if arguments.json {
        println!("{}", serde_json::json!({ "sessions": ended }));
    } else {
        println!("{} ended", count_of(ended, "session"));
    }
    Ok(ExitCode::SUCCESS)
}

fn print_over(found: &[Over], json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string(found)?);
        return Ok(());
    }
    let mut users: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for over in found {
        *users.entry((&over.user, &over.reason)).or_default() += 1;
    }
    for ((user, reason), sessions) in &users {
        println!("user {user}: {}, {reason}", count(*sessions, "session"));
    }
    let people = users.keys().map(|(user, _)| user);
    let people = people.collect::<std::collections::BTreeSet<_>>().len();
    println!(
        "{} of {} would end",
        count(found.len() as u64, "session"),
        count(people as u64, "user")
    );
    Ok(())
}
