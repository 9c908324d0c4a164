//! `doctor`: prints what was found.

use std::process::ExitCode;

use super::Failure;
use crate::{
    connection::Target,
    doctor::{self, Finding, Verdict},
    settings::Settings,
};

pub async fn doctor(target: &Target, settings: &Settings, json: bool) -> Result<ExitCode, Failure> {
    let findings = doctor::examine(target, settings).await;
    if json {
        println!("{}", serde_json::to_string(&findings)?);
    } else {
        print(&findings);
    }
    let failed = count(&findings, Verdict::Fail) > 0;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(findings: &[Finding]) {
    for Finding {
        check,
        verdict,
        says,
    } in findings
    {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        println!("{verdict:<4}  {check:<13}  {says}");
    }
    println!(
        "{} fail, {} to know",
        count(findings, Verdict::Fail),
        count(findings, Verdict::Warn)
    );
}

fn count(findings: &[Finding], verdict: Verdict) -> usize {
    let is = |finding: &&Finding| finding.verdict == verdict;
    findings.iter().filter(is).count()
}
