//! What the README and the pages of docs/ show is what the tests run, and what they point to is there.

use std::{fs, path::Path};

#[test]
fn the_page_on_django_shows_the_receivers_that_the_django_tests_run() {
    let code = include_str!("../../django/linking/models.py");
    let shown = &code[code.find("import logging").unwrap()..];
    assert!(include_str!("../../../docs/django.md").contains(shown));
}

/// Those are what the tests type on a machine that systemd has booted.
#[test]
fn the_readme_installs_by_the_commands_of_the_page_on_installing() {
    let page = include_str!("../../../docs/installing.md");
    let blocks: Vec<&str> = page
        .split("<!-- test: install -->\n")
        .skip(1)
        .filter_map(|rest| rest.split_inclusive("\n```\n").next())
        .collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        assert!(
            include_str!("../../../README.md").contains(block),
            "{block}"
        );
    }
}

#[test]
fn the_readme_states_every_promise_that_it_keeps() {
    let readme = include_str!("../../../README.md");
    for promise in ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8"] {
        assert!(readme.contains(promise), "{promise}");
    }
}

#[test]
fn the_page_on_open_connections_shows_the_sockets_that_the_tests_close() {
    for (code, from) in [
        (
            include_str!("../../django/sockets/consumers.py"),
            "from channels",
        ),
        (
            include_str!("../../django/sockets/management/commands/close_sockets.py"),
            "import json",
        ),
        (include_str!("../../apps/express/sockets.mjs"), "import pg"),
    ] {
        let shown = &code[code.find(from).unwrap()..];
        assert!(
            include_str!("../../../docs/open-connections.md").contains(shown),
            "{from}"
        );
    }
}

/// Every page that an operator or a developer reads, with its path.
fn pages() -> Vec<(std::path::PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in [root.to_owned(), root.join("docs"), root.join("sql")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    pages
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    for (path, text) in pages() {
        let folder = path.parent().unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap();
            assert!(
                link.contains("://") || link.starts_with('#') || folder.join(file).exists(),
                "{} links to {link}",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in pages() {
        for named in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "sql/", "tests/", "docs/", "migrations/", "systemd/"]
                .iter()
                .any(|folder| named.starts_with(folder));
            if is_path && !named.contains(['*', ' ']) && !named.contains("NAME") {
                assert!(
                    root.join(named).exists(),
                    "{} names {named}",
                    path.display()
                );
            }
        }
    }
}
