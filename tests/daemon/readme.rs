//! What the README shows is what the tests run.

#[test]
fn the_readme_shows_the_receivers_that_the_django_tests_run() {
    let code = include_str!("../django/linking/models.py");
    let shown = &code[code.find("import logging").unwrap()..];
    assert!(include_str!("../../README.md").contains(shown));
}

#[test]
fn the_readme_states_every_promise_that_it_keeps() {
    let readme = include_str!("../../README.md");
    for promise in ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8"] {
        assert!(readme.contains(promise), "{promise}");
    }
}

#[test]
fn the_readme_shows_the_sockets_that_the_tests_close() {
    for (code, from) in [
        (
            include_str!("../django/sockets/consumers.py"),
            "from channels",
        ),
        (
            include_str!("../django/sockets/management/commands/close_sockets.py"),
            "import json",
        ),
        (include_str!("../apps/express/sockets.mjs"), "import pg"),
    ] {
        let shown = &code[code.find(from).unwrap()..];
        assert!(include_str!("../../README.md").contains(shown), "{from}");
    }
}
