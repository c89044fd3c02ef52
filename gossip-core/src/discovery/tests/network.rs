//! Many of them together, with a network of 5 ms between them.

use alloc::sync::Arc;

use super::*;

const DELAY: Duration = Duration::from_millis(5);

/// Something on its way to a peer.
enum Way {
    Push { alive: Arc<Alive>, source: u8 },
    Message(Bytes),
    Handshake { contact: u32, endpoint: Endpoint },
    Ping(PkiId),
}

/// Up to three organisations of 20 peers, each with one bootstrap peer that is an anchor as well.
struct Network {
    worlds: Vec<World>,
    on_the_way: BTreeMap<(Instant, u64), (usize, Way)>,
    sent: u64,
    rng: Rng,
}

impl Network {
    fn start(count: u8) -> Self {
        let world = |id: u8| {
            World::of(id, |config| {
                config.bootstrap = vec![format!("peer{}:7051", id / 20 * 20).as_str().into()];
            })
        };
        let worlds = (0..count).map(world).collect();
        let rng = Rng::fork(&[1; 32], "network");
        let mut network = Self { worlds, on_the_way: BTreeMap::new(), sent: 0, rng };
        for ix in 0..network.worlds.len() {
            network.worlds[ix].start();
            for anchor in [0, 20, 40].map(|id| Endpoint::from(said(id).external)) {
                let claimed = Claimed::Foreign;
                network.worlds[ix].act(|discovery, cx| discovery.connect(anchor, claimed, cx));
            }
            network.collect(ix);
        }
        network
    }

    /// Lets time pass until something is so; returns how long it took.
    fn run_until(&mut self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> Duration {
        let start = self.worlds[0].now;
        let mut now = start;
        while !is_so(self) {
            let timer = |(ix, world): (usize, &World)| world.next_timer().map(|(at, _)| (at, ix));
            let timer = self.worlds.iter().enumerate().filter_map(timer).min();
            let arrival = self.on_the_way.keys().next().map(|(at, _)| *at);
            let next = timer.map(|(at, _)| at).into_iter().chain(arrival).min();
            now = next.expect("timers never end");
            assert!(now - start < limit, "not within {limit:?}");
            self.worlds.iter_mut().for_each(|world| world.now = now);
            if arrival == Some(now) {
                let (_, (ix, way)) = self.on_the_way.pop_first().expect("it arrives");
                self.arrive(ix, way);
                self.collect(ix);
            } else if let Some((_, ix)) = timer {
                self.worlds[ix].run(Duration::ZERO);
                self.collect(ix);
            }
        }
        now - start
    }

    fn is_complete(&self) -> bool {
        self.worlds.iter().all(|world| world.discovery.alive_len() + 1 == self.worlds.len())
    }

    /// Puts what a peer wants onto the way.
    fn collect(&mut self, ix: usize) {
        for effect in self.worlds[ix].drain() {
            match effect {
                Effect::Gossip(alive) => self.push(ix, &alive, &[]),
                Effect::Forward { alive, sources } => self.push(ix, &alive, &sources),
                Effect::Send { to, frame, .. } => self.send(to, Way::Message(frame)),
                Effect::Handshake { contact, endpoint } => {
                    self.send(pki(index(ix)), Way::Handshake { contact, endpoint });
                }
                Effect::Ping { pki_id, .. } => self.send(pki(index(ix)), Way::Ping(pki_id)),
                _ => {}
            }
        }
    }

    /// Pushes as the emitter does: to three peers, without what each may not see.
    fn push(&mut self, ix: usize, alive: &Arc<Alive>, sources: &[PkiId]) {
        let mut to: Vec<_> = self.worlds[ix].discovery.alive().map(|(id, _)| *id).collect();
        let own = org(index(ix));
        let subject = org(alive.pki_id.as_bytes()[0]);
        to.retain(|id| !sources.contains(id) && *id != alive.pki_id);
        to.retain(|id| subject == own || [&own, &subject].contains(&&org(id.as_bytes()[0])));
        self.rng.choose(&mut to, 3);
        for id in to {
            let alive = match org(id.as_bytes()[0]) == own {
                true => Arc::clone(alive),
                false => {
                    let envelope = alive.envelope_without_secret();
                    Arc::new(Alive::parse_nested(envelope, usize::MAX).unwrap())
                }
            };
            self.send(id, Way::Push { alive, source: index(ix) });
        }
    }

    fn send(&mut self, to: PkiId, way: Way) {
        self.sent += 1;
        let at = self.worlds[0].now + DELAY;
        self.on_the_way.insert((at, self.sent), (usize::from(to.as_bytes()[0]), way));
    }

    /// Does what the node does before and after signatures are checked.
    fn arrive(&mut self, ix: usize, way: Way) {
        let count = index(self.worlds.len());
        let world = &mut self.worlds[ix];
        match way {
            Way::Push { alive, source } => {
                if world.discovery.would_accept_pushed(&alive) {
                    world.push_from((*alive).clone(), &[source]);
                }
            }
            Way::Message(frame) => {
                let sent = Sent::read(pki(0), None, &frame);
                let nonce = sent.message.nonce;
                if matches!(sent.message.content, Some(Content::MemReq(_))) {
                    return world.request(sent.request(), nonce);
                }
                world.act(|discovery, cx| discovery.on_response(nonce, cx));
                let (alive, dead) = sent.response();
                alive.into_iter().for_each(|alive| world.response_alive(alive));
                dead.into_iter().for_each(|alive| world.response_dead(alive));
            }
            Way::Handshake { contact, endpoint } => {
                let name = endpoint.as_str().trim_start_matches("peer");
                let digits = name.split(['.', ':']).next().unwrap();
                let id: u8 = digits.parse().unwrap();
                let found = (id < count).then(|| (pki(id), org(id)));
                world.act(|discovery, cx| discovery.on_handshake(contact, found, cx));
            }
            Way::Ping(pki_id) => world.act(|discovery, cx| discovery.on_ping(pki_id, true, cx)),
        }
    }
}

fn index(ix: usize) -> u8 {
    u8::try_from(ix).unwrap()
}

#[test]
fn sixty_peers_that_start_together_know_each_other_within_a_second() {
    let mut network = Network::start(60);
    network.run_until(SECOND, Network::is_complete);
    // Signatures are the measure of heartbeats: each is pushed through the whole network.
    assert!(network.worlds.iter().all(|world| world.signs < 8));
    let signs = |network: &Network| network.worlds.iter().map(|world| world.signs).sum::<u64>();
    let (before, sent) = (signs(&network), network.sent);
    let end = network.worlds[0].now + 30 * SECOND;
    network.run_until(60 * SECOND, |network| network.worlds[0].now >= end);
    let (signs, sent) = (signs(&network) - before, network.sent - sent);
    assert!((6 * 60..=9 * 60).contains(&signs), "{signs} instead of six to seven each");
    let (pushed, asked) = (signs * 59 * 3, 60 * (30 / 4 + 8) * 3 * 2);
    assert!(sent < pushed + asked, "{sent} messages, {pushed} of them pushed at most");
    assert!(network.is_complete());
}

/// Nothing is pushed while nobody is alive (D-2): only a request helps, if it is news (D-16).
#[test]
fn two_peers_that_take_each_other_for_dead_meet_again_at_once() {
    let mut network = Network::start(2);
    network.run_until(SECOND, Network::is_complete);
    let end = network.worlds[0].now + 10 * SECOND;
    network.run_until(20 * SECOND, |network| network.worlds[0].now >= end);
    for (ix, other) in [(0, 1), (1, 0)] {
        network.worlds[ix].act(|discovery, cx| discovery.on_presumed_dead(&pki(other), cx));
        network.collect(ix);
    }
    assert!(!network.is_complete());
    network.run_until(SECOND, Network::is_complete);
}
