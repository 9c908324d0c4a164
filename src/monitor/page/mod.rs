//! The page for people: what `status` and `history` show, in one text without anything from elsewhere. It only shows, and
//! needs no JavaScript. No session key is in it (P7), as there is none in what it is made from.

mod html;
mod plot;

use std::{fmt::Write, sync::OnceLock, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::observer::{Sight, View};
use crate::{
    history::Entry,
    status::{Status, lines::Tone},
};
use html::escaped;

const STYLE: &str = include_str!("style.css");

/// How often a browser asks again, in seconds.
const REFRESH_S: u32 = 5;

/// What it is made from.
pub struct Page<'a> {
    pub database: &'a str,
    pub serves: bool,
    /// How the daemon is, in words.
    pub how: &'a str,
    pub sight: &'a Sight,
}

/// What a browser may do with it: nothing but to take the style that is in it.
pub fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    })
}

impl Page<'_> {
    /// As HTML.
    pub fn text(&self) -> String {
        let mut body = self.heading();
        match &self.sight.view {
            Ok(view) => body += &in_full(view),
            Err(blind) => {
                let _ = write!(
                    body,
                    "<p class=\"bad\">How it stands in the database is not known: {}</p>",
                    escaped(&blind.why)
                );
            }
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"refresh\" content=\"{REFRESH_S}\">\
             <title>session-reaper</title><style>{STYLE}</style></head>\n\
             <body><main>\n{body}</main></body></html>\n"
        )
    }

    fn heading(&self) -> String {
        let tone = if self.serves { "good" } else { "bad" };
        format!(
            "<h1>session-reaper</h1>\n<p>{database}, <time>{at}</time></p>\n\
             <p>This daemon ({version}): <strong class=\"{tone}\">{how}</strong></p>\n",
            database = escaped(self.database),
            at = in_utc(self.sight.at),
            version = env!("CARGO_PKG_VERSION"),
            how = escaped(self.how),
        )
    }
}

fn in_full(view: &View) -> String {
    let open = table("Open revocations", "none is open", &view.open);
    let last = table("Last revocations", "none yet", &view.history);
    let plot = plot::plot(&view.points);
    format!("{}{open}{plot}{last}", state(&view.status))
}

fn state(status: &Status) -> String {
    let mut rows = String::new();
    for line in status.lines() {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td class=\"{}\">{}</td></tr>",
            escaped(line.about),
            class(line.tone),
            escaped(&line.says)
        );
    }
    format!("<table class=\"state\">\n{rows}</table>\n")
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Noteworthy => "noteworthy",
        Tone::Bad => "bad",
    }
}

fn table(title: &str, nothing: &str, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return format!("<h2>{title}</h2>\n<p>{nothing}</p>\n");
    }
    let mut rows = String::new();
    for entry in entries {
        let asked_by = match entry.application.as_str() {
            "" => entry.asked_by.clone(),
            application => format!("{} ({application})", entry.asked_by),
        };
        let number = entry.revocation.to_string();
        let cells = [
            &entry.asked_at,
            &number,
            &entry.of(),
            &entry.reason,
            &asked_by,
            &entry.outcome(),
        ]
        .map(|cell| format!("<td>{}</td>", escaped(cell)));
        let _ = writeln!(rows, "<tr>{}</tr>", cells.concat());
    }
    format!(
        "<h2>{title}</h2>\n<table>\n<thead><tr><th>when</th><th>number</th><th>whose sessions</th>\
         <th>reason</th><th>asked by</th><th>what came of it</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
    )
}

fn in_utc(at: SystemTime) -> String {
    DateTime::<Utc>::from(at)
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
