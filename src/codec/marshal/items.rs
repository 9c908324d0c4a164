//! Lists and maps.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::super::Reason;
use super::super::fault::Fault;
use super::Marshal;

impl<'de> Marshal<'de> {
    pub(super) fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let mut items = Items {
            left: self.length()?,
            marshal: self,
        };
        let value = visitor.visit_seq(&mut items)?;
        if items.left > 0 {
            Err(Reason::Malformed.into())
        } else {
            Ok(value)
        }
    }

    pub(super) fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let mut items = Items {
            left: self.length()?,
            marshal: self,
        };
        let value = visitor.visit_map(&mut items)?;
        if items.left > 0 {
            Err(Reason::Malformed.into())
        } else {
            Ok(value)
        }
    }
}

struct Items<'a, 'de> {
    marshal: &'a mut Marshal<'de>,
    left: usize,
}

impl Items<'_, '_> {
    fn next(&mut self) -> bool {
        let is_there = self.left > 0;
        self.left -= usize::from(is_there);
        is_there
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if self.next() {
            seed.deserialize(&mut *self.marshal).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if self.next() {
            seed.deserialize(&mut *self.marshal).map(Some)
        } else {
            Ok(None)
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(&mut *self.marshal)
    }
}
