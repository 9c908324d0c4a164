//! Inflating what is small. Most sessions are some hundred bytes, and for these the tables that make a decompressor fast
//! over megabytes take three times as long to be made as everything else.
//!
//! Nothing here says what is wrong with a stream, or judges a large one: that is left to the other one. What this one
//! does inflate agrees with the checksum at its end.

/// No more than this is looked at, packed.
const MOST_PACKED: usize = 2_048;

/// Nor unpacked.
const MOST_PLAIN: usize = 1 << 16;

/// Codes of no more bits than this are looked up, others are searched.
const QUICK_BITS: usize = 8;

const LENGTHS: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_BITS: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
/// In which order the lengths of the code for lengths stand.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Inflates a zlib stream (RFC 1950, 1951); nothing if that is not for here.
pub(super) fn zlib(packed: &[u8]) -> Option<Vec<u8>> {
    let body = packed.strip_prefix(&[0x78])?;
    let flags = u16::from(*body.first()?);
    if packed.len() > MOST_PACKED || (0x7800 + flags) % 31 != 0 || flags & 0x20 != 0 {
        return None;
    }
    let mut bits = Bits::of(&body[1..]);
    let mut plain = Vec::with_capacity(packed.len() * 3);
    loop {
        let is_last = bits.take(1)? == 1;
        let (literals, distances) = match bits.take(2)? {
            1 => fixed()?,
            2 => dynamic(&mut bits)?,
            _ => return None,
        };
        block(&mut bits, &literals, &distances, &mut plain)?;
        if is_last {
            break;
        }
    }
    let checksum = bits.rest()?.first_chunk().copied()?;
    (u32::from_be_bytes(checksum) == adler32(&plain)).then_some(plain)
}

fn block(bits: &mut Bits, literals: &Code, distances: &Code, plain: &mut Vec<u8>) -> Option<()> {
    while plain.len() <= MOST_PLAIN {
        let symbol = literals.read(bits)?;
        if let Ok(byte) = u8::try_from(symbol) {
            plain.push(byte);
            continue;
        }
        let Some(place) = symbol.checked_sub(257) else {
            return Some(());
        };
        let length = usize::from(*LENGTHS.get(place)?) + bits.take(LENGTH_BITS[place].into())?;
        let place = distances.read(bits)?;
        let more = (place / 2).saturating_sub(1);
        let distance = usize::from(*DISTANCES.get(place)?) + bits.take(more)?;
        let from = plain.len().checked_sub(distance)?;
        // It may repeat what it has only just written.
        for at in from..from + length {
            plain.push(plain[at]);
        }
    }
    None
}

fn fixed() -> Option<(Code, Code)> {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    Some((Code::of(&lengths)?, Code::of(&[5; 30])?))
}

fn dynamic(bits: &mut Bits) -> Option<(Code, Code)> {
    let literals = bits.take(5)? + 257;
    let all = literals + bits.take(5)? + 1;
    let mut of_lengths = [0; 19];
    for place in &ORDER[..bits.take(4)? + 4] {
        of_lengths[*place] = u8::try_from(bits.take(3)?).ok()?;
    }
    let of_lengths = Code::of(&of_lengths)?;
    let mut lengths = Vec::<u8>::with_capacity(all);
    while lengths.len() < all {
        let (length, times) = match of_lengths.read(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (u8::try_from(length).ok()?, 1),
        };
        lengths.resize(lengths.len() + times, length);
    }
    if lengths.len() > all {
        return None;
    }
    Some((
        Code::of(&lengths[..literals])?,
        Code::of(&lengths[literals..])?,
    ))
}

/// A canonical Huffman code.
struct Code {
    /// Symbol and length for what may stand next; no length for longer codes.
    quick: [u16; 1 << QUICK_BITS],
    /// How many symbols have a code of each length.
    counts: [u16; 16],
    /// The symbols, in the order of their codes.
    symbols: [u16; 288],
}

impl Code {
    /// The code in which symbols have these lengths; nothing if there is none.
    fn of(lengths: &[u8]) -> Option<Self> {
        let mut code = Self {
            quick: [0; 1 << QUICK_BITS],
            counts: [0; 16],
            symbols: [0; 288],
        };
        for length in lengths {
            code.counts[usize::from(*length)] += 1;
        }
        code.counts[0] = 0;
        let (mut words, mut places) = ([0_u16; 16], [0_u16; 16]);
        for length in 1..16 {
            let count = code.counts[length - 1];
            words[length] = (words[length - 1] + count) << 1;
            places[length] = places[length - 1] + count;
            if u32::from(words[length]) + u32::from(code.counts[length]) > 1 << length {
                return None;
            }
        }
        for (symbol, length) in (0_u16..).zip(lengths) {
            let length = usize::from(*length);
            if length == 0 {
                continue;
            }
            code.symbols[usize::from(places[length])] = symbol;
            places[length] += 1;
            // The first bit of a code comes first, and that of a number last.
            let first = usize::from(words[length].reverse_bits() >> (16 - length));
            words[length] += 1;
            if length <= QUICK_BITS {
                for at in (first..code.quick.len()).step_by(1 << length) {
                    code.quick[at] = symbol << 4 | length as u16;
                }
            }
        }
        Some(code)
    }

    fn read(&self, bits: &mut Bits) -> Option<usize> {
        bits.fill();
        let found = self.quick[bits.held as usize % self.quick.len()];
        let length = usize::from(found & 15);
        if length == 0 {
            return self.search(bits);
        }
        bits.skip(length)?;
        Some(usize::from(found >> 4))
    }

    fn search(&self, bits: &mut Bits) -> Option<usize> {
        let (mut word, mut first, mut place) = (0, 0, 0);
        for length in 1..16 {
            word = word << 1 | (bits.held >> (length - 1)) as usize & 1;
            let count = usize::from(self.counts[length]);
            if word < first + count {
                bits.skip(length)?;
                return self.symbols.get(place + word - first).map(|s| (*s).into());
            }
            place += count;
            first = (first + count) << 1;
        }
        None
    }
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    held: u64,
    count: usize,
    /// The first byte that has not come into `held`.
    next: usize,
}

impl<'a> Bits<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            held: 0,
            count: 0,
            next: 0,
        }
    }

    /// At least as many as any code and what follows it, unless the end is near.
    fn fill(&mut self) {
        while self.count <= 56
            && let Some(byte) = self.bytes.get(self.next)
        {
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            self.next += 1;
        }
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.count = self.count.checked_sub(count)?;
        self.held >>= count;
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<usize> {
        self.fill();
        let taken = self.held as usize & ((1 << count) - 1);
        self.skip(count)?;
        Some(taken)
    }

    /// The bytes of which nothing has been taken.
    fn rest(&self) -> Option<&'a [u8]> {
        self.bytes.get(self.next - self.count / 8..)
    }
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    // So many cannot overflow.
    for chunk in bytes.chunks(5_552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use super::{super::thorough, zlib};

    fn session(cart: usize) -> Vec<u8> {
        let items: Vec<String> = (0..cart)
            .map(|item| format!(r#""{item}":{}"#, fastrand::u16(..)))
            .collect();
        format!(
            r#"{{"_auth_user_id":"{}","_auth_user_backend":"django.contrib.auth.backends.ModelBackend","_auth_user_hash":"{:x}{:x}","cart":{{{}}}}}"#,
            fastrand::u32(..), fastrand::u128(..), fastrand::u128(..), items.join(",")
        )
        .into_bytes()
    }

    #[test]
    fn sessions_are_inflated_here_whatever_compressed_them() {
        for cart in 0..60 {
            for level in 1..=9 {
                let plain = session(cart);
                let packed = compress_to_vec_zlib(&plain, level);
                assert_eq!(zlib(&packed), Some(plain));
            }
        }
        let repeated = vec![b'x'; 40_000];
        assert_eq!(zlib(&compress_to_vec_zlib(&repeated, 6)), Some(repeated));
        assert_eq!(zlib(&compress_to_vec_zlib(b"", 6)), Some(Vec::new()));
    }

    #[test]
    fn what_is_damaged_is_inflated_as_the_other_one_does_or_left_to_it() {
        for round in 0..60_000 {
            let mut packed = compress_to_vec_zlib(&session(round % 7), (round % 9) as u8 + 1);
            for _ in 0..=round % 3 {
                let at = fastrand::usize(..packed.len());
                packed[at] ^= 1 << fastrand::u8(..8);
            }
            packed.truncate(packed.len() - round % 5);
            if let Some(plain) = zlib(&packed) {
                assert_eq!(thorough(&packed).ok(), Some(plain));
            }
        }
    }

    #[test]
    fn noise_and_bombs_are_left_to_the_other_one() {
        for _ in 0..20_000 {
            let mut noise = [0_u8; 64];
            noise.fill_with(|| fastrand::u8(..));
            noise[..2].copy_from_slice(&[0x78, 0x9c]);
            assert_eq!(zlib(&noise), None);
        }
        let bomb = compress_to_vec_zlib(&vec![0; 500_000], 9);
        assert!(bomb.len() < super::MOST_PACKED);
        assert_eq!(zlib(&bomb), None);
    }
}
