//! What is sent to a node of a cluster, and what becomes of it.

use std::collections::BTreeMap;

use redis::{Pipeline, ServerError, ServerErrorKind};
use tokio::time::Instant;

use super::super::super::address::Address;
use super::super::super::error::Failure;
use super::super::node::Reply;
use super::super::{BATCH, Following, Node, told};
use super::slot;

/// Keys of one slot.
pub(super) struct Command<'a> {
    pub slot: u16,
    keys: Vec<&'a str>,
    /// To whom the slot is being handed over, once its owner has said so.
    pub asking: Option<Address>,
}

/// Commands for these entries.
pub(super) fn by_slot(entries: &[String]) -> Vec<Command<'_>> {
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
pub(super) async fn send<'a>(
    mut node: Node,
    share: Vec<Command<'a>>,
    following: Option<Following>,
    deadline: Instant,
) -> (Node, Result<Vec<Command<'a>>, Failure>) {
    // It has no slot yet where the proof could be written, and will soon.
    let Some(following) = following else {
        return (node, Err(Failure::ClusterDown));
    };
    let mut pipeline = Pipeline::new();
    for command in &share {
        if command.asking.is_some() {
            pipeline.cmd("ASKING");
        }
        pipeline.cmd("UNLINK").arg(&command.keys);
    }
    let outcome = match node.ask_openly(pipeline, &following, deadline).await {
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
