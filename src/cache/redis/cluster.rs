//! A cluster: every key has a slot, and every slot a node, which may change while we look.
//!
//! The commands of all slots of a node go through one pipeline of one connection, with WAIT at its end. What a node does
//! not have any more (MOVED), or is just handing over (ASK, TRYAGAIN), is left for the next round.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, ServerError, ServerErrorKind, Value, from_redis_value};
use tokio::time::{Instant, sleep};

use super::super::Error;
use super::super::address::Address;
use super::super::error::Failure;
use super::node::Reply;
use super::{BATCH, Login, Node, refused, share, slot, told};

/// A slot that is handed over takes two rounds, one that has been handed over another two.
const ROUNDS: u32 = 8;

pub(in crate::cache) struct Cluster {
    seeds: Vec<Address>,
    login: Login,
    nodes: HashMap<Address, Node>,
    /// Who has which slots, in their order; empty while that is not known.
    owners: Vec<Owner>,
}

struct Owner {
    last: u16,
    address: Option<Address>,
}

/// Keys of one slot.
struct Command<'a> {
    slot: u16,
    keys: Vec<&'a str>,
    /// To whom the slot is being handed over, once its owner has said so.
    asking: Option<Address>,
}

impl Cluster {
    pub fn new(seeds: Vec<Address>, login: Login) -> Self {
        Self {
            seeds,
            login,
            nodes: HashMap::new(),
            owners: Vec::new(),
        }
    }

    pub fn is_connected(&self) -> bool {
        !self.owners.is_empty()
    }

    pub async fn evict(
        &mut self,
        entries: &[String],
        replicas: u32,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut left = by_slot(entries);
        for round in 0..ROUNDS {
            sleep(Duration::from_millis(20) * round).await;
            if self.owners.is_empty() {
                self.look_up(deadline).await?;
            }
            left = self.go_round(left, replicas, deadline).await?;
            if left.is_empty() {
                return Ok(());
            }
        }
        let slot = left[0].slot;
        let address = self.owner(slot).cloned();
        self.owners.clear();
        Err(refused(
            Failure::ClusterDown,
            address.as_ref().unwrap_or(&self.seeds[0]),
        ))
    }

    /// Sends each command to where it belongs, all nodes at once, and returns what has to be sent again.
    async fn go_round<'a>(
        &mut self,
        commands: Vec<Command<'a>>,
        replicas: u32,
        deadline: Instant,
    ) -> Result<Vec<Command<'a>>, Error> {
        let mut shares: HashMap<Address, Vec<Command<'a>>> = HashMap::new();
        for command in commands {
            let Some(address) = command.asking.as_ref().or(self.owner(command.slot)) else {
                self.owners.clear();
                return Err(refused(Failure::ClusterDown, &self.seeds[0]));
            };
            match shares.get_mut(address) {
                Some(share) => share.push(command),
                None => {
                    shares.insert(address.clone(), vec![command]);
                }
            }
        }
        let sent = shares.into_iter().map(|(address, share)| {
            let known = self.nodes.remove(&address);
            let node = known.unwrap_or_else(|| Node::new(address, self.login.clone()));
            send(node, share, replicas, deadline)
        });
        let mut left = Vec::new();
        let mut error = None;
        for (node, outcome) in join_all(sent).await {
            match outcome {
                Ok(again) => left.extend(again),
                Err(failure) => error = Some(refused(failure, node.address())),
            }
            self.nodes.insert(node.address().clone(), node);
        }
        // Whatever went wrong, somebody else may have the slots now.
        if error.is_some() || left.iter().any(|command| command.asking.is_none()) {
            self.owners.clear();
        }
        error.map_or(Ok(left), Err)
    }

    fn owner(&self, slot: u16) -> Option<&Address> {
        let nth = self.owners.partition_point(|owner| owner.last < slot);
        self.owners.get(nth)?.address.as_ref()
    }

    /// Asks one node after the other who has which slots, in another order each time: one that is cut off answers with
    /// what it knew.
    async fn look_up(&mut self, deadline: Instant) -> Result<(), Error> {
        let mut addresses = self.seeds.clone();
        addresses.extend(self.nodes.keys().cloned());
        addresses.sort_by_key(ToString::to_string);
        addresses.dedup();
        fastrand::shuffle(&mut addresses);
        let count = addresses.len();
        let mut last = None;
        for (nth, address) in addresses.into_iter().enumerate() {
            let known = self.nodes.remove(&address);
            let mut node = known.unwrap_or_else(|| Node::new(address, self.login.clone()));
            let asked = ask_for_slots(&mut node, share(deadline, count - nth + 1)).await;
            let address = node.address().clone();
            match asked {
                Ok(owners) => {
                    self.owners = owners;
                    // Nodes that have left must not be kept connected for ever.
                    self.nodes.retain(|address, _| {
                        self.owners
                            .iter()
                            .any(|owner| owner.address.as_ref() == Some(address))
                    });
                    self.nodes.insert(address, node);
                    return Ok(());
                }
                Err(failure) => last = Some(refused(failure, &address)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Settings("cache.servers is empty".to_owned())))
    }
}

fn by_slot(entries: &[String]) -> Vec<Command<'_>> {
    let mut slots: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for entry in entries {
        slots.entry(slot::of(entry)).or_default().push(entry);
    }
    let batches = |(slot, keys): (u16, Vec<_>)| -> Vec<Command<'_>> {
        let batch = |keys: &[_]| Command {
            slot,
            keys: keys.to_vec(),
            asking: None,
        };
        keys.chunks(BATCH).map(batch).collect()
    };
    slots.into_iter().flat_map(batches).collect()
}

/// Sends a node its share. The node comes back with what it has refused for now.
async fn send<'a>(
    mut node: Node,
    share: Vec<Command<'a>>,
    replicas: u32,
    deadline: Instant,
) -> (Node, Result<Vec<Command<'a>>, Failure>) {
    let mut pipeline = Pipeline::new();
    for command in &share {
        if command.asking.is_some() {
            pipeline.cmd("ASKING");
        }
        pipeline.cmd("UNLINK").arg(&command.keys);
    }
    let outcome = match node.ask_openly(pipeline, replicas, deadline).await {
        Ok(replies) => sort_out(share, replies, &node),
        Err(failure) => Err(failure),
    };
    (node, outcome)
}

fn sort_out<'a>(
    share: Vec<Command<'a>>,
    replies: Vec<Reply>,
    node: &Node,
) -> Result<Vec<Command<'a>>, Failure> {
    let mut replies = replies.into_iter();
    let mut left = Vec::new();
    for command in share {
        if command.asking.is_some() {
            let permission = replies.next().ok_or(Failure::Lost)?;
            permission.map_err(|error| node.failure_of(&error))?;
        }
        if let Err(error) = replies.next().ok_or(Failure::Lost)? {
            left.extend(again(command, &error, node)?);
        }
    }
    Ok(left)
}

/// What to send in the next round.
fn again<'a>(
    command: Command<'a>,
    error: &ServerError,
    node: &Node,
) -> Result<Vec<Command<'a>>, Failure> {
    let Command { slot, keys, .. } = command;
    let asking = match error.kind() {
        Some(ServerErrorKind::Moved) => {
            return Ok(vec![Command {
                slot,
                keys,
                asking: None,
            }]);
        }
        // Several keys are refused together when some of them have been handed over; one alone is somewhere.
        Some(ServerErrorKind::Ask) if keys.len() == 1 => redirection(error, node.address()),
        Some(ServerErrorKind::Ask | ServerErrorKind::TryAgain) => None,
        _ => return Err(node.failure_of(error)),
    };
    let alone = |key| Command {
        slot,
        keys: vec![key],
        asking: asking.clone(),
    };
    Ok(keys.into_iter().map(alone).collect())
}

/// `SLOT HOST:PORT`.
fn redirection(error: &ServerError, by: &Address) -> Option<Address> {
    let (_, address) = error.details()?.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    told(host.as_bytes(), port.parse().ok()?, by)
}

async fn ask_for_slots(node: &mut Node, until: Instant) -> Result<Vec<Owner>, Failure> {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("CLUSTER").arg("SLOTS");
    let replies = node.ask(pipeline, 0, until).await?;
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
    Ok(without_gaps(ranges))
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
