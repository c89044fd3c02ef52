//! A peer of an organisation, set up as a Fabric peer is.

mod args;
mod channel;
mod channels;
mod identity;
mod joined;
mod judges;
mod node;
mod notices;
mod tls;

use std::{
    convert::Infallible,
    env,
    error::Error,
    future,
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use gossip_core::Notice;
use gossip_tokio::{Item, Peer, Recording, Subscription};
use serde_json::json;
use tokio::{
    runtime::{Handle, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task,
};
use tracing::{error, info, warn};

pub(crate) use self::args::Args;
use self::{
    channels::{Change, Channels},
    judges::Judges,
    notices::{Form, Journal},
    tls::Tls,
};
use crate::{
    admin::{self, AdminSocket},
    config::{self, Settings},
    ledger::Folder,
};

/// Why something could not be made or done, for people.
type Failure = dyn Error + Send + Sync;

/// Runs a peer until the process is asked to end.
///
/// # Errors
///
/// If the configuration or a file that it names cannot be used, or the peer cannot go on.
pub(crate) fn run(args: &Args) -> Result<(), Box<Failure>> {
    let file = config::find(args.config.as_deref(), env::var_os("FABRIC_CFG_PATH").as_deref())?;
    let settings = Settings::load(&file, config::environment())?;
    info!("configuration of {} with the environment:\n{settings}", file.display());
    let doubts = settings.check()?;
    for warning in settings.warnings().iter().chain(&doubts) {
        warn!("{warning}");
    }
    warn_of_what_is_not_done(&settings);
    let runtime = Runtime::new()?;
    let ending = runtime.block_on(serve(args, &settings));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    ending
}

async fn serve(args: &Args, settings: &Settings) -> Result<(), Box<Failure>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let joined = joined::open(&Folder::of(settings), &args.channel_block)?;
    let (own, signer) = identity::local_msp(settings)?;
    let config = node::config(settings, &signer)?;
    let options = node::grpc_options(settings, &config);
    let started = json!({
        "peer": format!("{:#}", config.pki_id),
        "org": config.org.to_string(),
        "endpoint": config.endpoint.as_str(),
        "id": settings.text("peer.id"),
    });
    let tls = Tls::new(settings, joined.iter().map(|joined| joined.channel.clone()).collect())?;
    let tls_config = tls.as_ref().map(Tls::config);
    let judges = Arc::new(Judges::new(own, signer, tls));
    let (channels, changes) = Channels::new(Arc::clone(&judges), joined)?;
    let channels = Arc::new(channels);
    let ledger = Arc::<Channels>::clone(&channels);
    let crypto = Arc::<Judges>::clone(&judges);
    let mut builder = Peer::builder(config, crypto, ledger).options(options);
    if let Some(tls) = tls_config {
        builder = builder.tls(tls);
    }
    if let Some(path) = &args.record {
        builder = builder.record(recording(path)?);
    }
    let socket = args.admin_socket.clone().unwrap_or_else(|| admin::default_path(settings));
    let socket = AdminSocket::bind(&socket)?;
    let subscription = builder.subscribe(NOTICES_MAX);
    let (peer, address) = builder.listen(node::listen_address(settings)?).await?;
    info!("listening on {address}");
    let form = if args.json { Form::Json } else { Form::Text };
    let mut journal = Journal::new(form, io::stdout());
    journal.write(Instant::now(), "started", &started)?;
    for (channel, config, height) in channels.list() {
        let joined = peer.join_channel(channel.clone(), config, Some(height)).await;
        joined.map_err(|error| format!("channel {channel}: {error}"))?;
        let fields = json!({ "channel": channel.to_string(), "height": height });
        journal.write(Instant::now(), "channel_joined", &fields)?;
    }
    let printer = task::spawn_blocking(move || print(journal, subscription));
    let answering = task::spawn(socket.serve(peer.clone()));
    let ending = tokio::select! {
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
        printed = printer => printed?.map_err(|error| format!("stdout: {error}").into()),
        never = renew_tls(hangup, &judges, settings) => match never {},
        () = follow(&peer, changes) => Err("the node has stopped".into()),
    };
    answering.abort();
    peer.stop().await;
    ending
}

fn recording(path: &Path) -> Result<Recording, String> {
    let recording =
        Recording::create(path).map_err(|error| format!("--record {}: {error}", path.display()))?;
    let path = recording.path().unwrap_or(path).display();
    warn!("all that the node is told, private data included, is recorded in {path}");
    Ok(recording)
}

/// Tells the node of changed channels until it stops.
async fn follow(peer: &gossip_tokio::Handle, mut changes: mpsc::UnboundedReceiver<Change>) {
    loop {
        let change = tokio::select! {
            Some(change) = changes.recv() => change,
            () = peer.stopped() => return,
        };
        let Change { channel, sequence, membership } = change;
        info!("channel {channel}: configuration {sequence} holds");
        if let Some(membership) = membership
            && let Err(error) = peer.join_channel(channel.clone(), membership, None).await
        {
            error!("channel {channel}: the new members were not taken: {error}");
        }
        if let Err(error) = peer.suspect_peers().await {
            error!("identities were not judged anew: {error}");
        }
    }
}

/// Reads the certificates for TLS anew whenever the process is asked to.
async fn renew_tls(mut hangup: Signal, judges: &Judges, settings: &Settings) -> Infallible {
    while hangup.recv().await.is_some() {
        match judges.renew_tls(settings) {
            Ok(true) => info!("TLS certificates were read anew: they hold from here on"),
            Ok(false) => info!("no TLS certificates to read anew: peer.tls.enabled is false"),
            Err(error) => error!("TLS goes on with the certificates as before: {error}"),
        }
    }
    future::pending().await
}

/// Prints notices until the node stops. A slow reader of stdout delays nobody else.
fn print(mut journal: Journal<impl Write>, mut notices: Subscription) -> io::Result<()> {
    let runtime = Handle::current();
    while let Some((at, item)) = runtime.block_on(notices.recv_at()) {
        if let Item::Notice(Notice::CommitFailed { channel, number, reason }) = &item {
            error!("channel {channel} stands still: block {number} was not committed: {reason}");
        }
        journal.write_item(at, &item)?;
    }
    Ok(())
}

/// Says once what the settings ask for and does not happen.
fn warn_of_what_is_not_done(settings: &Settings) {
    warn!("{}", args::NOT_SUPPORTED.replace('\n', " "));
    let asked = [
        "peer.gossip.useLeaderElection",
        "peer.gossip.orgLeader",
        "peer.gossip.skipBlockVerification",
    ];
    for key in asked.into_iter().filter(|key| settings.bool(key)) {
        warn!("{key} is true and has no effect");
    }
    if !settings.bool("peer.gossip.state.enabled") {
        warn!(
            "peer.gossip.state.enabled is false: whenever this peer is more than {} blocks behind \
             its organisation's, it stays there",
            settings.int("peer.gossip.maxBlockCountToStore").saturating_add(1)
        );
    }
}

/// Notices that wait to be printed; a slow reader loses the oldest beyond.
const NOTICES_MAX: usize = 16_384;

/// How long threads may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
