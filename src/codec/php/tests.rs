//! The samples were written by PHP 8.2's `serialize` and `session_encode`. The classes of the tokens and their
//! `__serialize` were built after Symfony's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::codec::fuzz::{Armour, fuzz};
use crate::codec::{Codec, Format, Found, Reason};

const LARAVEL: &str = "YTo4OntzOjY6Il90b2tlbiI7czozOiJhYmMiO3M6MzoidXJsIjthOjE6e3M6ODoiaW50ZW5kZWQiO3M6MToieCI7fXM6NTA6ImxvZ2luX3dlYl81OWJhMzZhZGRjMmIyZjk0MDE1ODBmMDE0YzdmNThlYTRlMzA5ODlkIjtpOjQyO3M6MTc6InBhc3N3b3JkX2hhc2hfd2ViIjtzOjQ6IiQyeSQiO3M6NjoiX2ZsYXNoIjthOjI6e3M6Mzoib2xkIjthOjA6e31zOjM6Im5ldyI7YTowOnt9fXM6NToiZmxvYXQiO2Q6LTAuNTtzOjM6ImluZiI7ZDpJTkY7czozOiJvYmoiO086MTY6IkFwcFxFbnRpdHlcUGxhaW4iOjM6e3M6MjA6IgBBcHBcRW50aXR5XFBsYWluAGlkIjtpOjQzO3M6MjM6IgBBcHBcRW50aXR5XFBsYWluAGxvZ2luIjtzOjQ6Inpvw6siO3M6NDoiACoAeCI7YToyOntpOjA7YjoxO2k6MTtOO319fQ==";
const LARAVEL_UUID: &str = "YToyOntzOjY6Il90b2tlbiI7czoxOiJhIjtzOjUwOiJsb2dpbl93ZWJfNTliYTM2YWRkYzJiMmY5NDAxNTgwZjAxNGM3ZjU4ZWE0ZTMwOTg5ZCI7czozNjoiNmYzYzFlMmEtMDAwMC00MDAwLTgwMDAtMTIzNDU2Nzg5MGFiIjt9";
const LARAVEL_ANON: &str = "YToxOntzOjY6Il90b2tlbiI7czoxOiJhIjt9";
const LARAVEL_JSON: &str = "eyJfdG9rZW4iOiJhIiwibG9naW5fd2ViXzU5YmEzNmFkZGMyYjJmOTQwMTU4MGYwMTRjN2Y1OGVhNGUzMDk4OWQiOjQyfQ==";
const SYMFONY: &str = "X3NmMl9hdHRyaWJ1dGVzfGE6Mzp7czo3OiJfY3NyZi94IjtzOjE6InkiO3M6MjM6Il9zZWN1cml0eS5sYXN0X3VzZXJuYW1lIjtzOjEzOiJ6QGV4YW1wbGUub3JnIjtzOjE0OiJfc2VjdXJpdHlfbWFpbiI7czozODI6Ik86NzU6IlN5bWZvbnlcQ29tcG9uZW50XFNlY3VyaXR5XEh0dHBcQXV0aGVudGljYXRvclxUb2tlblxQb3N0QXV0aGVudGljYXRpb25Ub2tlbiI6Mjp7aTowO3M6NDoibWFpbiI7aToxO2E6NTp7aTowO086MTU6IkFwcFxFbnRpdHlcVXNlciI6NTp7czoxOToiAEFwcFxFbnRpdHlcVXNlcgBpZCI7aTo0MjtzOjIyOiIAQXBwXEVudGl0eVxVc2VyAGVtYWlsIjtzOjEzOiJ6QGV4YW1wbGUub3JnIjtzOjg6IgAqAHJvbGVzIjthOjE6e2k6MDtzOjk6IlJPTEVfVVNFUiI7fXM6MjE6IgBBcHBcRW50aXR5XFVzZXIAdXVpZCI7TjtzOjU6ImV4dHJhIjtkOjEuNTt9aToxO2I6MTtpOjI7TjtpOjM7YToxOntzOjE6ImEiO2k6MTt9aTo0O2E6MTp7aTowO3M6OToiUk9MRV9VU0VSIjt9fX0iO31fc2YyX21ldGF8YTozOntzOjE6InUiO2k6MTtzOjE6ImMiO2k6MjtzOjE6ImwiO2k6MDt9";
const SYMFONY_PLAIN: &str = "X3NmMl9hdHRyaWJ1dGVzfGE6MTp7czoxNDoiX3NlY3VyaXR5X21haW4iO3M6MzE1OiJPOjc0OiJTeW1mb255XENvbXBvbmVudFxTZWN1cml0eVxDb3JlXEF1dGhlbnRpY2F0aW9uXFRva2VuXFVzZXJuYW1lUGFzc3dvcmRUb2tlbiI6Mjp7aTowO3M6NDoibWFpbiI7aToxO2E6NTp7aTowO086MTY6IkFwcFxFbnRpdHlcUGxhaW4iOjM6e3M6MjA6IgBBcHBcRW50aXR5XFBsYWluAGlkIjtpOjQzO3M6MjM6IgBBcHBcRW50aXR5XFBsYWluAGxvZ2luIjtzOjQ6Inpvw6siO3M6NDoiACoAeCI7YToyOntpOjA7YjoxO2k6MTtOO319aToxO2I6MTtpOjI7TjtpOjM7YToxOntzOjE6ImEiO2k6MTt9aTo0O2E6MTp7aTowO3M6OToiUk9MRV9VU0VSIjt9fX0iO31fc2YyX21ldGF8YTozOntzOjE6InUiO2k6MTtzOjE6ImMiO2k6MjtzOjE6ImwiO2k6MDt9";
const SYMFONY_SWITCH: &str = "X3NmMl9hdHRyaWJ1dGVzfGE6MTp7czoxNDoiX3NlY3VyaXR5X21haW4iO3M6NzE4OiJPOjY4OiJTeW1mb255XENvbXBvbmVudFxTZWN1cml0eVxDb3JlXEF1dGhlbnRpY2F0aW9uXFRva2VuXFN3aXRjaFVzZXJUb2tlbiI6Mzp7aTowO086NzU6IlN5bWZvbnlcQ29tcG9uZW50XFNlY3VyaXR5XEh0dHBcQXV0aGVudGljYXRvclxUb2tlblxQb3N0QXV0aGVudGljYXRpb25Ub2tlbiI6Mjp7aTowO3M6NDoibWFpbiI7aToxO2E6NTp7aTowO086MTU6IkFwcFxFbnRpdHlcVXNlciI6NTp7czoxOToiAEFwcFxFbnRpdHlcVXNlcgBpZCI7aTo0MjtzOjIyOiIAQXBwXEVudGl0eVxVc2VyAGVtYWlsIjtzOjEzOiJ6QGV4YW1wbGUub3JnIjtzOjg6IgAqAHJvbGVzIjthOjE6e2k6MDtzOjk6IlJPTEVfVVNFUiI7fXM6MjE6IgBBcHBcRW50aXR5XFVzZXIAdXVpZCI7TjtzOjU6ImV4dHJhIjtkOjEuNTt9aToxO2I6MTtpOjI7TjtpOjM7YToxOntzOjE6ImEiO2k6MTt9aTo0O2E6MTp7aTowO3M6OToiUk9MRV9VU0VSIjt9fX1pOjE7czoyOiIveCI7aToyO2E6Mjp7aTowO3M6NDoibWFpbiI7aToxO2E6NTp7aTowO086MTY6IkFwcFxFbnRpdHlcUGxhaW4iOjM6e3M6MjA6IgBBcHBcRW50aXR5XFBsYWluAGlkIjtpOjQzO3M6MjM6IgBBcHBcRW50aXR5XFBsYWluAGxvZ2luIjtzOjQ6Inpvw6siO3M6NDoiACoAeCI7YToyOntpOjA7YjoxO2k6MTtOO319aToxO2I6MTtpOjI7TjtpOjM7YToxOntzOjE6ImEiO2k6MTt9aTo0O2E6MTp7aTowO3M6OToiUk9MRV9VU0VSIjt9fX19Ijt9X3NmMl9tZXRhfGE6Mzp7czoxOiJ1IjtpOjE7czoxOiJjIjtpOjI7czoxOiJsIjtpOjA7fQ==";
const SYMFONY_MEMORY: &str = "X3NmMl9hdHRyaWJ1dGVzfGE6MTp7czoxNDoiX3NlY3VyaXR5X21haW4iO3M6NTM4OiJPOjc1OiJTeW1mb255XENvbXBvbmVudFxTZWN1cml0eVxIdHRwXEF1dGhlbnRpY2F0b3JcVG9rZW5cUG9zdEF1dGhlbnRpY2F0aW9uVG9rZW4iOjI6e2k6MDtzOjQ6Im1haW4iO2k6MTthOjU6e2k6MDtPOjQ5OiJTeW1mb255XENvbXBvbmVudFxTZWN1cml0eVxDb3JlXFVzZXJcSW5NZW1vcnlVc2VyIjo0OntzOjU5OiIAU3ltZm9ueVxDb21wb25lbnRcU2VjdXJpdHlcQ29yZVxVc2VyXEluTWVtb3J5VXNlcgB1c2VybmFtZSI7czo2OiJtZW1vcnkiO3M6NTk6IgBTeW1mb255XENvbXBvbmVudFxTZWN1cml0eVxDb3JlXFVzZXJcSW5NZW1vcnlVc2VyAHBhc3N3b3JkIjtzOjE6IngiO3M6NTY6IgBTeW1mb255XENvbXBvbmVudFxTZWN1cml0eVxDb3JlXFVzZXJcSW5NZW1vcnlVc2VyAHJvbGVzIjthOjA6e31zOjU4OiIAU3ltZm9ueVxDb21wb25lbnRcU2VjdXJpdHlcQ29yZVxVc2VyXEluTWVtb3J5VXNlcgBlbmFibGVkIjtiOjE7fWk6MTtiOjE7aToyO047aTozO2E6MTp7czoxOiJhIjtpOjE7fWk6NDthOjE6e2k6MDtzOjk6IlJPTEVfVVNFUiI7fX19Ijt9X3NmMl9tZXRhfGE6Mzp7czoxOiJ1IjtpOjE7czoxOiJjIjtpOjI7czoxOiJsIjtpOjA7fQ==";
const SYMFONY_ANON: &str = "X3NmMl9hdHRyaWJ1dGVzfGE6MDp7fV9zZjJfbWV0YXxhOjM6e3M6MToidSI7aToxO3M6MToiYyI7aToyO3M6MToibCI7aTowO30=";

fn laravel(data: impl AsRef<[u8]>) -> Found {
    Codec::from(Format::Laravel).find_user(data.as_ref())
}

fn symfony(session: &str, user: [&str; 2]) -> Found {
    let codec = Codec {
        format: Format::Symfony,
        user: user.map(str::to_owned).to_vec(),
    };
    codec.find_user(&STANDARD.decode(session).unwrap())
}

fn payload(session: &str) -> String {
    STANDARD.encode(session)
}

fn guard(name: &str, user: &str) -> String {
    let key = format!("login_{name}_59ba36addc2b2f9401580f014c7f58ea4e30989d");
    format!("s:{}:\"{key}\";{user}", key.len())
}

fn user(id: &str) -> Found {
    Found::User(id.to_owned())
}

#[test]
fn laravel_is_read_in_both_of_its_serializations() {
    assert_eq!(laravel(LARAVEL), user("42"));
    assert_eq!(
        laravel(LARAVEL_UUID),
        user("6f3c1e2a-0000-4000-8000-1234567890ab")
    );
    assert_eq!(laravel(LARAVEL_JSON), user("42"));
    assert_eq!(laravel(LARAVEL_ANON), Found::Anonymous);
    assert_eq!(laravel(payload("a:0:{}")), Found::Anonymous);
    assert_eq!(laravel(payload("{}")), Found::Anonymous);
}

#[test]
fn an_encrypted_session_is_called_so() {
    let encrypted = payload(&payload(
        r#"{"iv":"AAAA","value":"AAAA","mac":"00","tag":""}"#,
    ));
    assert_eq!(laravel(encrypted), Found::Unreadable(Reason::Encrypted));
}

#[test]
fn of_several_guards_none_is_guessed_and_the_named_one_counts() {
    let both = payload(&format!(
        "a:2:{{{}{}}}",
        guard("admin", "i:1;"),
        guard("web", "i:2;")
    ));
    let alike = payload(&format!(
        "a:2:{{{}{}}}",
        guard("admin", "i:2;"),
        guard("web", "i:2;")
    ));
    assert_eq!(laravel(&both), Found::Unreadable(Reason::Ambiguous));
    assert_eq!(laravel(&alike), user("2"));
    let named = Codec {
        format: Format::Laravel,
        user: vec!["login_web_".to_owned()],
    };
    assert_eq!(named.find_user(both.as_bytes()), user("2"));
}

#[test]
fn symfony_names_its_user_inside_the_token() {
    assert_eq!(symfony(SYMFONY, ["_security_", "id"]), user("42"));
    assert_eq!(
        symfony(SYMFONY, ["_security_main", "email"]),
        user("z@example.org")
    );
    assert_eq!(symfony(SYMFONY_PLAIN, ["_security_", "login"]), user("zoë"));
    assert_eq!(
        symfony(SYMFONY_MEMORY, ["_security_", "username"]),
        user("memory")
    );
    assert_eq!(
        symfony(SYMFONY_ANON, ["_security_", "id"]),
        Found::Anonymous
    );
    assert_eq!(symfony(SYMFONY, ["_security_api", "id"]), Found::Anonymous);
}

#[test]
fn who_impersonates_somebody_is_still_the_one_who_logged_in() {
    assert_eq!(symfony(SYMFONY_SWITCH, ["_security_", "id"]), user("42"));
}

#[test]
fn a_token_without_the_property_is_not_anonymous() {
    for property in ["uuid", "nothing", "a", "roles"] {
        assert_eq!(
            symfony(SYMFONY, ["_security_", property]),
            Found::Unreadable(Reason::NotKey),
            "{property}"
        );
    }
}

#[test]
fn the_handler_that_serializes_the_whole_session_is_read_too() {
    let token = r#"O:5:"Token":1:{i:0;O:4:"User":1:{s:2:"id";i:7;}}"#;
    let attributes = format!(
        r#"a:1:{{s:14:"_security_main";s:{}:"{token}";}}"#,
        token.len()
    );
    let whole = format!(r#"a:2:{{s:1:"x";E:6:"Suit:A";s:15:"_sf2_attributes";{attributes}}}"#);
    assert_eq!(
        symfony(&STANDARD.encode(whole), ["_security_", "id"]),
        user("7")
    );
}

#[test]
fn claims_of_hostile_data_cost_nothing() {
    use Reason::{Malformed, NotKey, TooDeep, Truncated};
    let deep = format!("{}N;{}", "a:1:{i:0;".repeat(100_000), "}".repeat(100_000));
    let cases = [
        ("".to_owned(), Truncated),
        ("a:99999999999:{".to_owned(), Truncated),
        ("a:99999999999999999999999:{".to_owned(), Malformed),
        ("a:-1:{}".to_owned(), Malformed),
        (
            "a:1:{s:18446744073709551615:\"x\";N;}".to_owned(),
            Truncated,
        ),
        ("a:1:{s:4:\"x\";N;}".to_owned(), Malformed),
        ("a:1:{a:0:{}N;}".to_owned(), Malformed),
        ("a:0:{}a:0:{}".to_owned(), Malformed),
        ("C:1:\"x\":4294967295:{".to_owned(), Truncated),
        ("b".to_owned(), Truncated),
        (format!("a:1:{{{}}}", guard("web", "s:0:\"\";")), NotKey),
        (
            format!("a:1:{{{}}}", guard("web", "s:3:\"4\x002\";")),
            NotKey,
        ),
        (format!("a:1:{{{}}}", guard("web", "R:1;")), NotKey),
        (
            format!("a:1:{{{}}}", guard("web", "i:99999999999999999999;")),
            Malformed,
        ),
        (deep, TooDeep),
    ];
    for (session, reason) in cases {
        assert_eq!(
            laravel(payload(&session)),
            Found::Unreadable(reason),
            "{:.60}",
            session
        );
    }
}

#[test]
fn damage_of_any_kind_is_survived() {
    let samples = [LARAVEL, LARAVEL_UUID, LARAVEL_JSON].map(|data| STANDARD.decode(data).unwrap());
    fuzz(&Format::Laravel.into(), &[Armour::Standard], &samples);
    let samples = [SYMFONY, SYMFONY_PLAIN, SYMFONY_SWITCH, SYMFONY_MEMORY]
        .map(|data| STANDARD.decode(data).unwrap());
    fuzz(&Format::Symfony.into(), &[Armour::None], &samples);
}
