use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    thread,
};

use crate::tests::Folder;

use super::{
    client,
    server::AdminSocket,
    status::{Channel, Connection, Height, MemberHeight, Other, Peer, State, Status},
};

#[tokio::test]
async fn the_socket_is_for_this_user_alone_and_goes_with_the_peer() {
    let folder = Folder::new();
    let path = folder.path().join("above/inner/admin.sock");
    let socket = AdminSocket::bind(&path).expect("a socket");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
    let error = AdminSocket::bind(&path).expect_err("it answers");
    assert!(error.contains("another gossipd start answers there"), "{error}");
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced_and_another_file_is_not() {
    let folder = Folder::new();
    let path = folder.path().join("admin.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "it is left behind");
    drop(AdminSocket::bind(&path).expect("a socket in its place"));
    fs::write(&path, "precious").expect("a file");
    let error = AdminSocket::bind(&path).expect_err("it is no socket");
    assert!(error.contains("another file is there"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is untouched"), "precious");
}

#[tokio::test]
async fn a_socket_that_cannot_be_made_is_an_error_that_says_what_to_do() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let long = folder.path().join("x".repeat(200)).join("admin.sock");
    for path in [file.join("inner/admin.sock"), long] {
        let error = AdminSocket::bind(&path).expect_err("it cannot be made");
        let named = error.contains(&*path.display().to_string());
        assert!(named && error.contains("--admin-socket"), "{error}");
    }
}

#[test]
fn where_no_peer_answers_the_error_says_what_to_try() {
    let folder = Folder::new();
    let path = folder.path().join("admin.sock");
    let error = client::ask(&path, "peers").expect_err("nobody is there");
    assert!(error.contains("is gossipd start running?"), "{error}");
    drop(UnixListener::bind(&path).expect("a socket"));
    let error = client::ask(&path, "peers").expect_err("nobody listens");
    assert!(error.contains("has ended"), "{error}");
    fs::remove_file(&path).expect("it is there");
    let listener = UnixListener::bind(&path).expect("a socket");
    let breaks_off = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut request = [0; 6];
        socket.read_exact(&mut request).expect("a request");
        assert_eq!(&request, b"peers\n");
        socket.write_all(b"{\"self\":").expect("it is read");
    });
    let error = client::ask(&path, "peers").expect_err("half an answer");
    assert!(error.contains("in the middle of its answer"), "{error}");
    breaks_off.join().expect("no panic");
}

#[test]
fn the_tables_have_a_line_for_each_peer_and_channel() {
    let status = status();
    let expected = "\
127.0.0.1:7051 of Org1MSP, PKI-ID 010101010101, outside —

ENDPOINT       ORG      PKI-ID        STATE  SINCE                CHANNELS (HEIGHT)  CONNECTION
b\\u{1b}:7051   Org1MSP  020202020202  alive  2026-11-25 14:32:02  mychannel (7)      from 1.2.3.4:5
c.example:443  —        030303030303  dead   2026-11-25 14:33:02  —                  —

CHANNEL    HEIGHT  MEMBERS (HEIGHT)
mychannel  8       b\\u{1b}:7051 (7)
";
    assert_eq!(status.to_string(), expected);
}

#[test]
fn of_many_members_of_a_channel_the_table_shows_the_first() {
    let mut status = status();
    let members = &mut status.channels[0].members;
    *members = vec![members[0].clone(); 10];
    let table = status.to_string();
    let row = table.lines().last().expect("the channel's");
    assert!(row.ends_with(" and 2 more"), "{row}");
    assert_eq!(row.matches("(7)").count(), 8, "{row}");
}

#[test]
fn the_json_has_the_fields_that_the_help_describes() {
    let json = serde_json::to_value(status()).expect("JSON");
    assert_eq!(json["self"]["endpoint"], "127.0.0.1:7051");
    let [b, c] = &**json["peers"].as_array().expect("a list") else { panic!("{json}") };
    assert_eq!((&b["state"], &b["connection"]["inbound"]), (&"alive".into(), &true.into()));
    assert_eq!(b["channels"][0], serde_json::json!({ "channel": "mychannel", "height": 7 }));
    assert_eq!((&c["state"], &c["connection"]), (&"dead".into(), &serde_json::Value::Null));
    assert_eq!(json["channels"][0]["members"][0]["height"], 7);
    assert_eq!(serde_json::from_value::<Status>(json).expect("the same"), status());
}

fn status() -> Status {
    let peer = |digits: &str, org: Option<&str>, endpoint: Option<&str>, external: Option<&str>| {
        let [org, endpoint, external_endpoint] =
            [org, endpoint, external].map(|text| text.map(str::to_owned));
        Peer { peer: digits.repeat(32), org, endpoint, external_endpoint }
    };
    let b = Other {
        peer: peer("02", Some("Org1MSP"), Some("b\u{1b}:7051"), None),
        state: State::Alive,
        since: "2026-11-25T14:32:02.050Z".to_owned(),
        connection: Some(Connection { inbound: true, remote: "1.2.3.4:5".to_owned() }),
        channels: vec![Height { channel: "mychannel".to_owned(), height: 7 }],
    };
    let c = Other {
        peer: peer("03", None, None, Some("c.example:443")),
        state: State::Dead,
        since: "2026-11-25T14:33:02.050Z".to_owned(),
        connection: None,
        channels: vec![],
    };
    let members = vec![MemberHeight { peer: b.peer.peer.clone(), height: 7 }];
    Status {
        own: peer("01", Some("Org1MSP"), Some("127.0.0.1:7051"), None),
        peers: vec![b, c],
        channels: vec![Channel { channel: "mychannel".to_owned(), height: 8, members }],
    }
}
