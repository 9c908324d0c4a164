//! Sentinel tells which server is the master. It is asked again after every failure, since a failure is how a failover
//! looks from here: the old master is gone, or has become a replica, or waits in vain for replicas that left it.

use redis::{Pipeline, Value, from_redis_value};
use tokio::time::Instant;

use super::super::Error;
use super::super::error::Failure;
use super::{Following, Login, Node, refused, share, told};

pub(in crate::cache) struct Sentinel {
    /// The one that was not found wrong is asked first.
    sentinels: Vec<Node>,
    name: String,
    login: Login,
    master: Option<Node>,
}

impl Sentinel {
    pub fn new(sentinels: Vec<Node>, name: String, login: Login) -> Self {
        Self {
            sentinels,
            name,
            login,
            master: None,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.master.is_some()
    }

    pub async fn evict(
        &mut self,
        entries: &[String],
        following: &Following,
        deadline: Instant,
    ) -> Result<(), Error> {
        // Taken out until it has confirmed.
        let mut master = match self.master.take() {
            Some(master) => master,
            None => self.find(deadline).await?,
        };
        let evicted = master.evict(entries, following, deadline).await;
        match evicted {
            Ok(()) => self.master = Some(master),
            // This one may be cut off from the others, and the last to hear of a failover.
            Err(_) => self.sentinels.rotate_left(1),
        }
        evicted
    }

    async fn find(&mut self, deadline: Instant) -> Result<Node, Error> {
        let count = self.sentinels.len();
        let mut last = None;
        for (nth, sentinel) in self.sentinels.iter_mut().enumerate() {
            let mut pipeline = Pipeline::new();
            let question = pipeline.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME");
            question.arg(&self.name);
            // The last share is the master's.
            let until = share(deadline, count - nth + 1);
            let asked = sentinel.ask(pipeline, &Following::nobody(), until).await;
            match asked.and_then(|replies| replies.into_iter().next().ok_or(Failure::Lost)?) {
                Ok(reply) => match address(reply) {
                    Some((host, port)) => {
                        if let Some(address) = told(&host, port, sentinel.address()) {
                            return Ok(Node::new(address, self.login.clone()));
                        }
                    }
                    None => last = Some(refused(Failure::NoMaster, sentinel.address())),
                },
                Err(failure) => last = Some(refused(failure, sentinel.address())),
            }
        }
        Err(last.unwrap_or_else(|| Error::Settings("cache.servers is empty".to_owned())))
    }
}

fn address(reply: Value) -> Option<(Vec<u8>, i64)> {
    from_redis_value(reply).ok()
}
