//! What stories do to a world besides its faults.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{Command, Notice, OrgId, PkiId};
use gossip_proto::gossip::{
    AliveMessage, Envelope, GossipMessage, Member, PeerTime,
    gossip_message::{Content, Tag},
};
use prost::Message as _;

use super::{
    byzantine::Manner,
    check::Issued,
    crypto::Credentials,
    faults::{Control, FLOOD_INTERVAL},
    world::World,
};

impl World {
    /// Makes a host hostile, in some manner.
    pub fn turn(&mut self, host: usize, manner: Manner) {
        self.befall(host, format!("turns hostile: {manner:?}"));
        self.hosts[host].manner = manner;
        if std::mem::replace(&mut self.hosts[host].is_byzantine, true) {
            return;
        }
        if let Some(issued) = self.issued.get_mut(&self.hosts[host].credentials.facts.pki_id) {
            issued.is_byzantine = true;
        }
        self.plan_control(FLOOD_INTERVAL, Control::Flood { host });
    }

    /// Ends a node, if it runs, and starts it no more until the host is switched on.
    pub fn switch_off(&mut self, host: usize) {
        if self.hosts[host].node.is_some() {
            self.crash(host, true);
        }
        self.hosts[host].is_off = true;
    }

    /// Starts the node of a host that is down, or was switched off.
    pub fn switch_on(&mut self, host: usize) {
        self.hosts[host].is_off = false;
        self.start(host);
    }

    /// Lets a host stand still for a while. Says whether it ran.
    pub fn pause(&mut self, host: usize, lasts: Duration) -> bool {
        if !self.hosts[host].is_running() {
            return false;
        }
        self.hosts[host].is_paused = true;
        self.befall(host, format!("stands still for {lasts:?}"));
        self.plan_control(lasts, Control::Resume { host });
        true
    }

    /// Loses all jobs of a host, or no more.
    pub fn lose_jobs(&mut self, host: usize, are_lost: bool) {
        self.hosts[host].loses_jobs = are_lost;
        self.befall(host, if are_lost { "loses its jobs" } else { "does its jobs again" });
    }

    /// Lets a host's wall clock run too fast, by nanoseconds per millisecond since the beginning.
    pub fn drift_clock(&mut self, host: usize, drift: i64) {
        self.hosts[host].clock_drift = drift;
        self.plan_control(Duration::ZERO, Control::ReadClock { host });
    }

    /// Lets a node leave a channel. Says whether it was there.
    pub fn leave(&mut self, host: usize, channel: usize) -> bool {
        if !self.hosts[host].is_running() || !self.is_member(host, channel) {
            return false;
        }
        self.hosts[host].has_left[channel] = true;
        let channel = self.channel_id(channel);
        self.befall(host, format!("leaves {channel}"));
        self.command(host, Command::LeaveChannel { channel });
        true
    }

    /// Lets a node join a channel that it left.
    pub fn rejoin(&mut self, host: usize, channel: usize) {
        if std::mem::take(&mut self.hosts[host].has_left[channel]) {
            self.befall(host, format!("joins {} again", self.channel_id(channel)));
            self.enter(host, channel);
        }
    }

    /// Says whether a host's organisation is in a channel, and the host did not leave it.
    #[must_use]
    pub fn is_member(&self, host: usize, channel: usize) -> bool {
        self.layout.is_in(host, channel) && !self.hosts[host].has_left[channel]
    }

    /// Gives a channel other organisations, by number. All who are in it then learn it at once; who
    /// is not any longer goes on as before.
    pub fn reconfigure(&mut self, channel: usize, orgs: &[usize]) {
        self.layout.reconfigure(channel, orgs);
        for host in 0..self.hosts.len() {
            if self.is_member(host, channel) && self.hosts[host].is_running() {
                self.enter(host, channel);
            }
        }
    }

    /// Starts a host again at other endpoints.
    pub fn relocate(&mut self, host: usize) {
        self.crash(host, true);
        self.layout.move_on(host);
        self.befall(host, "moves");
        self.start(host);
    }

    /// Starts a host again with the identity and key of another.
    pub fn impersonate(&mut self, host: usize, other: usize) {
        self.crash(host, true);
        self.hosts[host].credentials = self.hosts[other].credentials.clone();
        self.befall(host, format!("takes the identity of {}", self.layout.names[other]));
        self.start(host);
    }

    /// Lets a host's driver send the first word of peers that do not exist, with identities that
    /// its organisation issued, on all its connections.
    pub fn invent(&mut self, host: usize, peers: u32) {
        for number in 0..peers {
            let frame = self.invented(host, number);
            for conn in self.net.ends_where(|end| end.host == host && !end.is_new()) {
                self.transmit(conn, frame.clone(), false);
            }
        }
    }

    fn invented(&mut self, host: usize, number: u32) -> Bytes {
        let org = self.layout.org_name(host);
        let credentials = self.authority.issue(&org, "nobody", number, None);
        let Credentials { identity, facts, key } = credentials;
        let issued = Issued { host, expires_at: None, is_byzantine: true };
        self.issued.insert(facts.pki_id, issued);
        let endpoint = format!("nobody{number}.example.com:443");
        let pki_id = Bytes::copy_from_slice(facts.pki_id.as_bytes());
        let membership = Some(Member { endpoint, metadata: Bytes::new(), pki_id });
        let timestamp = Some(PeerTime { inc_num: 1, seq_num: 1 });
        let identity = identity.as_bytes().clone();
        let alive = AliveMessage { membership, timestamp, identity, ..AliveMessage::default() };
        let message = GossipMessage {
            nonce: 0,
            channel: Bytes::new(),
            tag: Tag::Empty as i32,
            content: Some(Content::AliveMsg(alive)),
        };
        let payload = Bytes::from(message.encode_to_vec());
        let signature = key.sign(&payload);
        Envelope { payload, signature, secret_envelope: None }.encode_to_vec().into()
    }

    /// Keeps from now on what nodes tell.
    pub fn listen_to_all(&mut self) {
        self.heard.get_or_insert_default();
    }

    /// Lists what a host's node told since that is kept, oldest first.
    pub fn heard(&self, host: usize) -> impl Iterator<Item = &Notice> {
        let all = self.heard.iter().flatten();
        all.filter(move |(of, _)| *of == host).map(|(_, notice)| notice)
    }

    /// Says whether an identity was revoked.
    #[must_use]
    pub fn is_revoked(&self, pki_id: &PkiId) -> bool {
        self.authority.is_revoked(pki_id)
    }

    /// Returns whose an identity is.
    #[must_use]
    pub fn owner(&self, pki_id: &PkiId) -> Option<usize> {
        self.issued.get(pki_id).map(|issued| issued.host)
    }

    /// Returns the organisations of a channel, as its configuration names them.
    #[must_use]
    pub fn orgs_of(&self, channel: usize) -> Vec<OrgId> {
        let orgs = &self.layout.channels[channel].config.orgs;
        orgs.iter().map(|(org, _)| org.clone()).collect()
    }
}
