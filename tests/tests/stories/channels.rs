//! Channels: who is in them, who leaves, and whose organisation comes or goes.

use gossip_tests::story::{MINUTE, SECOND, Story};

#[test]
fn channels_of_different_organisations_know_nothing_of_each_other() {
    let mut story = Story::of(51, 2, 3).met();
    story.wait(2 * MINUTE);
    for (peer, channel, others) in [("a0", "only-a", ["a1", "a2"]), ("b1", "only-b", ["b0", "b2"])]
    {
        assert_eq!(story.channel_view(peer, channel), others);
        let of_all = story.channel_view(peer, "all");
        assert_eq!(of_all.len(), 5, "{peer} in the channel of all: {of_all:?}");
    }
    let (a0, only_b) = (story.host("a0"), story.channel("only-b"));
    assert_eq!(story.world.heights(a0, only_b).0, 0);
    assert!(story.world.heights(a0, only_b).1 > 0);
    story.expect_blocks("all", 2);
}

#[test]
fn who_leaves_a_channel_gets_no_more_blocks_and_all_when_it_is_back() {
    let mut story = Story::of(52, 2, 3).met();
    let (b1, all) = (story.host("b1"), story.channel("all"));
    assert!(story.world.leave(b1, all));
    story.wait(20 * SECOND);
    let left_at = story.world.heights(b1, all).0;
    for peer in ["a0", "a1", "a2", "b0", "b2"] {
        let view = story.channel_view(peer, "all");
        assert!(view.len() == 4 && !view.contains(&"b1"), "{peer}: {view:?}");
    }
    assert_eq!(story.channel_view("b0", "only-b"), ["b1", "b2"]);
    story.wait(5 * MINUTE);
    story.expect_view("all", "all");
    assert_eq!(story.world.heights(b1, all).0, left_at);
    assert!(story.world.heights(b1, all).1 > left_at + 10);
    story.world.rejoin(b1, all);
    story.settle();
    assert_eq!(story.channel_view("a0", "all").len(), 5);
}

#[test]
fn an_organisation_that_is_added_gets_what_the_channel_had_before() {
    let mut story = Story::of(53, 3, 3).met();
    let all = story.channel("all");
    story.world.reconfigure(all, &[0, 1]);
    story.wait(5 * MINUTE);
    story.world.reconfigure(all, &[0, 1, 2]);
    story.settle();
    assert_eq!(story.channel_view("c1", "all").len(), 8);
    story.expect_blocks("c", 0);
}

#[test]
fn an_organisation_that_is_removed_is_told_no_more() {
    let mut story = Story::of(54, 3, 3).met();
    story.wait(MINUTE);
    let all = story.channel("all");
    assert_eq!(story.channel_view("a0", "all").len(), 8);
    story.world.reconfigure(all, &[0, 1]);
    assert_eq!(story.world.orgs_of(all).len(), 2);
    story.wait(10 * SECOND);
    let height = story.world.heights(story.host("c0"), all).0;
    story.wait(5 * MINUTE);
    for peer in ["a0", "a1", "b2"] {
        let view = story.channel_view(peer, "all");
        assert!(view.len() == 5 && view.iter().all(|name| !name.starts_with('c')), "{view:?}");
    }
    for peer in ["c0", "c1", "c2"] {
        assert_eq!(story.world.heights(story.host(peer), all).0, height, "of {peer}");
    }
    story.expect_view("all", "all");
    story.expect_blocks("a b", 2);
}
