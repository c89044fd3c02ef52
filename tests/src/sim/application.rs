//! What the application on each host does with its node: it says what it is, sends messages to
//! others and answers theirs, soon, late, never, in the negative or twice.
//!
//! It outlives its node: what it said is said again to the next one.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{
    Chaincode, Command, CommandError, ConnId, Criteria, Message, MessageKind, PkiId, RequestId,
    record::Digest,
};
use gossip_proto::gossip::{
    PrivateDataMessage, PrivatePayload, PvtDataDigest, PvtDataElement, RemotePvtDataRequest,
    RemotePvtDataResponse, gossip_message::Content,
};
use prost::Message as _;

use super::{check::Seen, draws::Draws, faults::Control, host::Input, world::World};

/// What an application said, and takes.
#[derive(Debug)]
pub(super) struct Application {
    /// The metadata of its host.
    metadata: Bytes,
    /// The chaincodes of its host, by channel, once it spoke of them.
    chaincodes: Vec<Option<Vec<Chaincode>>>,
    /// Which messages of others it takes.
    accepts: Vec<MessageKind>,
}

impl Application {
    /// Makes one that has said nothing yet, and takes everything.
    #[must_use]
    pub(super) fn new(channels: usize) -> Self {
        Self {
            metadata: Bytes::new(),
            chaincodes: vec![None; channels],
            accepts: MessageKind::ALL.to_vec(),
        }
    }
}

impl World {
    /// Lets the application of some host do something, and plans what the next one does.
    pub(super) fn act(&mut self) {
        let hosts = self.hosts.len();
        let draws = &mut self.draws.applications;
        let pause = draws.between(Duration::ZERO, ACT_INTERVAL * 2 / hosts as u32);
        let (host, deed) = (draws.index(hosts), draws.below(16));
        let draws = &mut Draws::fork(draws.bits(), "act");
        self.plan_control(pause, Control::Act);
        self.acts += 1;
        if !self.hosts[host].is_running() {
            return;
        }
        let channels: Vec<_> = self.layout.channels_of(host).collect();
        let channel = channels[draws.index(channels.len())];
        match deed {
            // Once all is healed, nothing new is said: what was said last must become known.
            0..=4 if self.is_healed => {}
            0 | 1 => self.change_metadata(host, draws),
            2 | 3 => self.change_chaincodes(host, channel, draws),
            4 => {
                let kinds = MessageKind::ALL.iter().copied();
                self.hosts[host].application.accepts =
                    kinds.filter(|_| draws.chance(750)).collect();
                self.say_what_is_accepted(host);
            }
            5 => self.contact(host, draws),
            6..=10 => self.ask_some(host, channel, draws),
            _ => self.ask_members(host, channel, draws),
        }
        self.look_at_channel(host, channel);
    }

    /// Lets an application give its host other metadata.
    pub fn set_metadata(&mut self, host: usize, metadata: Bytes) {
        self.hosts[host].application.metadata = metadata.clone();
        self.command(host, Command::SetMetadata { metadata });
    }

    /// Lets an application install other chaincodes on a channel; who left it says so when it comes
    /// back.
    pub fn set_chaincodes(&mut self, host: usize, ix: usize, chaincodes: Vec<Chaincode>) {
        self.hosts[host].application.chaincodes[ix] = Some(chaincodes.clone());
        if self.is_member(host, ix) {
            let channel = self.channel_id(ix);
            self.command(host, Command::SetChaincodes { channel, chaincodes });
        }
    }

    /// Returns the metadata that a host's application said last.
    #[must_use]
    pub fn metadata(&self, host: usize) -> &Bytes {
        &self.hosts[host].application.metadata
    }

    /// Returns the chaincodes that a host's application said last to be on a channel.
    #[must_use]
    pub fn chaincodes(&self, host: usize, channel: usize) -> &[Chaincode] {
        self.hosts[host].application.chaincodes[channel].as_deref().unwrap_or_default()
    }

    /// Tells a node that was started what its application said to the one before.
    pub(super) fn open_application(&mut self, host: usize) {
        let metadata = self.hosts[host].application.metadata.clone();
        if !metadata.is_empty() {
            self.command(host, Command::SetMetadata { metadata });
        }
        if self.options.applications_act() {
            self.say_what_is_accepted(host);
        }
    }

    /// Tells a node that joined a channel which chaincodes there are.
    pub(super) fn say_chaincodes(&mut self, host: usize, ix: usize) {
        if let Some(chaincodes) = self.hosts[host].application.chaincodes[ix].clone() {
            let channel = self.channel_id(ix);
            self.command(host, Command::SetChaincodes { channel, chaincodes });
        }
    }

    fn say_what_is_accepted(&mut self, host: usize) {
        let kinds = self.hosts[host].application.accepts.clone();
        self.command(host, Command::Accept { kinds });
    }

    fn change_metadata(&mut self, host: usize, draws: &mut Draws) {
        let word = format!("word {} of {} ", self.acts, self.layout.names[host]);
        let length = draws.index(4 * word.len());
        let metadata: Bytes = word.into_bytes().into_iter().cycle().take(length).collect();
        self.set_metadata(host, metadata);
    }

    fn change_chaincodes(&mut self, host: usize, ix: usize, draws: &mut Draws) {
        let installed = CHAINCODES.iter().filter(|_| draws.chance(600));
        let version = format!("{}", self.acts);
        let chaincode =
            |name: &&str| Chaincode { name: (*name).to_owned(), version: version.clone() };
        let chaincodes: Vec<_> = installed.map(chaincode).collect();
        self.set_chaincodes(host, ix, chaincodes);
    }

    /// Contacts some peer of the own organisation.
    fn contact(&mut self, host: usize, draws: &mut Draws) {
        let orgs = self.layout.orgs.len();
        let hosts = self.layout.org_of(host)..self.hosts.len();
        let others: Vec<_> = hosts.step_by(orgs).filter(|other| *other != host).collect();
        if let Some(other) = others.get(draws.index(others.len())) {
            let endpoint = self.layout.internal(*other);
            self.command(host, Command::Connect { endpoint });
        }
    }

    /// Sends a message to some who fit, of whom some must acknowledge it.
    fn ask_some(&mut self, host: usize, ix: usize, draws: &mut Draws) {
        let number = self.acts;
        let is_of_channel = draws.chance(800);
        let channel = is_of_channel.then(|| self.channel_id(ix));
        let is_limited = draws.chance(500);
        // Among these are peers of whom the node must find out itself that they do not fit.
        let everybody: Vec<_> = (0..self.hosts.len()).map(|of| self.pki_id(of)).collect();
        let some = everybody.into_iter().filter(|_| draws.chance(500)).collect();
        let to = is_limited.then_some(some);
        let max_peers = draws.index(5);
        let min_ack = draws.index(max_peers + 1);
        let timeout = draws.between(Duration::from_secs(1), Duration::from_secs(5));
        let kind = match min_ack {
            0 if draws.chance(500) => MessageKind::PrivateRequest,
            _ => MessageKind::PrivateData,
        };
        let message = self.message(kind, ix, number, data(draws));
        let criteria = Criteria { channel, to, max_peers, min_ack, timeout };
        let request = RequestId::new(number);
        let command = Command::SendByCriteria { request, message, criteria };
        match self.attempt(host, &command) {
            Err(CommandError::TooFewPeers { wanted, known })
                if wanted == min_ack && known < wanted => {}
            Err(CommandError::NotJoined(_)) if is_of_channel && !self.is_member(host, ix) => {}
            Err(error) => self.refused(host, &command, &error),
            Ok(()) => {}
        }
    }

    /// Sends a message to one or two members of a channel.
    fn ask_members(&mut self, host: usize, ix: usize, draws: &mut Draws) {
        let number = self.acts;
        let id = &self.layout.channels[ix].id;
        let peers = self.node(host).and_then(|node| node.channel_peers(id)).unwrap_or_default();
        let count = 1 + draws.index(2);
        let any = |_| Some(peers.get(draws.index(peers.len()))?.member.pki_id);
        let to: Vec<PkiId> = (0..count).filter_map(any).collect();
        let kind = match draws.chance(750) {
            true => MessageKind::PrivateRequest,
            false => MessageKind::PrivateData,
        };
        let nonce = if draws.chance(900) { draws.bits() } else { 0 };
        let message = self.message(kind, ix, number, data(draws));
        if !to.is_empty() {
            self.command(host, Command::Send { message, nonce, to });
        }
    }

    /// Plans how an application answers a message of another.
    pub(super) fn answer(&mut self, host: usize, conn: ConnId, nonce: u64, message: &Message) {
        if self.hosts[host].is_byzantine {
            self.memory.hear_nonce(nonce);
        }
        // What hostile peers send may be about nothing.
        let Some(number) = number_of(message).filter(|_| nonce != 0) else { return };
        let Some(ix) = self.layout.channel(&message.channel) else { return };
        let mut hash = Digest::default();
        [self.options.seed, number, host as u64].into_iter().for_each(|word| hash.word(word));
        let draws = &mut Draws::fork(hash.value(), "answer");
        let soon = draws.between(Duration::from_micros(100), Duration::from_millis(50));
        let late = draws.between(Duration::from_millis(500), Duration::from_secs(8));
        // After how long, and whether it is a good answer.
        let answers: &[_] = match draws.below(10) {
            0 => &[],
            1 => &[(late, true)],
            2 => &[(soon, false)],
            3 => &[(soon, true), (late, true)],
            4 => &[(soon, false), (late, true)],
            _ => &[(soon, true)],
        };
        for (after, is_good) in answers {
            let command = match message.kind {
                MessageKind::PrivateData => {
                    let error = (!is_good).then(|| "the store is full".to_owned());
                    Command::Acknowledge { conn, nonce, error }
                }
                MessageKind::PrivateRequest => {
                    let data = if *is_good { data(draws) } else { Bytes::new() };
                    let message = self.message(MessageKind::PrivateResponse, ix, number, data);
                    Command::Respond { conn, nonce, message }
                }
                _ => return,
            };
            self.plan_input(self.now + *after, host, Input::Answer(Box::new(command)));
        }
    }

    /// Gives an answer, unless nobody is there any longer.
    pub(super) fn give_answer(&mut self, host: usize, command: &Command) {
        match self.attempt(host, command) {
            Err(CommandError::NotConnected(_)) | Ok(()) => {}
            Err(error) => self.refused(host, command, &error),
        }
    }

    /// Gives a command to a node, which may not refuse it.
    pub(super) fn command(&mut self, host: usize, command: Command) {
        if let Err(error) = self.attempt(host, &command) {
            self.refused(host, &command, &error);
        }
    }

    /// Gives a command to a node, if it runs.
    ///
    /// # Errors
    ///
    /// If the node refuses it.
    pub(super) fn attempt(&mut self, host: usize, command: &Command) -> Result<(), CommandError> {
        let Some(node) = &mut self.hosts[host].node else { return Ok(()) };
        let now = self.now;
        self.recorder.write(host, |writer, log| writer.command(now, command, log));
        let taken = node.command(now, command.clone());
        match &taken {
            Ok(()) => self.observe(host, &Seen::Commanded(command)),
            Err(error) => self.recorder.write(host, |writer, log| writer.refused(error, log)),
        }
        self.drain(host);
        taken
    }

    /// Notes that a node refused a command for no good reason.
    pub(super) fn refused(&mut self, host: usize, command: &Command, error: &CommandError) {
        let text = format!("{command:?}").chars().take(60).collect::<String>();
        self.object("commands are taken", vec![host], format!("{text}: {error}"));
    }

    /// Shows the checkers what a node tells its application of a channel.
    fn look_at_channel(&mut self, host: usize, channel: usize) {
        let id = self.channel_id(channel);
        let peers = self.node(host).and_then(|node| node.channel_peers(&id));
        if let Some(peers) = peers {
            self.observe(host, &Seen::Channel { channel: &id, peers: &peers });
        }
    }

    fn message(&self, kind: MessageKind, ix: usize, number: u64, data: Bytes) -> Message {
        let tx_id = number.to_string();
        let digest = || PvtDataDigest { tx_id: tx_id.clone(), ..PvtDataDigest::default() };
        let body = match kind {
            MessageKind::PrivateRequest => {
                RemotePvtDataRequest { digests: vec![digest()] }.encode_to_vec()
            }
            MessageKind::PrivateResponse => {
                let element = PvtDataElement { digest: Some(digest()), payload: vec![data] };
                RemotePvtDataResponse { elements: vec![element] }.encode_to_vec()
            }
            _ => {
                let payload =
                    PrivatePayload { tx_id, private_rwset: data, ..PrivatePayload::default() };
                PrivateDataMessage { payload: Some(payload) }.encode_to_vec()
            }
        };
        Message { channel: self.channel_id(ix), kind, body: body.into() }
    }
}

fn data(draws: &mut Draws) -> Bytes {
    let byte = draws.bits() as u8;
    vec![byte; 1 + draws.index(DATA_BYTES_MAX)].into()
}

/// Returns the number under which an application made a message, or the message that it answers.
#[must_use]
pub(super) fn number_of(Message { kind, body, .. }: &Message) -> Option<u64> {
    let body = body.clone();
    let content = match kind {
        MessageKind::PrivateData => Content::PrivateData(PrivateDataMessage::decode(body).ok()?),
        MessageKind::PrivateRequest => {
            Content::PrivateReq(RemotePvtDataRequest::decode(body).ok()?)
        }
        MessageKind::PrivateResponse => {
            Content::PrivateRes(RemotePvtDataResponse::decode(body).ok()?)
        }
        _ => return None,
    };
    Some(numbered(&content)?.1)
}

/// Returns what an application's message is, and its number.
#[must_use]
pub(super) fn numbered(content: &Content) -> Option<(MessageKind, u64)> {
    let (kind, tx_id) = match content {
        Content::PrivateData(data) => (MessageKind::PrivateData, &data.payload.as_ref()?.tx_id),
        Content::PrivateReq(request) => {
            (MessageKind::PrivateRequest, &request.digests.first()?.tx_id)
        }
        Content::PrivateRes(response) => {
            let digest = response.elements.first()?.digest.as_ref()?;
            (MessageKind::PrivateResponse, &digest.tx_id)
        }
        _ => return None,
    };
    Some((kind, tx_id.parse().ok()?))
}

/// The mean pause between two things that an application does.
const ACT_INTERVAL: Duration = Duration::from_secs(40);
/// What may be installed on a channel.
const CHAINCODES: [&str; 3] = ["assets", "marbles", "trade"];
/// The size of the largest data of a transaction.
const DATA_BYTES_MAX: usize = 4096;
