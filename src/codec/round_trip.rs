//! Random sessions, written by a small writer for each format, are read back as they were.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::*;

const SESSIONS: u64 = 2_000;

fn text(rng: &mut Rng) -> String {
    const LETTERS: [&str; 12] = [
        "a",
        "b",
        "id",
        "user",
        "0",
        "7",
        "-",
        "\"",
        "\\",
        ";}",
        "é",
        "\u{1f511}",
    ];
    (0..rng.usize(1..6))
        .map(|_| LETTERS[rng.usize(..LETTERS.len())])
        .collect()
}

fn id(rng: &mut Rng) -> Value {
    match rng.u8(..4) {
        0 => json!(rng.i64(..)),
        1 => json!(rng.i64(-300..70_000)),
        _ => json!(text(rng)),
    }
}

fn value(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth > 3 { 5 } else { 9 }) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(0.5),
        3 | 4 => id(rng),
        5 | 6 => (0..rng.usize(..4)).map(|_| value(rng, depth + 1)).collect(),
        _ => Value::Object(map(rng, depth + 1)),
    }
}

fn map(rng: &mut Rng, depth: usize) -> Map<String, Value> {
    // Not with a digit first: to PHP "0" is a number.
    (0..rng.usize(..6))
        .map(|_| (format!("k{}", text(rng)), value(rng, depth)))
        .collect()
}

// A session, the way to a user who is put into it, and the user.
fn planted(rng: &mut Rng) -> (Value, Vec<String>, Value) {
    let mut session = map(rng, 0);
    let user = id(rng);
    let path = vec!["kfirst".to_owned(), "1".to_owned(), "klast".to_owned()];
    let mut inner = map(rng, 2);
    inner.insert("klast".to_owned(), user.clone());
    session.insert(
        "kfirst".to_owned(),
        json!([value(rng, 1), inner, value(rng, 1)]),
    );
    (Value::Object(session), path, user)
}

fn php(value: &Value) -> String {
    match value {
        Value::Null => "N;".to_owned(),
        Value::Bool(yes) => format!("b:{};", u8::from(*yes)),
        Value::Number(number) if number.is_f64() => format!("d:{number};"),
        Value::Number(number) => format!("i:{number};"),
        Value::String(text) => format!("s:{}:\"{text}\";", text.len()),
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(at, item)| format!("i:{at};{}", php(item)))
                .collect();
            format!("a:{}:{{{}}}", items.len(), items.concat())
        }
        Value::Object(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(key, item)| php(&json!(key)) + &php(item))
                .collect();
            format!("a:{}:{{{}}}", entries.len(), entries.concat())
        }
    }
}

// Ruby's Marshal. A text that was there before is a link to it, so the numbers of objects are tried, too.
#[derive(Default)]
struct Ruby {
    out: Vec<u8>,
    objects: Vec<Option<String>>,
    knows_encoding: bool,
}

impl Ruby {
    fn integer(&mut self, number: i64) {
        match number {
            0 => self.out.push(0),
            1..=122 => self.out.push((number + 5).to_le_bytes()[0]),
            -123..=-1 => self.out.push((number - 5).to_le_bytes()[0]),
            _ => {
                let bytes = i32::try_from(number).unwrap().to_le_bytes();
                self.out.push(if number < 0 { 0xfc } else { 4 });
                self.out.extend(bytes);
            }
        }
    }

    fn number(&mut self, number: i64) {
        if (-(1 << 30)..1 << 30).contains(&number) {
            self.out.push(b'i');
            return self.integer(number);
        }
        self.objects.push(None);
        self.out
            .extend([b'l', if number < 0 { b'-' } else { b'+' }, 9]);
        self.out.extend(number.unsigned_abs().to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        if let Some(at) = self
            .objects
            .iter()
            .position(|known| known.as_deref() == Some(text))
        {
            self.out.push(b'@');
            return self.integer(i64::try_from(at).unwrap());
        }
        self.objects.push(Some(text.to_owned()));
        self.out.extend(b"I\"");
        self.integer(i64::try_from(text.len()).unwrap());
        self.out.extend(text.bytes());
        self.out.extend(if self.knows_encoding {
            b"\x06;\0T".as_slice()
        } else {
            b"\x06:\x06ET"
        });
        self.knows_encoding = true;
    }

    fn write(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push(b'0'),
            Value::Bool(yes) => self.out.push(if *yes { b'T' } else { b'F' }),
            Value::Number(number) => match number.as_i64() {
                Some(number) => self.number(number),
                None => {
                    self.objects.push(None);
                    self.out.extend(b"f\x080.5");
                }
            },
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.objects.push(None);
                self.out.push(b'[');
                self.integer(i64::try_from(items.len()).unwrap());
                items.iter().for_each(|item| self.write(item));
            }
            Value::Object(map) => {
                self.objects.push(None);
                self.out.push(b'{');
                self.integer(i64::try_from(map.len()).unwrap());
                for (key, item) in map {
                    self.text(key);
                    self.write(item);
                }
            }
        }
    }
}

fn ruby(value: &Value) -> Vec<u8> {
    let mut ruby = Ruby::default();
    ruby.write(value);
    [b"\x04\x08", ruby.out.as_slice()].concat()
}

#[test]
fn what_was_put_in_is_found() {
    for seed in 0..SESSIONS {
        let (session, path, user) = planted(&mut Rng::with_seed(seed));
        let expected = match &user {
            Value::String(text) => Found::User(text.clone()),
            number => Found::User(number.to_string()),
        };
        let packed = rmp_serde::to_vec(&session).unwrap();
        let steps = step::Step::path(&path);
        let seek = path::Seek::user(&steps);
        assert_eq!(
            json::find_user(session.to_string().as_bytes(), &path),
            expected,
            "seed {seed}"
        );
        assert_eq!(
            message_pack::find_user(&packed, &path),
            expected,
            "seed {seed}"
        );
        assert_eq!(
            php::Php::whole(php(&session).as_bytes(), seek),
            Ok(expected.clone()),
            "seed {seed}"
        );
        assert_eq!(
            marshal::Marshal::whole(&ruby(&session), seek),
            Ok(expected),
            "seed {seed}"
        );
    }
}
