//! `config`: what is in force, and where each value came from.

use std::{path::Path, process::ExitCode};

use serde_json::{Value, json};

use super::Failure;
use crate::{
    connection,
    settings::{self, Environment, Settings, Stated},
};

/// Prints every setting, as a file of settings would say it.
pub fn config(
    path: Option<&Path>,
    settings: &Settings,
    environment: &Environment,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let wrong = |error: settings::Error| Failure::Setting(error.into());
    let all = settings::stated(path, environment).map_err(wrong)?;
    let named = connection::named_by(&settings.database, environment)
        .map_err(|error| Failure::Setting(error.into()))?;
    let target = connection::Target::resolve(&settings.database, environment)
        .map_err(|error| Failure::Setting(error.into()))?;
    if as_json {
        let settings: Vec<Value> = all.iter().map(as_object).collect();
        let database = json!({ "is": target.describe(), "named_by": named });
        println!("{}", json!({ "database": database, "settings": settings }));
    } else {
        let named = named.as_deref().unwrap_or("PG* variables and defaults");
        println!("# {}, named by {named}", target.describe());
        print(&all);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(all: &[Stated]) {
    let mut section = "";
    for one in all {
        if section != one.section {
            section = &one.section;
            println!("\n[{section}]");
        }
        match &one.value {
            Some(value) => println!("{:<40} # {}", format!("{} = {value}", one.key), one.origin),
            None => println!("# {} is not set", one.key),
        }
    }
}

fn as_object(one: &Stated) -> Value {
    json!({
        "section": one.section,
        "key": one.key,
        "value": one.value,
        "from": one.origin.to_string(),
    })
}
