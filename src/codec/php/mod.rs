//! What PHP's `serialize` writes, read as serde reads.
//!
//! A value is a letter and what belongs to it: `N;` `b:1;` `i:42;` `d:0.5;` `s:5:"bytes";` `a:2:{key value key value}`
//! `O:4:"Name":1:{property value}` `C:4:"Name":5:{bytes}` `E:9:"Name:Case";`, and `R:2;` or `r:2;` for a value that was
//! there before. Lengths count bytes. The private and protected properties of an object have their class, or `*`,
//! between NULs before their name.

use serde::de::value::BorrowedBytesDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::cursor::Cursor;
use super::fault::Fault;
use super::{MAX_DEPTH, Reason};

pub(super) struct Php<'de> {
    pub(super) cursor: Cursor<'de>,
    depth: usize,
}

impl<'de> Php<'de> {
    pub(super) fn new(data: &'de [u8]) -> Self {
        Self {
            cursor: Cursor::new(data),
            depth: 0,
        }
    }

    /// Reads one value and nothing behind it.
    pub(super) fn whole<S: DeserializeSeed<'de>>(
        data: &'de [u8],
        seed: S,
    ) -> Result<S::Value, Reason> {
        let mut php = Self::new(data);
        let value = seed.deserialize(&mut php).map_err(|fault| fault.0)?;
        if php.cursor.is_at_end() {
            Ok(value)
        } else {
            Err(Reason::Malformed)
        }
    }

    fn number<N: std::str::FromStr>(&mut self, delimiter: u8) -> Result<N, Reason> {
        let digits =
            std::str::from_utf8(self.cursor.until(delimiter)?).map_err(|_| Reason::Malformed)?;
        digits.parse().map_err(|_| Reason::Malformed)
    }

    // `5:"bytes"`
    fn text(&mut self) -> Result<&'de [u8], Reason> {
        let length = self.number(b':')?;
        self.cursor.expect(b"\"")?;
        let text = self.cursor.take(length)?;
        self.cursor.expect(b"\"")?;
        Ok(text)
    }

    fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let left = self.number(b':')?;
        self.cursor.expect(b"{")?;
        if self.depth == MAX_DEPTH {
            return Err(Reason::TooDeep.into());
        }
        self.depth += 1;
        let mut entries = Entries { php: self, left };
        let value = visitor.visit_map(&mut entries)?;
        if entries.left > 0 {
            return Err(Reason::Malformed.into());
        }
        self.depth -= 1;
        self.cursor.expect(b"}")?;
        Ok(value)
    }

    // What is no key and no map, whatever it is in PHP. An object that serializes itself is met as a newtype around bytes.
    fn other<V: Visitor<'de>>(&mut self, letter: u8, visitor: V) -> Result<V::Value, Fault> {
        match letter {
            b'b' | b'd' | b'R' | b'r' => {
                self.cursor.until(b';')?;
            }
            b'E' => {
                self.text()?;
                self.cursor.expect(b";")?;
            }
            b'C' => {
                self.text()?;
                self.cursor.expect(b":")?;
                let length = self.number(b':')?;
                self.cursor.expect(b"{")?;
                let text = self.cursor.take(length)?;
                self.cursor.expect(b"}")?;
                return visitor.visit_newtype_struct(BorrowedBytesDeserializer::new(text));
            }
            _ => return Err(Reason::Malformed.into()),
        }
        visitor.visit_bool(false)
    }
}

impl<'de> Deserializer<'de> for &mut Php<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let letter = self.cursor.byte()?;
        if letter == b'N' {
            self.cursor.expect(b";")?;
            return visitor.visit_unit();
        }
        self.cursor.expect(b":")?;
        match letter {
            b'i' => visitor.visit_i64(self.number(b';')?),
            b's' => {
                let text = self.text()?;
                self.cursor.expect(b";")?;
                visitor.visit_borrowed_bytes(text)
            }
            b'a' => self.map(visitor),
            b'O' => {
                self.text()?;
                self.cursor.expect(b":")?;
                visitor.visit_newtype_struct(Properties(self))
            }
            _ => self.other(letter, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

// An object, which visitors meet as a newtype around its properties, so that they can tell it from an array.
struct Properties<'a, 'de>(&'a mut Php<'de>);

impl<'de> Deserializer<'de> for Properties<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.0.map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'a, 'de> {
    php: &'a mut Php<'de>,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        // Only these are keys in PHP; anything else would let keys nest.
        if !matches!(self.php.cursor.peek(), None | Some(b'i' | b's')) {
            return Err(Reason::Malformed.into());
        }
        seed.deserialize(&mut *self.php).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(&mut *self.php)
    }
}

#[cfg(test)]
mod tests;
