//! Rounds of others.

use super::*;

impl World {
    fn serve(&mut self, to: u8, nonce: u64, items: Vec<Envelope>) {
        self.call(|engine, cx| engine.serve(ConnId::new(to.into()), nonce, items, cx));
    }
}

fn item(payload: &'static [u8]) -> Envelope {
    Envelope { payload: payload.into(), signature: Bytes::new(), secret_envelope: None }
}

/// P-21, P-38: nonce 0 is as good as any.
#[test]
fn a_hello_is_answered_with_its_nonce_and_what_its_sender_may_see() {
    let mut world = World::new();
    for nonce in [0, 7, u64::MAX] {
        world.hello(4, nonce, &["a", "b"]).unwrap();
        let said = world.take().remove(0);
        assert_eq!(said, (Duration::ZERO, 4, Said::Digest(nonce, ids(&["a", "b"]))));
    }
}

/// P-22, P-29, N-30.
#[test]
fn who_may_see_nothing_gets_no_digest_but_may_still_ask() {
    let mut world = World::new();
    world.hello(4, 7, &[]).unwrap();
    assert_eq!(world.take(), []);
    assert!(world.honours(4, 7));
}

/// P-23, P-24, P-27, N-29: requests do not make the window longer.
#[test]
fn a_nonce_is_honoured_for_a_second_and_a_half() {
    let mut world = World::new();
    world.hello(4, 7, &["a"]).unwrap();
    world.run_for(1499 * MS);
    assert!(world.honours(4, 7) && world.honours(4, 7));
    world.run_for(MS);
    assert!(!world.honours(4, 7));
}

/// P-25, N-29, Q50-1: a nonce is its sender's alone.
#[test]
fn a_nonce_that_no_hello_of_the_same_peer_named_is_not_honoured() {
    let mut world = World::new();
    world.hello(4, 7, &["a"]).unwrap();
    assert!(!world.honours(4, 8));
    assert!(!world.honours(5, 7));
}

/// P-26, N-30.
#[test]
fn an_update_is_never_empty() {
    let mut world = World::new();
    world.serve(4, 7, Vec::new());
    assert_eq!(world.take(), []);
    world.serve(4, 7, vec![item(b"a"), item(b"b")]);
    assert_eq!(world.take()[0].2, Said::Update(7, ids(&["a", "b"])));
}

/// P-32: in the frame are the very bytes, signature and secret included.
#[test]
fn items_travel_as_they_came() {
    let secret = gossip_proto::gossip::SecretEnvelope {
        payload: (&b"s"[..]).into(),
        signature: (&b"t"[..]).into(),
    };
    let item = Envelope {
        payload: (&b"\xff\x00 no protobuf"[..]).into(),
        signature: (&b"signature"[..]).into(),
        secret_envelope: Some(secret),
    };
    let frame = Family::identities().update(7, vec![item.clone()]);
    let envelope = Envelope::decode(frame).unwrap();
    let Some(Content::DataUpdate(update)) = wire::open(&envelope).unwrap().content else {
        panic!("an update");
    };
    assert_eq!(update.data, [item]);
}

/// P-4, N-32.
#[test]
fn blocks_and_identities_are_marked_as_fabric_marks_them() {
    let read = |frame: Bytes| wire::open(&Envelope::decode(frame).unwrap()).unwrap();
    let identities = read(Family::identities().hello(7));
    assert_eq!((identities.tag, identities.channel.as_ref()), (1, &b""[..]));
    let blocks = read(Family::blocks(ChannelId::from("ch")).hello(7));
    assert_eq!((blocks.tag, blocks.channel.as_ref()), (4, &b"ch"[..]));
    for (message, msg_type) in [(identities, 2), (blocks, 1)] {
        let Some(Content::Hello(hello)) = message.content else {
            panic!("a hello");
        };
        assert_eq!((hello.msg_type, hello.nonce), (msg_type, 7));
    }
}

/// P-37.
#[test]
fn ids_that_are_no_text_survive() {
    let id = Bytes::from_static(&[0xff; 32]);
    let frame = Family::identities().digest(7, &[&id].into_iter().collect());
    assert_eq!(super::read(&frame), Said::Digest(7, vec![id]));
}

/// 10.2, [`pull_update_bytes_max`](crate::Limits::pull_update_bytes_max),
/// [`pull_items_max`](crate::Limits::pull_items_max).
#[test]
fn an_update_holds_what_fits_and_at_least_one_item() {
    let mut world = World::with(Family::identities(), |config| {
        config.limits.pull_update_bytes_max = 10;
        config.limits.pull_items_max = 2;
    });
    world.serve(4, 7, vec![item(b"123456789 too long"), item(b"b")]);
    assert_eq!(world.take()[0].2, Said::Update(7, ids(&["123456789 too long"])));
    world.serve(4, 7, vec![item(b"12"), item(b"34"), item(b"56")]);
    assert_eq!(world.take()[0].2, Said::Update(7, ids(&["12", "34"])));
    world.serve(4, 7, vec![item(b"12"), item(b"3456789")]);
    assert_eq!(world.take()[0].2, Said::Update(7, ids(&["12"])));
}

/// [`pull_hellos_max`](crate::Limits::pull_hellos_max).
#[test]
fn who_asks_too_often_gets_no_answer_while_others_do() {
    let mut world = World::with(Family::identities(), |config| config.limits.pull_hellos_max = 2);
    for nonce in 0..2 {
        world.hello(4, nonce, &["a"]).unwrap();
    }
    world.take();
    assert_eq!(world.hello(4, 2, &["a"]), Err(Fault::Overflow));
    assert!(!world.honours(4, 2));
    assert_eq!(world.take(), []);
    world.hello(5, 2, &["a"]).unwrap();
    world.run_for(1500 * MS);
    world.hello(4, 2, &["a"]).unwrap();
    assert!(world.honours(4, 2));
}

#[test]
fn hellos_are_forgotten_when_their_time_is_over() {
    let mut world = World::new();
    for peer in 1..=5 {
        world.hello(peer, 7, &["a"]).unwrap();
    }
    world.run_for(10 * SECOND);
    assert!(world.engine.hellos.is_empty());
}
