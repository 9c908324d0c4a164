//! `status --watch`: how it stands, again and again, until Ctrl-C.

use std::{process::ExitCode, sync::Arc, time::Duration};

use tokio_postgres::Client;

use super::{Failure, screen::Screen, status::of_database};
use crate::{
    connection::Target,
    process::shutdown::{self, Stop},
    schema,
    settings::Settings,
    status::{
        self,
        lines::{Line, Tone},
    },
};

/// A database that goes away meanwhile is reported, and looked for again.
pub async fn watch(
    every: Duration,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let stop = Stop::default();
    shutdown::heed_signals(stop.clone(), Arc::default())?;
    let mut screen = Screen::on_stdout();
    let mut client = None;
    while let Some(looked) = stop
        .run_until_stopped(look(&mut client, target, settings))
        .await
    {
        let mut lines = vec![of_database(target)];
        match looked {
            Ok(seen) => lines.extend(seen),
            Err(error) => {
                client = None;
                lines.push(Line {
                    about: "not known",
                    says: error.to_string(),
                    tone: Tone::Bad,
                });
            }
        }
        if screen.show(&lines).is_err() {
            // The reader has gone.
            break;
        }
        stop.run_until_stopped(tokio::time::sleep(every)).await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(
    client: &mut Option<Client>,
    target: &Target,
    settings: &Settings,
) -> Result<Vec<Line>, schema::Error> {
    let client = match client {
        Some(client) if !client.is_closed() => client,
        _ => {
            let (opened, connection) = target.connect().await?;
            tokio::spawn(connection);
            client.insert(opened)
        }
    };
    Ok(status::read_whole(client, settings).await?.lines())
}
