//! A cluster: every key has a slot, and every slot a node, which may change while we look.
//!
//! The commands of all slots of a node go through one pipeline of one connection, with WAIT at its end. What a node does
//! not have any more (MOVED), or is just handing over (ASK, TRYAGAIN), is left for the next round.

mod command;
mod owners;
mod slot;

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::super::Error;
use super::super::address::Address;
use super::super::error::Failure;
use super::{Following, Login, Node, refused, share};
use crate::settings::Names;
use command::{Command, by_slot, send};
use owners::Owners;

/// A slot that is handed over takes two rounds, one that has been handed over another two.
const ROUNDS: u32 = 8;

pub(in crate::cache) struct Cluster {
    seeds: Vec<Address>,
    login: Login,
    nodes: HashMap<Address, Node>,
    owners: Owners,
}

impl Cluster {
    pub fn new(seeds: Vec<Address>, login: Login) -> Self {
        Self {
            seeds,
            login,
            nodes: HashMap::new(),
            owners: Owners::default(),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.owners.are_known()
    }

    pub async fn evict(
        &mut self,
        entries: &[String],
        needed: u32,
        names: &Names,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut left = by_slot(entries);
        for round in 0..ROUNDS {
            sleep(Duration::from_millis(20) * round).await;
            if !self.owners.are_known() {
                self.look_up(deadline).await?;
            }
            left = self.go_round(left, needed, names, deadline).await?;
            if left.is_empty() {
                return Ok(());
            }
        }
        let slot = left[0].slot;
        let address = self.owners.of(slot).cloned();
        self.owners.forget();
        Err(refused(
            Failure::ClusterDown,
            address.as_ref().unwrap_or(&self.seeds[0]),
        ))
    }

    /// Sends each command to where it belongs, all nodes at once, and returns what has to be sent again.
    async fn go_round<'a>(
        &mut self,
        commands: Vec<Command<'a>>,
        needed: u32,
        names: &Names,
        deadline: Instant,
    ) -> Result<Vec<Command<'a>>, Error> {
        let mut shares: HashMap<Address, Vec<Command<'a>>> = HashMap::new();
        for command in commands {
            let Some(address) = command.asking.as_ref().or(self.owners.of(command.slot)) else {
                self.owners.forget();
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
            let marker = self.owners.marker(node.address(), needed, names);
            let following = marker.map(|marker| Following { needed, marker });
            send(node, share, following, deadline)
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
        // Whatever went wrong, other nodes may have the slots now.
        if error.is_some() || left.iter().any(|command| command.asking.is_none()) {
            self.owners.forget();
        }
        error.map_or(Ok(left), Err)
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
            let asked = Owners::by(&mut node, share(deadline, count - nth + 1)).await;
            let address = node.address().clone();
            match asked {
                Ok(owners) => {
                    self.owners = owners;
                    // Nodes that have left must not be kept connected for ever.
                    self.nodes.retain(|address, _| self.owners.have(address));
                    self.nodes.insert(address, node);
                    return Ok(());
                }
                Err(failure) => last = Some(refused(failure, &address)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Settings("cache.servers is empty".to_owned())))
    }
}
