//! Damaged data of every format, by the hundred thousand: nothing panics, and nothing takes more than its share.
//!
//! `FUZZ_SECONDS=60 cargo test codec::fuzz` goes on for a minute a format; `FUZZ_SEED` repeats a run.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fastrand::Rng;
use miniz_oxide::deflate::compress_to_vec_zlib;

use super::*;

const INPUTS: usize = 100_000;

// What a format is spelt in, so that damage can be done below the armour as well as to it.
#[derive(Clone, Copy)]
pub(super) enum Armour {
    None,
    Standard,
    Signed,
    Packed,
}

impl Armour {
    fn around(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::None => data.to_vec(),
            Self::Standard => STANDARD.encode(data).into(),
            Self::Signed => format!("{}:1:x", URL_SAFE_NO_PAD.encode(data)).into(),
            Self::Packed => format!(
                ".{}:1:x",
                URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(data, 1))
            )
            .into(),
        }
    }
}

fn damaged(rng: &mut Rng, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut data = samples[rng.usize(..samples.len())].clone();
    damage(rng, &mut data, samples);
    while rng.bool() {
        damage(rng, &mut data, samples);
    }
    data.truncate(1 << 16);
    data
}

fn damage(rng: &mut Rng, data: &mut Vec<u8>, samples: &[Vec<u8>]) {
    const TELLING: &[u8] = b"\0\x01\x7f\x80\xff{}[]\":;,aOsiNRCE@IU019-\xdf\xdd\xc6\xc1";
    let at = rng.usize(..=data.len());
    match rng.u8(..7) {
        0 if at < data.len() => data[at] ^= 1 << rng.u8(..8),
        1 if at < data.len() => data[at] = TELLING[rng.usize(..TELLING.len())],
        2 => data.truncate(at),
        3 => data.insert(at, rng.u8(..)),
        4 => {
            let other = &samples[rng.usize(..samples.len())];
            data.truncate(at);
            data.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
        5 => {
            let copied = data[at..data.len().min(at + 16)].repeat(rng.usize(..40));
            data.splice(at..at, copied);
        }
        _ => drop(data.drain(at..data.len().min(at + rng.usize(1..20)))),
    }
}

fn seed() -> u64 {
    let given = std::env::var("FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or(20_261_124)
}

// A fixed number of inputs, or as many as fit into the time that was asked for.
pub(super) fn fuzz(codec: &Codec, armours: &[Armour], samples: &[Vec<u8>]) {
    let seconds: Option<u64> = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seed = seed();
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let (mut users, mut tried) = (0, 0);
    while until.map_or(tried < INPUTS, |until| Instant::now() < until) {
        let data = damaged(&mut rng, samples);
        let mut data = armours[rng.usize(..armours.len())].around(&data);
        if rng.u8(..8) == 0 {
            damage(&mut rng, &mut data, samples);
        }
        if let Found::User(id) = codec.find_user(&data) {
            assert!(
                !id.is_empty() && id.len() <= MAX_USER_BYTES && !id.contains('\0'),
                "{id:?}"
            );
            users += 1;
        }
        tried += 1;
    }
    println!("{tried} inputs, {users} with a user");
    // Damage that hits everything finds no fault behind the first check.
    assert!(
        users > tried / 100,
        "only {users} of {tried} were still read"
    );
}
