//! `doctor`: prints what was found.

use std::process::ExitCode;

use super::{Failure, arguments::Doctor};
use crate::{
    connection::Target,
    doctor::{self, Finding, Verdict},
    settings::Settings,
};

pub async fn doctor(
    arguments: &Doctor,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let findings = doctor::examine(target, settings).await;
    if arguments.json {
        println!("{}", serde_json::to_string(&findings)?);
    } else {
        print(&findings);
    }
    let failed = count(&findings, Verdict::Fail) > 0;
    let warned = count(&findings, Verdict::Warn) > 0;
    Ok(if failed || arguments.strict && warned {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(findings: &[Finding]) {
    for finding in findings.iter().filter(|finding| !finding.silenced) {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let name = finding.id.unwrap_or(finding.check);
        println!("{verdict:<4}  {name:<27}  {}", finding.says);
        if let Some(mend) = &finding.mend {
            println!("{:35}{mend}", "");
        }
    }
    let silenced = findings.iter().filter(|finding| finding.silenced).count();
    println!(
        "{} fail, {} to know{}",
        count(findings, Verdict::Fail),
        count(findings, Verdict::Warn),
        match silenced {
            0 => String::new(),
            more => format!(", {more} silenced"),
        }
    );
}

/// Those that count.
fn count(findings: &[Finding], verdict: Verdict) -> usize {
    let is = |finding: &&Finding| finding.verdict == verdict && !finding.silenced;
    findings.iter().filter(is).count()
}
