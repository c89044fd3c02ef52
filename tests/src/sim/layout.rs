//! Who is who: organisations, channels and where everybody listens.

use std::collections::BTreeMap;

use gossip_core::{ChannelConfig, ChannelId, Endpoint, OrgId};

use super::{crypto::Readers, options::Options};

/// What stays the same during a run.
#[derive(Debug)]
pub struct Layout {
    /// The organisations.
    pub orgs: Vec<OrgId>,
    /// The channels: one of all organisations, and one of each unless membership is static.
    pub channels: Vec<Channel>,
    /// The peers' names; peer `n` belongs to organisation `n` modulo their number.
    pub names: Vec<String>,
    listeners: BTreeMap<Endpoint, Listener>,
    /// How often each peer moved.
    moves: Vec<u32>,
    /// Whether all peers can be reached by other organisations, or only the anchors.
    are_all_public: bool,
}

/// A channel.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub id: ChannelId,
    /// The organisations that are in it, by number.
    pub orgs: Vec<usize>,
    /// Its configuration.
    pub config: ChannelConfig,
}

/// Who listens at an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listener {
    /// The peer.
    pub host: usize,
    /// Whether only its own organisation knows the endpoint.
    pub is_internal: bool,
}

impl Layout {
    /// Makes the layout that the options ask for.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let letters: Vec<_> = (0..options.orgs).map(letters).collect();
        let orgs: Vec<_> = letters.iter().map(|letter| OrgId::from(letter.as_str())).collect();
        let name = |host: usize| format!("{}{}", letters[host % orgs.len()], host / orgs.len());
        let names: Vec<_> = (0..options.peers).map(name).collect();
        let moves = vec![0; options.peers];
        let mut layout = Self {
            orgs,
            channels: Vec::new(),
            names,
            listeners: BTreeMap::new(),
            moves,
            are_all_public: !options.is_static,
        };
        (0..options.peers).for_each(|host| layout.listen(host));
        let everybody: Vec<_> = (0..options.orgs).collect();
        layout.add_channel("all", everybody.clone());
        if options.orgs > 1 && !options.is_static {
            for org in everybody {
                layout.add_channel(&format!("only-{}", letters[org]), vec![org]);
            }
        }
        layout
    }

    /// Returns the number of the peer that has a name.
    ///
    /// # Errors
    ///
    /// If none has.
    pub fn host(&self, name: &str) -> Result<usize, String> {
        let found = self.names.iter().position(|other| other == name);
        let last = self.names.last().map_or("", String::as_str);
        found.ok_or_else(|| format!("no peer is called {name:?}: expected a0 to {last}"))
    }

    /// Returns the organisation of a peer, by number.
    #[must_use]
    pub fn org_of(&self, host: usize) -> usize {
        host % self.orgs.len()
    }

    /// Returns the letters of a peer's organisation.
    #[must_use]
    pub fn org_name(&self, host: usize) -> String {
        self.orgs[self.org_of(host)].to_string()
    }

    /// Returns where a peer's own organisation reaches it.
    #[must_use]
    pub fn internal(&self, host: usize) -> Endpoint {
        format!("{}.{}:{}", self.names[host], self.org_name(host), 7051 + self.moves[host]).into()
    }

    /// Returns where others reach a peer.
    #[must_use]
    pub fn external(&self, host: usize) -> Endpoint {
        let port = 443 + self.moves[host];
        format!("{}.{}.example.com:{port}", self.names[host], self.org_name(host)).into()
    }

    /// Says whether other organisations are told where they reach a peer.
    #[must_use]
    pub fn is_public(&self, host: usize) -> bool {
        self.are_all_public || host / self.orgs.len() < ANCHORS
    }

    /// Says whether two peers may know each other: those of one organisation, and those that other
    /// organisations can reach.
    #[must_use]
    pub fn may_meet(&self, one: usize, other: usize) -> bool {
        self.org_of(one) == self.org_of(other) || (self.is_public(one) && self.is_public(other))
    }

    /// Counts the others whom a peer may know.
    #[must_use]
    pub fn acquaintances(&self, host: usize) -> usize {
        let (orgs, all) = (self.orgs.len(), self.names.len());
        let size = |org: usize| (all - org).div_ceil(orgs);
        let public = |org| if self.are_all_public { size(org) } else { size(org).min(ANCHORS) };
        let own = self.org_of(host);
        let abroad = (0..orgs).filter(|org| *org != own && self.is_public(host)).map(public);
        size(own) - 1 + abroad.sum::<usize>()
    }

    /// Lets a peer listen elsewhere, and nowhere else.
    pub(super) fn move_on(&mut self, host: usize) {
        self.listeners.retain(|_, listener| listener.host != host);
        self.moves[host] += 1;
        self.listen(host);
    }

    fn listen(&mut self, host: usize) {
        self.listeners.insert(self.internal(host), Listener { host, is_internal: true });
        if self.is_public(host) {
            self.listeners.insert(self.external(host), Listener { host, is_internal: false });
        }
    }

    /// Returns who listens at an endpoint.
    #[must_use]
    pub fn listener(&self, endpoint: &Endpoint) -> Option<Listener> {
        self.listeners.get(endpoint).copied()
    }

    /// Returns the number of a channel.
    #[must_use]
    pub fn channel(&self, id: &ChannelId) -> Option<usize> {
        self.channels.iter().position(|channel| channel.id == *id)
    }

    /// Says whether a peer's organisation is in a channel.
    #[must_use]
    pub fn is_in(&self, host: usize, channel: usize) -> bool {
        self.channels[channel].orgs.contains(&self.org_of(host))
    }

    /// Lists the channels that a peer's organisation is in.
    pub fn channels_of(&self, host: usize) -> impl Iterator<Item = usize> + use<> {
        let is_in: Vec<_> = (0..self.channels.len()).filter(|ix| self.is_in(host, *ix)).collect();
        is_in.into_iter()
    }

    /// Gives a channel other organisations.
    pub(super) fn reconfigure(&mut self, channel: usize, orgs: &[usize]) {
        let sequence = self.channels[channel].config.sequence + 1;
        let config = self.channel_config(sequence, orgs);
        self.channels[channel].orgs = orgs.to_vec();
        self.channels[channel].config = config;
    }

    fn add_channel(&mut self, name: &str, orgs: Vec<usize>) {
        let config = self.channel_config(1, &orgs);
        self.channels.push(Channel { id: ChannelId::from(name), orgs, config });
    }

    fn channel_config(&self, sequence: u64, orgs: &[usize]) -> ChannelConfig {
        // The first peers of an organisation are its anchors.
        let anchors = |org: usize| {
            let hosts = (0..self.names.len()).filter(|host| self.org_of(*host) == org);
            hosts.take(ANCHORS).map(|host| self.external(host)).collect::<Vec<_>>()
        };
        let listed = orgs.iter().map(|org| (self.orgs[*org].clone(), anchors(*org)));
        ChannelConfig { sequence, orgs: listed.collect() }
    }
}

impl Readers for Layout {
    fn may_read(&self, org: &OrgId, channel: &ChannelId) -> bool {
        let channel = self.channel(channel).map(|ix| &self.channels[ix]);
        channel.is_some_and(|channel| channel.orgs.iter().any(|ix| self.orgs[*ix] == *org))
    }
}

/// Names an organisation: a to z, then aa, ab and so on.
fn letters(org: usize) -> String {
    let letter = char::from(b'a' + (org % 26) as u8);
    match org / 26 {
        0 => letter.into(),
        rest => format!("{}{letter}", letters(rest - 1)),
    }
}

/// How many anchors, and bootstrap peers, each organisation has.
pub(super) const ANCHORS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_beyond_the_alphabet_have_names_of_their_own() {
        let names: Vec<_> = [0, 25, 26, 27, 51, 52, 701, 702].into_iter().map(letters).collect();
        assert_eq!(names, ["a", "z", "aa", "ab", "az", "ba", "zz", "aaa"]);
    }

    #[test]
    fn in_a_static_network_anchors_alone_know_other_organisations() {
        let options = Options { peers: 12, orgs: 3, is_static: true, ..Options::new(1) };
        let layout = Layout::new(&options);
        let count = |name| layout.acquaintances(layout.host(name).expect("a peer"));
        assert_eq!(["a0", "b1", "c2", "a3"].map(count), [3 + 4, 3 + 4, 3, 3]);
        let layout = Layout::new(&Options { is_static: false, ..options });
        assert_eq!(layout.acquaintances(11), 11);
    }
}
