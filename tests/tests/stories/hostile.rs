//! Hostile peers.

use gossip_core::Limits;
use gossip_tests::{
    sim::{Manner, Options},
    story::{HOUR, MINUTE, SECOND, Story},
};

/// The victim reaches one honest peer, and hostile ones.
#[test]
fn one_honest_link_among_hostile_ones_is_enough() {
    let mut story = Story::of(61, 2, 5).met();
    story.turn("a1 a2 b1 b2 b3", Manner::Anything);
    story.part("a4", "a0 b0 b4", HOUR);
    story.wait(3 * MINUTE);
    for _ in 0..5 {
        story.wait(MINUTE);
        story.expect_known("a4", "a3");
        story.expect_known("a3", "a4");
        story.expect_blocks("a4", 4);
    }
}

#[test]
fn a_network_that_only_attackers_were_up_in_before_it_comes_to_be_all_the_same() {
    let mut story = Story::of(62, 2, 4);
    story.turn("a1 b1 b2", Manner::Anything);
    story.switch_off("a0 a2 a3 b0 b3");
    story.wait(2 * MINUTE);
    story.start("a0 a2 a3 b0 b3");
    story.wait(MINUTE);
    story.expect_known("a0 a2 a3 b0 b3", "a0 a2 a3 b0 b3");
    story.settle();
}

#[test]
fn peers_that_keep_blocks_to_themselves_keep_them_from_nobody() {
    let mut story = Story::of(63, 2, 5).met();
    story.turn("a1 a3 b1", Manner::Withholds);
    story.wait(5 * MINUTE);
    story.expect_blocks("all", 4);
    // One that lost all that it had gets it from the others.
    story.crash("a4");
    story.each("a4", |world, host| world.lose_ledger(host));
    story.start("a4");
    story.settle();
    story.expect_blocks("a4", 0);
}

#[test]
fn heights_that_nobody_has_lead_nobody_astray() {
    let mut story = Story::of(64, 2, 4).met();
    story.turn("a1 b3", Manner::Boasts);
    story.wait(3 * MINUTE);
    story.crash("a2");
    story.each("a2", |world, host| world.lose_ledger(host));
    story.start("a2");
    story.settle();
    story.expect_blocks("all", 0);
}

#[test]
fn who_says_different_things_to_different_peers_does_not_part_them() {
    let mut story = Story::of(65, 2, 4).met();
    story.turn("b3", Manner::Equivocates);
    for _ in 0..5 {
        story.wait(MINUTE);
        story.expect_known("all -b3", "all -b3");
        story.expect_blocks("all -b3", 2);
    }
}

#[test]
fn who_sends_much_that_means_little_delays_nobody_and_lasts_no_longer_than_it_is_there() {
    let mut story = Story::of(66, 2, 4).met();
    story.turn("a3 b3", Manner::Floods);
    for _ in 0..5 {
        story.wait(MINUTE);
        story.expect_known("all -a3 -b3", "all -a3 -b3");
        story.expect_blocks("all", 2);
    }
    story.switch_off("a3 b3");
    story.wait(2 * MINUTE);
    story.expect_view("all -a3 -b3", "all -a3 -b3");
}

/// It still has what the vanished one said, and repeats it for an hour.
#[test]
fn what_was_heard_of_the_dead_does_not_bring_them_back() {
    let mut story = Story::of(67, 2, 3);
    story.turn("b2", Manner::Replays);
    story.wait(MINUTE);
    story.expect_known("all -b2", "all -b2");
    story.vanish("a2");
    story.wait(2 * MINUTE);
    for _ in 0..10 {
        story.wait(6 * MINUTE);
        story.expect_known("all -a2 -b2", "all -a2 -b2");
        story.expect_unknown("all -a2 -b2", "a2");
    }
}

/// An organisation issues identities as it likes: it fills what the limits leave, and no more.
#[test]
fn a_thousand_identities_of_one_organisation_push_nobody_out() {
    let limits = Limits { members_max: 300, identities_max: 400, ..Limits::default() };
    let block_interval = 4 * SECOND;
    let options = Options { peers: 6, block_interval, limits, ..Options::new(68) };
    let mut story = Story::from(options).met();
    story.turn("b2", Manner::Floods);
    story.each("b2", |world, host| world.invent(host, 1000));
    story.wait(10 * SECOND);
    let node = story.world.node(story.host("a0")).expect("it runs");
    // Dead or alive: there is nobody where they say they listen.
    let (peers, identities) = (node.known_peers().len(), node.identities().len());
    assert!((200..=300).contains(&peers) && identities <= 401, "{peers}, {identities}");
    story.wait(5 * MINUTE);
    story.expect_known("all -b2", "all -b2");
    story.expect_blocks("all -b2", 2);
}
