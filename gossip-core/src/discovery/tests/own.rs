//! Our own alive message.

use super::*;

/// D-1.
#[test]
fn our_incarnation_is_the_start_and_our_numbers_grow_from_one() {
    let mut world = World::new();
    for _ in 0..60 {
        world.learn_again(1..2);
        world.run(SECOND);
    }
    let stamps: Vec<_> = world.gossiped().iter().map(|alive| alive.stamp).collect();
    assert!(stamps.len() > 10);
    assert!(stamps.iter().all(|stamp| stamp.incarnation == 1_000_000_000_000_000));
    assert_eq!(stamps[0].sequence, 1);
    assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]), "{stamps:?}");
}

/// D-2.
#[test]
fn nothing_is_signed_or_sent_while_nobody_is_alive() {
    let mut world = World::new();
    world.response_dead(said(1).external("").without_secret().by(1));
    world.run(100 * SECOND);
    assert_eq!(world.signs, 1, "the secret");
    assert_eq!(world.drain().len(), 0);
}

/// D-3.
#[test]
fn our_internal_endpoint_is_in_the_secret_alone() {
    let mut world = World::new();
    world.learn([1]);
    world.run(5 * SECOND);
    let alive = world.gossiped().remove(0);
    assert_eq!(alive.endpoint, Some("peer0.example:7051".into()));
    assert_eq!(alive.internal_endpoint, Some("peer0:7051".into()));
    let secret = alive.envelope.secret_envelope.unwrap();
    assert_eq!(secret.signature, "signature of 0");
    let finds = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(finds(&secret.payload, b"peer0:7051"));
    assert!(!finds(&alive.envelope.payload, b"peer0:7051"));
}

/// D-3.
#[test]
fn without_an_external_endpoint_the_clear_part_names_none() {
    let mut world = World::with(|config| config.external_endpoint = None);
    world.learn([1]);
    world.run(5 * SECOND);
    assert_eq!(world.gossiped()[0].endpoint, None);
    assert!(!world.discovery.has_external_endpoint(&pki(0)));
}

/// D-4.
#[test]
fn our_identity_is_embedded_at_first_and_never_after() {
    let mut world = World::new();
    world.learn([1]);
    for _ in 0..100 {
        world.run(SECOND / 2);
        world.request(said(2).by(1), 1);
        world.sync_with_everybody();
        let is_early = world.now < Instant::from_nanos(5) + 10 * SECOND;
        let sent: Vec<_> = world.log.iter().map(|(_, effect)| effect).collect();
        let frames = sent.iter().filter_map(|effect| match effect {
            Effect::Send { frame, .. } => Some(frame.clone()),
            Effect::Gossip(alive) => Some(alive.frame()),
            _ => None,
        });
        let names_us = |frame: &Bytes| {
            let identity = b"identity of 0";
            frame.windows(identity.len()).any(|part| part == identity)
        };
        assert!(frames.clone().count() > 0);
        assert!(frames.into_iter().all(|frame| names_us(&frame) == is_early), "{}", world.now);
        world.drain();
    }
}

impl World {
    fn sync_with_everybody(&mut self) {
        self.act(|discovery, cx| discovery.on_timer(Timer::Sync, cx));
    }
}

/// D-48.
#[test]
fn new_metadata_are_in_the_next_message() {
    let mut world = World::new();
    world.learn([1]);
    world.sync_with_everybody();
    assert_eq!(&world.sent()[0].request().metadata[..], b"");
    world.discovery.set_metadata(Bytes::from_static(b"new"));
    world.sync_with_everybody();
    assert_eq!(&world.sent()[0].request().metadata[..], b"new");
}

#[test]
fn one_signature_serves_all_that_is_sent_until_the_next_heartbeat() {
    let mut world = World::new();
    world.learn([1, 2, 3, 4]);
    world.run(60 * SECOND);
    world.drain();
    let before = world.signs;
    for _ in 0..60 {
        world.run(SECOND);
        world.request(said(2).by(1), 1);
        world.learn_again(1..5);
    }
    let beats = world.gossiped().len() as u64;
    assert!((10..15).contains(&beats), "{beats}");
    assert!(world.signs - before <= beats + 2, "{} for {beats}", world.signs - before);
}

impl World {
    /// Keeps peers alive.
    fn learn_again(&mut self, ids: core::ops::Range<u8>) {
        let sequence = self.now.as_nanos();
        ids.for_each(|id| self.response_alive(said(id).by(sequence)));
    }
}

#[test]
fn what_needs_our_message_waits_for_the_one_that_is_being_signed() {
    let mut world = World::new();
    world.signer = Signer::Waits;
    for nonce in 1..4 {
        world.request(said(1).by(1), nonce);
    }
    assert_eq!(world.unsigned.len(), 1);
    assert_eq!(world.sent().len(), 0);
    world.sign();
    let nonces: Vec<_> = world.sent().iter().map(|sent| sent.message.nonce).collect();
    assert_eq!(nonces, [1, 2, 3]);
}

#[test]
fn of_too_many_that_wait_the_oldest_are_dropped() {
    let mut world = World::new();
    world.signer = Signer::Waits;
    for nonce in 0..300 {
        world.request(said(1).by(1), nonce);
    }
    world.sign();
    let nonces: Vec<_> = world.sent().iter().map(|sent| sent.message.nonce).collect();
    assert_eq!(nonces, Vec::from_iter(300 - 256..300));
    assert_eq!(world.stats.faults(Fault::Overflow), 300 - 256);
}

/// D7.b: not as Fabric, whose heartbeat ends with the first failure.
#[test]
fn a_key_that_fails_for_a_while_delays_the_heartbeat_only() {
    let mut world = World::with(|config| config.publish_cert_period = Duration::ZERO);
    world.learn([1]);
    world.run(SECOND);
    world.signer = Signer::Fails;
    world.run(10 * SECOND);
    world.drain();
    world.request(said(1).by(9), 1);
    assert_eq!(world.sent().len(), 0);
    world.signer = Signer::Works;
    world.run(6 * SECOND);
    assert_eq!(world.gossiped().len(), 1);
}

/// D4.c.
#[test]
fn without_a_signed_secret_messages_go_out_and_the_secret_is_tried_again() {
    let mut world = World::of(0, |_| {});
    world.signer = Signer::Waits;
    world.start();
    world.request(said(1).by(1), 1);
    assert_eq!(world.unsigned.len(), 1, "the secret first");
    let secret = world.unsigned.remove(0);
    world.refuse(secret);
    world.sign();
    assert_eq!(world.own_in_response().internal_endpoint, None);
    world.run(60 * SECOND);
    world.request(said(1).by(99), 2);
    world.sign();
    world.sign();
    assert_eq!(world.own_in_response().internal_endpoint, Some("peer0:7051".into()));
}

impl World {
    fn refuse(&mut self, secret: Effect) {
        let Effect::SignSecret { payload } = secret else { panic!("{secret:?} is no secret") };
        self.act(|discovery, cx| discovery.on_secret_signed(payload, None, cx));
    }

    fn own_in_response(&mut self) -> Alive {
        let sent = self.sent();
        sent.last().expect("a response").response().0.pop().expect("our own message")
    }
}

#[test]
fn an_answer_to_another_question_is_ignored() {
    let mut world = World::new();
    world.drain();
    world.act(|discovery, cx| {
        discovery.on_alive_signed(Bytes::from_static(b"?"), Some(Bytes::new()), cx);
        discovery.on_secret_signed(Bytes::from_static(b"?"), Some(Bytes::new()), cx);
        discovery.on_ping(pki(1), true, cx);
        discovery.on_handshake(77, Some((pki(1), org(1))), cx);
        discovery.on_response(77, cx);
        discovery.on_timer(Timer::Contact(77), cx);
    });
    assert_eq!(world.drain().len(), 0);
}
