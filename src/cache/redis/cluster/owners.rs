//! Which node has which slots.

use redis::{Pipeline, Value, from_redis_value};
use tokio::time::Instant;

use super::super::super::address::Address;
use super::super::super::error::Failure;
use super::super::{Following, Node, told};
use super::slot;
use crate::settings::Names;

/// Who has which slots, as one node knows it; empty while that is not known.
#[derive(Default)]
pub(super) struct Owners(Vec<Owner>);

struct Owner {
    last: u16,
    address: Option<Address>,
}

impl Owners {
    pub fn are_known(&self) -> bool {
        !self.0.is_empty()
    }

    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Whose a slot is.
    pub fn of(&self, slot: u16) -> Option<&Address> {
        let nth = self.0.partition_point(|owner| owner.last < slot);
        self.0.get(nth)?.address.as_ref()
    }

    pub fn have(&self, address: &Address) -> bool {
        let mut addresses = self.0.iter().map(|owner| owner.address.as_ref());
        addresses.any(|known| known == Some(address))
    }

    /// A key in one of a node's slots that belongs to no session, though it is called like an entry, so that a user that
    /// may evict may write it. None where the node has no slot. A node with a single slot takes thousands of tries, of a
    /// microsecond each.
    pub fn marker(&self, node: &Address, needed: u32, names: &Names) -> Option<String> {
        if needed == 0 {
            return Some(String::new());
        }
        let tries = (0..200_000).map(|n| names.marker(n));
        let mut tries = tries.take_while(|_| self.have(node));
        tries.find(|marker| self.of(slot::of(marker)) == Some(node))
    }

    /// Asks a node.
    pub async fn by(node: &mut Node, until: Instant) -> Result<Self, Failure> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLUSTER").arg("SLOTS");
        let replies = node.ask(pipeline, &Following::nobody(), until).await?;
        let reply = replies.into_iter().next().ok_or(Failure::Lost)?;
        let reply = reply.map_err(|failure| match failure {
            Failure::Refuses => Failure::IsNoCluster,
            other => other,
        })?;
        let ranges: Vec<Vec<Value>> = from_redis_value(reply).map_err(|_| Failure::Refuses)?;
        let mut ranges: Vec<(u16, u16, Option<Address>)> = ranges
            .into_iter()
            .filter_map(|range| read_range(range, node.address()))
            .collect();
        ranges.sort_by_key(|(first, _, _)| *first);
        let owners = Self(without_gaps(ranges));
        // Without owners, this is a node that has met no other node yet.
        if owners.are_known() {
            Ok(owners)
        } else {
            Err(Failure::ClusterDown)
        }
    }
}

/// `[first, last, [host, port, ...], replicas...]`.
fn read_range(range: Vec<Value>, by: &Address) -> Option<(u16, u16, Option<Address>)> {
    let mut parts = range.into_iter();
    let first = from_redis_value(parts.next()?).ok()?;
    let last = from_redis_value(parts.next()?).ok()?;
    let master: Vec<Value> = from_redis_value(parts.next()?).ok()?;
    let mut master = master.into_iter();
    let host: Option<Vec<u8>> = from_redis_value(master.next()?).ok()?;
    let port = from_redis_value(master.next()?).ok()?;
    Some((first, last, told(&host.unwrap_or_default(), port, by)))
}

/// A slot in a gap has no owner, and must not fall to the next one.
fn without_gaps(ranges: Vec<(u16, u16, Option<Address>)>) -> Vec<Owner> {
    let mut owners = Vec::new();
    let mut next = 0;
    for (first, last, address) in ranges {
        if first > next {
            owners.push(Owner {
                last: first - 1,
                address: None,
            });
        }
        owners.push(Owner { last, address });
        next = last.saturating_add(1);
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_nobody_has_does_not_fall_to_the_next_one() {
        let node = |port| Some(Address::Tcp("h".to_owned(), port));
        let owners = Owners(without_gaps(vec![
            (5, 9, node(1)),
            (10, 10, node(2)),
            (12, 16_383, node(1)),
        ]));
        let owned = [0, 4, 5, 9, 10, 11, 12, 16_383].map(|slot| owners.of(slot).cloned());
        let [one, two] = [node(1), node(2)];
        assert_eq!(
            owned,
            [
                None,
                None,
                one.clone(),
                one.clone(),
                two,
                None,
                one.clone(),
                one
            ]
        );
        assert_eq!(Owners(without_gaps(vec![(0, 9, node(1))])).of(10), None);
        assert!(owners.have(&node(2).unwrap()) && !owners.have(&node(3).unwrap()));
    }

    #[test]
    fn a_node_without_a_name_is_where_it_was_reached() {
        let by = Address::Tcp("cache.example".to_owned(), 7000);
        let number = |n| Value::Int(n);
        let range = |host| {
            let master = Value::Array(vec![host, number(7001)]);
            read_range(vec![number(0), number(5), master], &by)
        };
        let (_, _, nameless) = range(Value::Nil).unwrap();
        assert_eq!(nameless.unwrap().to_string(), "cache.example:7001");
        let (_, _, unknown) = range(Value::BulkString(b"?".to_vec())).unwrap();
        assert_eq!(unknown, None);
    }
}
