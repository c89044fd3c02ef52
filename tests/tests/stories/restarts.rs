//! Peers that stop and start.

use gossip_core::Notice;
use gossip_tests::story::{HOUR, MINUTE, SECOND, Story};

#[test]
fn a_rolling_restart_loses_nobody_and_no_block() {
    let mut story = Story::of(21, 2, 3).met();
    for peer in ["a0", "b0", "a1", "b1", "a2", "b2"] {
        story.crash(peer);
        story.wait(5 * SECOND);
        story.start(peer);
        story.wait(20 * SECOND);
        story.expect_view("all", "all");
        story.expect_blocks("all", 2);
    }
    story.settle();
}

#[test]
fn all_who_restart_at_once_meet_within_seconds() {
    let mut story = Story::of(22, 2, 4).met();
    story.vanish("all");
    story.wait(MINUTE);
    story.start("all");
    story.wait(15 * SECOND);
    story.expect_view("all", "all");
    story.settle();
}

#[test]
fn a_peer_that_lost_its_disk_gets_all_blocks_again() {
    let mut story = Story::of(23, 2, 3).met();
    story.wait(10 * MINUTE);
    story.crash("b1");
    story.each("b1", |world, host| world.lose_ledger(host));
    story.start("b1");
    let (height, all) = story.world.heights(story.host("b1"), 0);
    assert!(height == 0 && all > 30, "more than a window is missing: {all}");
    story.settle();
    story.expect_blocks("b1", 0);
}

#[test]
fn a_peer_that_vanished_is_missed_and_is_back_within_seconds() {
    let mut story = Story::of(24, 2, 3).met();
    story.vanish("a2");
    story.wait(2 * MINUTE);
    story.expect_view("all -a2", "all -a2");
    story.start("a2");
    story.wait(10 * SECOND);
    story.expect_view("all", "all");
}

#[test]
fn a_peer_that_stood_still_goes_on_where_it_was() {
    let mut story = Story::of(25, 2, 3).met();
    story.each("b0", |world, host| assert!(world.pause(host, 2 * MINUTE)));
    story.wait(90 * SECOND);
    story.expect_view("all -b0", "all -b0");
    // The others of its organisation get blocks meanwhile.
    story.expect_blocks("all -b0", 2);
    story.wait(45 * SECOND);
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn a_newcomer_knows_all_and_has_all_blocks_soon() {
    let mut story = Story::of(26, 2, 4);
    story.switch_off("b3");
    story.wait(10 * MINUTE);
    story.expect_view("all -b3", "all -b3");
    story.start("b3");
    story.wait(10 * SECOND);
    story.expect_view("all", "all");
    story.wait(20 * SECOND);
    story.expect_blocks("b3", 2);
}

#[test]
fn a_peer_that_moved_is_found_where_it_is_now() {
    let mut story = Story::of(27, 2, 3).met();
    story.each("a1", |world, host| world.relocate(host));
    story.wait(15 * SECOND);
    story.expect_view("all", "all");
    for (peer, is_near) in [("a2", true), ("b0", false)] {
        let (host, moved) = (story.host(peer), story.host("a1"));
        let members = story.world.node(host).expect("it runs").members();
        let id = story.world.pki_id(moved);
        let member = members.into_iter().find(|member| member.pki_id == id).expect("a member");
        let layout = story.world.layout();
        assert_eq!(member.external_endpoint, Some(layout.external(moved)), "as {peer} sees it");
        let internal = is_near.then(|| layout.internal(moved));
        assert_eq!(member.internal_endpoint, internal, "as {peer} sees it");
    }
    story.settle();
}

/// The first peer of an organisation is in the configuration of all others.
#[test]
fn an_anchor_that_moved_after_a_long_absence_finds_the_others() {
    let mut story = Story::of(28, 2, 3).met();
    story.vanish("a0 a1");
    story.wait(HOUR);
    story.expect_view("a2 b", "a2 b");
    story.each("a0", |world, host| world.relocate(host));
    story.start("a1");
    story.settle();
    story.expect_view("all", "all");
}

/// Two processes with one identity: the first is told, and nobody else is harmed.
#[test]
fn a_twin_is_noticed_by_the_peer_whose_identity_it_took() {
    let mut story = Story::of(29, 2, 3).met();
    story.world.listen_to_all();
    let (b2, b1) = (story.host("b2"), story.host("b1"));
    story.world.impersonate(b2, b1);
    story.wait(2 * MINUTE);
    let is_told = |notice: &Notice| matches!(notice, Notice::OwnIdentityElsewhere { .. });
    assert!(story.was_told("b1", is_told));
    assert!(!story.was_told("a0", is_told));
    for peer in ["a0", "a1", "a2", "b0"] {
        let others = story.view(peer).into_iter().filter(|name| !name.starts_with('b'));
        let count = others.count() + usize::from(peer == "b0");
        assert_eq!(count, 2 + usize::from(peer == "b0") * 2, "{:?}", story.view(peer));
    }
    story.expect_blocks("a b0", 2);
}
