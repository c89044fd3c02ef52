//! What an application holds of a running node.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use gossip_core::{
    Acks, Chaincode, ChannelConfig, ChannelId, ChannelPeer, ChannelStatement, Command,
    CommandError, ConnId, Criteria, Endpoint, Identity, Instant, KnownPeer, Member, Message,
    MessageKind, Node, Notice, OrgId, PeerProof, PkiId, RequestId, Stats, TooFewAcks,
};
use tokio::sync::{mpsc, oneshot};

use super::{Item, Subscription, clock::Clock, subscription::Filter};
use crate::transport::{Counters, Stopped, TransportStats};

/// A running node, for the application. Clones are cheap and equal.
///
/// The node stops when [`stop`](Self::stop) is called or the last handle is dropped. Requests are
/// carried out in the order in which one handle makes them. All methods of a stopped node fail.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    counters: Arc<Counters>,
    /// The last request that a handle of this node has named.
    minted: Arc<AtomicU64>,
    clock: Clock,
}

impl Handle {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        counters: Arc<Counters>,
        clock: Clock,
    ) -> Self {
        Self { requests, counters, minted: Arc::new(AtomicU64::new(FIRST_REQUEST)), clock }
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

    /// Tells all members of a channel that are of this peer's organisation that it leads, or would.
    /// Who leads is the application's decision; others' words come as [`Notice::Leadership`].
    ///
    /// # Errors
    ///
    /// [`CommandError::NotJoined`] or [`CommandError::Stopped`].
    pub async fn send_leadership(
        &self,
        channel: ChannelId,
        is_declaration: bool,
    ) -> Result<(), CommandError> {
        self.command(Command::SendLeadership { channel, is_declaration }).await
    }

    /// Sends a message to some peers and waits until enough of them have acknowledged it, at most
    /// for the criteria's timeout.
    ///
    /// With `min_ack` zero it waits for nobody. A future that is dropped does not call the message
    /// back.
    ///
    /// # Errors
    ///
    /// [`SendError::Refused`] if nothing was sent: the channel was not joined
    /// ([`CommandError::NotJoined`]), fewer peers are eligible than must acknowledge
    /// ([`CommandError::TooFewPeers`]), the timeout is zero ([`CommandError::NoTimeout`]), the body
    /// is not of its kind or too large ([`CommandError::NotOfItsKind`],
    /// [`CommandError::MessageTooLarge`]), too many requests wait
    /// ([`CommandError::TooManyRequests`]); or if the node has [stopped](CommandError::Stopped).
    /// [`SendError::TooFewAcks`] if fewer than `min_ack` acknowledged it.
    pub async fn send_by_criteria(
        &self,
        message: Message,
        criteria: Criteria,
    ) -> Result<Acks, SendError> {
        let request = RequestId::new(self.minted.fetch_add(1, Ordering::Relaxed));
        let is_answer = move |notice: &Notice| match notice {
            Notice::SendFinished { request: finished, .. } => *finished == request,
            _ => false,
        };
        // Of one notice none can be lost.
        let mut answers = self.accept(1, is_answer).await.map_err(|_| CommandError::Stopped)?;
        self.command(Command::SendByCriteria { request, message, criteria }).await?;
        while let Some(item) = answers.recv().await {
            if let Item::Notice(Notice::SendFinished { result, .. }) = item {
                return result.map_err(SendError::TooFewAcks);
            }
        }
        Err(CommandError::Stopped.into())
    }

    /// Sends a message to these peers and waits for nobody. Who cannot be reached is left out.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotOfItsKind`], [`CommandError::MessageTooLarge`] or
    /// [`CommandError::Stopped`].
    pub async fn send(
        &self,
        message: Message,
        nonce: u64,
        to: Vec<PkiId>,
    ) -> Result<(), CommandError> {
        self.command(Command::Send { message, nonce, to }).await
    }

    /// Takes messages of these kinds from other applications, instead of those that were taken
    /// before, and has them queued as [`Notice::Message`], at most `capacity` of them.
    ///
    /// Private data must then be [acknowledged](Self::acknowledge); where it is not taken it is
    /// declined. No kinds take nothing.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`].
    pub async fn accept_messages(
        &self,
        kinds: Vec<MessageKind>,
        capacity: usize,
    ) -> Result<Subscription, CommandError> {
        let taken = kinds.clone();
        let is_taken = move |notice: &Notice| match notice {
            Notice::Message { message, .. } => taken.contains(&message.kind),
            _ => false,
        };
        let accepted = self.accept(capacity, is_taken).await.map_err(|_| CommandError::Stopped)?;
        self.command(Command::Accept { kinds }).await?;
        Ok(accepted)
    }

    /// Says whether a message was taken: `error` says why not.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotConnected`] if the connection that it came on has ended,
    /// [`CommandError::MessageTooLarge`] or [`CommandError::Stopped`].
    pub async fn acknowledge(
        &self,
        conn: ConnId,
        nonce: u64,
        error: Option<String>,
    ) -> Result<(), CommandError> {
        self.command(Command::Acknowledge { conn, nonce, error }).await
    }

    /// Answers a message on the connection that it came on.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotConnected`] if that has ended, [`CommandError::NotOfItsKind`],
    /// [`CommandError::MessageTooLarge`] or [`CommandError::Stopped`].
    pub async fn respond(
        &self,
        conn: ConnId,
        nonce: u64,
        message: Message,
    ) -> Result<(), CommandError> {
        self.command(Command::Respond { conn, nonce, message }).await
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

    /// Gives the node any command. Names of requests must be below 2⁶³: the rest are given out by
    /// [`send_by_criteria`](Self::send_by_criteria).
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

    /// Lists the peers that are known, the living first, each by PKI-ID.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn known_peers(&self) -> Result<Vec<KnownPeer>, Stopped> {
        self.ask(Node::known_peers).await
    }

    /// Returns how long ago a time was that the node names.
    #[must_use]
    pub fn elapsed_since(&self, at: Instant) -> Duration {
        self.clock.now().saturating_since(at)
    }

    /// Lists the channels that were joined and not left, by name.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn channels(&self) -> Result<Vec<ChannelId>, Stopped> {
        self.ask(Node::channels).await
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

    /// Counts the living members of a channel; `None` if it was not joined.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn channel_size(&self, channel: ChannelId) -> Result<Option<usize>, Stopped> {
        self.ask(move |node| node.channel_size(&channel)).await
    }

    /// Lists the living members of a channel that satisfy a criterion over their identity and a
    /// signature of theirs, by PKI-ID; `None` if the channel was not joined.
    ///
    /// The criterion runs here, not in the node's task. What it lets through is for
    /// [`Criteria::to`].
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn peer_filter(
        &self,
        channel: ChannelId,
        criterion: impl Fn(&PeerProof) -> bool,
    ) -> Result<Option<Vec<PkiId>>, Stopped> {
        let proofs = self.ask(move |node| node.channel_proofs(&channel)).await?;
        let satisfies = |proof: PeerProof| criterion(&proof).then_some(proof.pki_id);
        Ok(proofs.map(|proofs| proofs.into_iter().filter_map(satisfies).collect()))
    }

    /// Returns what this peer says about itself, without signing anything.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn self_membership(&self) -> Result<Member, Stopped> {
        self.ask(Node::self_membership).await
    }

    /// Returns what this peer last said about itself on a channel; `None` if it has not yet, or
    /// the channel was not joined.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn self_channel(
        &self,
        channel: ChannelId,
    ) -> Result<Option<ChannelStatement>, Stopped> {
        self.ask(move |node| node.self_channel(&channel)).await
    }

    /// Says whether a peer is known to be of this peer's organisation.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn is_in_my_org(&self, pki_id: PkiId) -> Result<bool, Stopped> {
        self.ask(move |node| node.is_in_my_org(&pki_id)).await
    }

    /// Returns a peer's identity and the organisation that vouches for it, if it is known.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn identity(&self, pki_id: PkiId) -> Result<Option<(Identity, OrgId)>, Stopped> {
        self.ask(move |node| {
            node.identity(&pki_id).map(|(identity, org)| (identity.clone(), org.clone()))
        })
        .await
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

    /// Has notices queued from now on, at most `capacity` of them (at least one), and 64 MiB of
    /// blocks and messages in them, unless one is larger. A slow subscriber loses the oldest, is
    /// told how many, and delays nobody.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn subscribe(&self, capacity: usize) -> Result<Subscription, Stopped> {
        self.subscribe_to(capacity, None).await
    }

    /// Has the notices queued that satisfy a predicate, as [`subscribe`](Self::subscribe) has all;
    /// others take no room.
    ///
    /// The predicate runs in the node's task, for every notice: it must be quick. If it panics, the
    /// subscription ends.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn accept(
        &self,
        capacity: usize,
        predicate: impl Fn(&Notice) -> bool + Send + 'static,
    ) -> Result<Subscription, Stopped> {
        self.subscribe_to(capacity, Some(Box::new(predicate))).await
    }

    async fn subscribe_to(
        &self,
        capacity: usize,
        filter: Option<Filter>,
    ) -> Result<Subscription, Stopped> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Subscribe { capacity, filter, answer };
        self.requests.send(request).await.map_err(|_| Stopped)?;
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

/// A message was not sent, or not acknowledged by enough.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing was sent, or the node has stopped.
    Refused(CommandError),
    /// It was sent, but too few acknowledged it.
    TooFewAcks(TooFewAcks),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::TooFewAcks(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

impl From<CommandError> for SendError {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

/// What a handle asks of the task that owns the node.
pub(super) enum Request {
    Command { command: Command, answer: oneshot::Sender<Result<(), CommandError>> },
    Query(Box<dyn FnOnce(&Node) + Send>),
    Subscribe { capacity: usize, filter: Option<Filter>, answer: oneshot::Sender<Subscription> },
    Stop { answer: oneshot::Sender<()> },
}

/// The first request that handles name: those that an application names are below.
const FIRST_REQUEST: u64 = 1 << 63;
