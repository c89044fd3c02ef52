//! A channel that peers join from its genesis block: membership, heights, blocks.

use std::{fs, path::Path, process::Command};

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    made_channel::MadeChannel,
    org::{Organisation, authority, free_ports},
    process::{Running, command},
    source::BlockSource,
};

#[test]
fn peers_of_a_channel_tell_of_members_heights_and_the_blocks_that_reach_them() {
    let org = Organisation::new();
    let mut channel = MadeChannel::new(&org);
    let genesis = org.folder.join("genesis.block");
    fs::write(&genesis, &channel.genesis).expect("a file");
    let ports = free_ports();
    let folders = [0, 1].map(|index| org.peer(&format!("peer{index}"), ports[index], ports[0]));
    let mut peers = folders.each_ref().map(|folder| {
        let mut command = command(folder, &[]);
        Running::run(command.arg("--channel-block").arg(&genesis))
    });
    let ids = peers.each_mut().map(|peer| peer.wait_for("started")["peer"].clone());
    let mut source = BlockSource::start(&org, &channel, ports[0]);
    source.wait_for_company(2);
    let all = [ids[0].clone(), ids[1].clone(), source.pki_id.clone().into()];
    for (own, peer) in ids.iter().zip(&mut peers) {
        wait_for_heights(peer, all.iter().filter(|id| *id != own), 1);
    }
    let sizes = [1000, 50_000, 0].map(|size| {
        let block = channel.order(vec![7; size].into());
        source.publish(block.clone());
        block.len()
    });
    for peer in &mut peers {
        for (number, size) in (1..).zip(sizes) {
            let what = format!("block {number}");
            let committed = peer.wait_until(&what, |notice| notice["notice"] == "block_committed");
            let told = ["channel", "number", "bytes"].map(|field| committed[field].clone());
            assert_eq!(told, [Value::from(MadeChannel::NAME), number.into(), size.into()]);
            assert!(all.contains(&committed["from"]), "{committed}");
            assert!(committed["delay_ms"].as_f64().is_some_and(|delay| delay >= 0.0));
        }
    }
    for (own, peer) in ids.iter().zip(&mut peers) {
        wait_for_heights(peer, all.iter().filter(|id| *id != own), 4);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    let output = command.args(["peers", "--json"]).env("FABRIC_CFG_PATH", &folders[1]).output();
    let answer: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    let told = &answer["channels"][0];
    assert_eq!((&told["channel"], &told["height"]), (&MadeChannel::NAME.into(), &4.into()));
    let mut members: Vec<_> = told["members"].as_array().expect("a list").iter().collect();
    members.sort_by_key(|member| member["peer"].to_string());
    let mut expected = [ids[0].to_string(), format!("{:?}", source.pki_id)];
    expected.sort();
    assert_eq!(
        members.iter().map(|member| member["peer"].to_string()).collect::<Vec<_>>(),
        expected
    );
    assert!(members.iter().all(|member| member["height"] == 4), "{told}");
}

/// The channel's configuration names the authorities of its members' certificates for TLS.
#[test]
fn clients_and_servers_are_known_by_the_authorities_of_their_channel() {
    let org = Organisation::new();
    let channel = MadeChannel::new(&org);
    let genesis = org.folder.join("genesis.block");
    fs::write(&genesis, &channel.genesis).expect("a file");
    let [port, _] = free_ports();
    let folder = org.peer("peer0", port, port);
    fs::write(folder.join("tls/ca.crt"), authority("another").pem()).expect("a file");
    let mut peer = Running::run(command(&folder, &[]).arg("--channel-block").arg(&genesis));
    peer.wait_for("started");
    BlockSource::start(&org, &channel, port).wait_for_company(1);
}

/// S3.2.b, S4.c: its authorities count in TLS, its members may read, and its peers are met.
#[test]
fn an_organisation_that_a_configuration_block_adds_is_known_from_there_on() {
    let [org, other] = ["Org1MSP", "Org2MSP"].map(Organisation::named);
    let ports = free_ports();
    let mut channel = MadeChannel::new(&org);
    let genesis = org.folder.join("genesis.block");
    fs::write(&genesis, &channel.genesis).expect("a file");
    let block = channel.reconfigure(1, &[(&org, Some(ports[0])), (&other, None)]);
    let latest = other.folder.join("config.block");
    fs::write(&latest, &block).expect("a file");
    let start = |org: &Organisation, port: u16, block: &Path| {
        let folder = org.peer("peer0", port, port);
        let external = format!("127.0.0.1:{port}");
        let external = [("CORE_PEER_GOSSIP_EXTERNALENDPOINT", &*external)];
        Running::run(command(&folder, &external).arg("--channel-block").arg(block))
    };
    let mut first = start(&org, ports[0], &genesis);
    let first_id = first.wait_for("started")["peer"].clone();
    let mut added = start(&other, ports[1], &latest);
    let added_id = added.wait_for("started")["peer"].clone();
    let refused = added.wait_for("dial_failed");
    assert_eq!(refused["endpoint"], format!("127.0.0.1:{}", ports[0]));
    let mut source = BlockSource::start(&org, &channel, ports[0]);
    source.wait_for_company(1);
    source.publish(block);
    assert_eq!(first.wait_for("block_committed")["number"], 1);
    wait_for_heights(&mut first, [&added_id].into_iter(), 2);
    wait_for_heights(&mut added, [&first_id].into_iter(), 2);
}

/// The orderers signed it, so that nothing else can come in its place.
#[test]
fn a_configuration_that_cannot_be_applied_is_told_and_the_channel_stands_still() {
    let org = Organisation::new();
    let mut channel = MadeChannel::new(&org);
    let genesis = org.folder.join("genesis.block");
    fs::write(&genesis, &channel.genesis).expect("a file");
    let [port, _] = free_ports();
    let folder = org.peer("peer0", port, port);
    let mut peer = Running::run(command(&folder, &[]).arg("--channel-block").arg(&genesis));
    peer.wait_for("started");
    let mut source = BlockSource::start(&org, &channel, port);
    source.wait_for_company(1);
    source.publish(channel.order(Bytes::from_static(b"earlier")));
    source.publish(channel.reconfigure(0, &[(&org, None)]));
    source.publish(channel.order(Bytes::from_static(b"later")));
    let failed = peer.wait_for("commit_failed");
    assert_eq!((&failed["channel"], &failed["number"]), (&MadeChannel::NAME.into(), &2.into()));
    assert!(failed["reason"].as_str().is_some_and(|why| why.contains("sequence")), "{failed}");
    let is_later = |notice: &Value| notice["notice"] == "block_received" && notice["number"] == 3;
    if !peer.has_seen(is_later) {
        peer.wait_until("later block", is_later);
    }
    let is_committed = |number: u64| {
        let (what, number) = (Value::from("block_committed"), Value::from(number));
        peer.has_seen(|notice| notice["notice"] == what && notice["number"] == number)
    };
    assert_eq!([1, 2, 3].map(is_committed), [true, false, false]);
    assert_eq!(peer.end(Signal::TERM), Some(0));
}

/// What no orderer signed is not taken, whoever pushes it.
#[test]
fn a_block_that_is_forged_is_dropped_and_its_sender_named() {
    let org = Organisation::new();
    let channel = MadeChannel::new(&org);
    let genesis = org.folder.join("genesis.block");
    fs::write(&genesis, &channel.genesis).expect("a file");
    let [port, _] = free_ports();
    let folder = org.peer("peer0", port, port);
    let mut peer = Running::run(command(&folder, &[]).arg("--channel-block").arg(&genesis));
    peer.wait_for("started");
    let mut source = BlockSource::start(&org, &channel, port);
    source.wait_for_company(1);
    let forged: Bytes = MadeChannel::new(&org).order(Bytes::from_static(b"forged"));
    source.publish(forged);
    let notice = peer.wait_for("peer_misbehaved");
    let told = (&notice["peer"], &notice["fault"]);
    assert_eq!(told, (&source.pki_id.clone().into(), &"bad block".into()));
}

/// Waits until all of these have said that they have so many blocks.
fn wait_for_heights<'a>(peer: &mut Running, ids: impl Iterator<Item = &'a Value>, height: u64) {
    for id in ids {
        let says_so = |notice: &Value| {
            let said = (&notice["peer"], &notice["height"]);
            notice["notice"] == "channel_peer" && said == (id, &height.into())
        };
        if !peer.has_seen(says_so) {
            peer.wait_until(&format!("{id} at height {height}"), says_so);
        }
    }
}
