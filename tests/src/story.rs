//! Stories: what befalls named peers, told in the order in which it happens.
//!
//! A story's peers are `a0`, `a1`, … of organisation `a`, `b0`, … of `b`. Whom something concerns
//! is said in words with spaces between them, read from the left: a peer, an organisation, `all`,
//! or either with `-` before it, who are left out again. All are in the channel `all`, each
//! organisation is also in a channel of its own, `only-a`.
//!
//! ```
//! use gossip_tests::story::{MINUTE, Story};
//!
//! let mut story = Story::of(1, 2, 2).met();
//! story.part("a", "b", MINUTE);
//! story.wait(MINUTE);
//! story.expect_view("a0", "a");
//! story.settle();
//! story.expect_view("all", "all");
//! ```

use std::time::Duration;

use gossip_core::Notice;

use crate::sim::{
    Manner, Options, World,
    check::{is_well, unmet},
    patience,
};

/// A world in which everything goes well but for what is done to it.
///
/// Whatever checkers object to ends the story with a panic, as does everything that is expected and
/// does not hold. So does a word that names nobody.
#[derive(Debug)]
pub struct Story {
    /// The world, for what there are no words for.
    pub world: World,
    options: Options,
}

impl Story {
    /// Begins with some organisations of as many peers each. Nobody has met yet.
    #[must_use]
    pub fn of(seed: u64, orgs: usize, peers: usize) -> Self {
        let block_interval = Duration::from_secs(4);
        Self::from(Options { peers: orgs * peers, orgs, block_interval, ..Options::new(seed) })
    }

    /// Lets everybody meet.
    #[must_use]
    pub fn met(mut self) -> Self {
        self.wait(30 * SECOND);
        self.expect_view("all", "all");
        self
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        self.world.run_for(time);
        if let Some(violation) = self.world.violation() {
            let trace = self.world.trace(&violation.hosts, 60).join("\n");
            panic!("{trace}\n{violation}");
        }
    }

    /// Lets all become well, as it must, with no more blocks than there are.
    pub fn settle(&mut self) {
        self.world.close_orderers();
        let until = self.world.elapsed() + patience(&self.options);
        while !is_well(&self.world) {
            let trace = || self.world.trace(&[], 60).join("\n");
            let is_late = self.world.elapsed() >= until;
            assert!(!is_late, "{}\n{:#?}", trace(), unmet(&self.world));
            self.world.deliver_all();
            self.wait(SECOND);
        }
    }

    /// Lists the numbers of those whom words name, ascending.
    #[must_use]
    pub fn hosts(&self, words: &str) -> Vec<usize> {
        let layout = self.world.layout();
        let mut hosts = Vec::new();
        for word in words.split_whitespace() {
            let (is_left_out, word) = word.strip_prefix('-').map_or((false, word), |of| (true, of));
            let is_meant = |host: usize| {
                word == "all" || word == layout.names[host] || word == layout.org_name(host)
            };
            let meant: Vec<_> = (0..layout.names.len()).filter(|host| is_meant(*host)).collect();
            assert!(!meant.is_empty(), "nobody is called {word:?}");
            hosts.retain(|host| !meant.contains(host));
            hosts.extend(meant.into_iter().filter(|_| !is_left_out));
        }
        hosts.sort_unstable();
        hosts
    }

    /// Returns the number of the one peer that a word names.
    #[must_use]
    pub fn host(&self, word: &str) -> usize {
        let hosts = self.hosts(word);
        assert_eq!(hosts.len(), 1, "{word:?} is no one peer");
        hosts[0]
    }

    /// Returns the number of a channel.
    #[must_use]
    pub fn channel(&self, name: &str) -> usize {
        let channel = self.world.layout().channel(&name.into());
        channel.unwrap_or_else(|| panic!("no channel is called {name:?}"))
    }

    /// Does something to everybody whom the words name.
    pub fn each(&mut self, words: &str, mut act: impl FnMut(&mut World, usize)) {
        self.hosts(words).into_iter().for_each(|host| act(&mut self.world, host));
    }

    /// Lets nothing pass between some and others for a while.
    pub fn part(&mut self, these: &str, those: &str, lasts: Duration) {
        let (these, those) = (self.hosts(these), self.hosts(those));
        self.world.separate(&these, &those, false, lasts);
    }

    /// Lets nothing pass from some to others for a while.
    pub fn mute(&mut self, these: &str, to: &str, lasts: Duration) {
        let (these, those) = (self.hosts(these), self.hosts(to));
        self.world.separate(&these, &those, true, lasts);
    }

    /// Ends nodes; their peers hear of it.
    pub fn crash(&mut self, words: &str) {
        self.each(words, |world, host| world.crash(host, true));
    }

    /// Ends nodes; their peers hear nothing.
    pub fn vanish(&mut self, words: &str) {
        self.each(words, |world, host| world.crash(host, false));
    }

    /// Starts nodes that do not run.
    pub fn start(&mut self, words: &str) {
        self.each(words, World::switch_on);
    }

    /// Keeps nodes from running until they are started.
    pub fn switch_off(&mut self, words: &str) {
        self.each(words, World::switch_off);
    }

    /// Makes peers hostile.
    pub fn turn(&mut self, words: &str, manner: Manner) {
        self.each(words, |world, host| world.turn(host, manner));
    }

    /// Sets wall clocks a number of seconds off.
    pub fn set_clock(&mut self, words: &str, seconds: i64) {
        self.each(words, |world, host| world.step_clock(host, seconds * 1_000_000_000));
    }

    /// Lists whom a peer holds alive, by name; `?` for those who do not exist.
    #[must_use]
    pub fn view(&self, word: &str) -> Vec<&str> {
        let members = self.world.node(self.host(word)).map(|node| node.members());
        let owner = |pki_id| self.world.owner(&pki_id).filter(|host| self.is_now(*host, pki_id));
        let name = |pki_id| owner(pki_id).map_or("?", |host| &self.world.layout().names[host]);
        let mut names: Vec<_> =
            members.unwrap_or_default().iter().map(|member| name(member.pki_id)).collect();
        names.sort_unstable();
        names
    }

    /// Expects that each of some holds alive exactly the others, itself left out.
    pub fn expect_view(&self, of: &str, others: &str) {
        for host in self.hosts(of) {
            let names = &self.world.layout().names;
            let others = self.hosts(others).into_iter().filter(|other| *other != host);
            let mut expected: Vec<_> = others.map(|other| names[other].as_str()).collect();
            expected.sort_unstable();
            assert_eq!(self.view(&names[host]), expected, "in the view of {}", names[host]);
        }
    }

    /// Expects that each of some holds alive all the others.
    pub fn expect_known(&self, of: &str, others: &str) {
        for host in self.hosts(of) {
            let names = &self.world.layout().names;
            let view = self.view(&names[host]);
            for other in self.hosts(others).into_iter().filter(|other| *other != host) {
                let is_known = view.contains(&names[other].as_str());
                assert!(is_known, "{} does not know {}: {view:?}", names[host], names[other]);
            }
        }
    }

    /// Expects that none of some holds alive any of the others.
    pub fn expect_unknown(&self, of: &str, others: &str) {
        for host in self.hosts(of) {
            let names = &self.world.layout().names;
            let view = self.view(&names[host]);
            for other in self.hosts(others) {
                let is_known = view.contains(&names[other].as_str());
                assert!(!is_known, "{} knows {}: {view:?}", names[host], names[other]);
            }
        }
    }

    /// Expects that each of some has all blocks of its channels but for the newest few.
    pub fn expect_blocks(&self, of: &str, but: u64) {
        for host in self.hosts(of) {
            let channels = self.world.layout().channels_of(host);
            for channel in channels.filter(|channel| self.world.is_member(host, *channel)) {
                let (name, id) =
                    (&self.world.layout().names[host], &self.world.layout().channels[channel].id);
                let (height, all) = self.world.heights(host, channel);
                assert!(all > 0, "blocks were made in {id}");
                assert!(height + but >= all, "{name} has {height} of {all} blocks of {id}");
            }
        }
    }

    /// Lists whom a peer holds to be in a channel, by name.
    #[must_use]
    pub fn channel_view(&self, word: &str, channel: &str) -> Vec<&str> {
        let node = self.world.node(self.host(word));
        let peers = node.and_then(|node| node.channel_peers(&channel.into())).unwrap_or_default();
        let owner = |pki_id| self.world.owner(pki_id).expect("somebody's identity");
        let names = &self.world.layout().names;
        let mut found: Vec<_> =
            peers.iter().map(|peer| names[owner(&peer.member.pki_id)].as_str()).collect();
        found.sort_unstable();
        found
    }

    /// Says whether a peer was told something, since all is kept that is told.
    #[must_use]
    pub fn was_told(&self, word: &str, is_it: impl FnMut(&Notice) -> bool) -> bool {
        self.world.heard(self.host(word)).any(is_it)
    }

    fn is_now(&self, host: usize, pki_id: gossip_core::PkiId) -> bool {
        self.world.pki_id(host) == pki_id
    }
}

/// Begins with a world of these options.
impl From<Options> for Story {
    fn from(options: Options) -> Self {
        // Nothing happens in a story but what it tells.
        let options = Options { has_applications: false, ..options };
        let world = World::new(options.clone()).expect("options that make sense");
        Self { world, options }
    }
}

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// One hour.
pub const HOUR: Duration = Duration::from_secs(3600);
/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
