//! What an application holds of a running node.

use std::sync::Arc;

use bytes::Bytes;
use gossip_core::{
    Chaincode, ChannelConfig, ChannelId, ChannelPeer, Command, CommandError, Endpoint, Identity,
    Member, Node, OrgId, PkiId, Stats,
};
use tokio::sync::{mpsc, oneshot};

use super::Subscription;
use crate::transport::{Counters, Stopped, TransportStats};

/// A running node, for the application. Clones are cheap and equal.
///
/// The node stops when [`stop`](Self::stop) is called or the last handle is dropped. Requests are
/// carried out in the order in which one handle makes them. All methods of a stopped node fail.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    counters: Arc<Counters>,
}

impl Handle {
    pub(super) const fn new(requests: mpsc::Sender<Request>, counters: Arc<Counters>) -> Self {
        Self { requests, counters }
    }

    /// Joins a channel, or reconfigures one that was joined.
    ///
    /// `height` is the number of blocks in the ledger, if it is known already.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotAMember`], [`CommandError::TooManyChannels`], or
    /// [`CommandError::Stopped`].
    pub async fn join_channel(
        &self,
        channel: ChannelId,
        config: ChannelConfig,
        height: Option<u64>,
    ) -> Result<(), CommandError> {
        self.command(Command::JoinChannel { channel, config, height }).await
    }

    /// Leaves a channel.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotJoined`] or [`CommandError::Stopped`].
    pub async fn leave_channel(&self, channel: ChannelId) -> Result<(), CommandError> {
        self.command(Command::LeaveChannel { channel }).await
    }

    /// Spreads a block that this peer has from the ordering service. It is not verified here.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotJoined`], [`CommandError::BlockTooLarge`] or [`CommandError::Stopped`].
    pub async fn gossip_block(
        &self,
        channel: ChannelId,
        number: u64,
        block: Bytes,
    ) -> Result<(), CommandError> {
        self.command(Command::GossipBlock { channel, number, block }).await
    }

    /// Tells the node that the channel's ledger has `height` blocks: 0 to `height - 1`.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotJoined`] or [`CommandError::Stopped`].
    pub async fn set_ledger_height(
        &self,
        channel: ChannelId,
        height: u64,
    ) -> Result<(), CommandError> {
        self.command(Command::SetLedgerHeight { channel, height }).await
    }

    /// Tells the node which chaincodes are installed; published at once.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotJoined`] or [`CommandError::Stopped`].
    pub async fn set_chaincodes(
        &self,
        channel: ChannelId,
        chaincodes: Vec<Chaincode>,
    ) -> Result<(), CommandError> {
        self.command(Command::SetChaincodes { channel, chaincodes }).await
    }

    /// Replaces the metadata in this peer's proofs of life, from the next one on.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`].
    pub async fn set_metadata(&self, metadata: Bytes) -> Result<(), CommandError> {
        self.command(Command::SetMetadata { metadata }).await
    }

    /// Contacts a peer of the own organisation until it answers, as a bootstrap peer.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`].
    pub async fn connect(&self, endpoint: Endpoint) -> Result<(), CommandError> {
        self.command(Command::Connect { endpoint }).await
    }

    /// Validates all identities anew and forgets those that no longer hold.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`].
    pub async fn suspect_peers(&self) -> Result<(), CommandError> {
        self.command(Command::SuspectPeers).await
    }

    /// Gives the node any command.
    ///
    /// # Errors
    ///
    /// What the node says, or [`CommandError::Stopped`].
    pub async fn command(&self, command: Command) -> Result<(), CommandError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Command { command, answer };
        self.requests.send(request).await.map_err(|_| CommandError::Stopped)?;
        answered.await.unwrap_or(Err(CommandError::Stopped))
    }

    /// Lists the peers that are alive, by PKI-ID.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn members(&self) -> Result<Vec<Member>, Stopped> {
        self.ask(Node::members).await
    }

    /// Lists the living members of a channel, by PKI-ID; `None` if it was not joined.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn channel_peers(
        &self,
        channel: ChannelId,
    ) -> Result<Option<Vec<ChannelPeer>>, Stopped> {
        self.ask(move |node| node.channel_peers(&channel)).await
    }

    /// Returns the number of blocks that the node tells others it has; `None` if the channel was
    /// not joined.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn ledger_height(&self, channel: ChannelId) -> Result<Option<u64>, Stopped> {
        self.ask(move |node| node.ledger_height(&channel)).await
    }

    /// Lists the known identities, the own among them, by PKI-ID.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn identities(&self) -> Result<Vec<(PkiId, Identity, OrgId)>, Stopped> {
        self.ask(Node::identities).await
    }

    /// Returns what the node and its transport have counted.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn stats(&self) -> Result<PeerStats, Stopped> {
        let node = self.ask(|node| node.stats().clone()).await?;
        Ok(PeerStats { node, transport: self.counters.read() })
    }

    /// Has notices queued from now on, at most `capacity` of them (at least one). A slow
    /// subscriber loses the oldest, is told how many, and delays nobody.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn subscribe(&self, capacity: usize) -> Result<Subscription, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Subscribe { capacity, answer }).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Stops the node: closes its connections, its listener and its tasks, and waits for that, a
    /// few seconds at most. Does nothing if it has stopped.
    pub async fn stop(&self) {
        let (answer, answered) = oneshot::channel();
        if self.requests.send(Request::Stop { answer }).await.is_ok() {
            let _ = answered.await;
        }
        self.requests.closed().await;
    }

    /// Waits until the node has stopped, whoever stopped it.
    pub async fn stopped(&self) {
        self.requests.closed().await;
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let question = Box::new(move |node: &Node| {
            let _ = answer.send(question(node));
        });
        self.requests.send(Request::Query(question)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

/// What a node and its transport have counted since the start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PeerStats {
    /// What the node counted.
    pub node: Stats,
    /// What the transport counted.
    pub transport: TransportStats,
}

/// What a handle asks of the task that owns the node.
pub(super) enum Request {
    Command { command: Command, answer: oneshot::Sender<Result<(), CommandError>> },
    Query(Box<dyn FnOnce(&Node) + Send>),
    Subscribe { capacity: usize, answer: oneshot::Sender<Subscription> },
    Stop { answer: oneshot::Sender<()> },
}
