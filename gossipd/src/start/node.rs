//! Settings as a node and its transport want them.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use gossip_core::{Config, Endpoint, Identity, OrgId, PkiId};
use gossip_msp::SigningIdentity;
use gossip_tokio::grpc::GrpcOptions;

use crate::config::{ConfigError, Settings};

/// Sets up a node that signs as `signer`.
///
/// # Errors
///
/// Names the setting and what was expected of it.
pub(crate) fn config(settings: &Settings, signer: &SigningIdentity) -> Result<Config, ConfigError> {
    let identity = Identity::new(signer.serialized().clone());
    let pki_id = PkiId::new(signer.pki_id());
    let mut config =
        Config::new(identity, pki_id, OrgId::from(signer.mspid()), own_endpoint(settings)?);
    let external = "peer.gossip.externalEndpoint";
    if !settings.text(external).is_empty() {
        config.external_endpoint = Some(endpoint(settings, external, settings.text(external))?);
    }
    for bootstrap in settings.list("peer.gossip.bootstrap") {
        config.bootstrap.push(endpoint(settings, "peer.gossip.bootstrap", bootstrap)?);
    }
    set_numbers(settings, &mut config)?;
    set_times(settings, &mut config);
    Ok(config)
}

/// Sets up the transport of a node.
pub(crate) fn grpc_options(settings: &Settings, config: &Config) -> GrpcOptions {
    let defaults = GrpcOptions::of(config);
    let time = |key: &str, default| match settings.duration(key) {
        // What the gRPC library makes of zero.
        time if time.is_zero() => default,
        time => time,
    };
    let client_timeout = defaults.client_keep_alive_timeout;
    let server_timeout = defaults.server_keep_alive_timeout;
    let client_interval = defaults.client_keep_alive_interval;
    let server_interval = defaults.server_keep_alive_interval;
    GrpcOptions {
        accept_timeout: settings.duration("peer.connectiontimeout"),
        client_keep_alive_interval: time("peer.keepalive.client.interval", client_interval),
        server_keep_alive_interval: time("peer.keepalive.interval", server_interval),
        client_keep_alive_timeout: time("peer.keepalive.client.timeout", client_timeout),
        server_keep_alive_timeout: time("peer.keepalive.timeout", server_timeout),
        ..defaults
    }
}

/// Returns the address to listen on.
///
/// # Errors
///
/// If there is none.
pub(crate) fn listen_address(settings: &Settings) -> Result<&str, ConfigError> {
    let key = "peer.listenAddress";
    match settings.text(key) {
        "" => Err(settings.error(key, "expected host:port to listen on, such as 0.0.0.0:7051")),
        address => Ok(address),
    }
}

fn set_numbers(settings: &Settings, config: &mut Config) -> Result<(), ConfigError> {
    let small = |key: &str| {
        let number = u32::try_from(settings.int(key));
        number.map_err(|_| settings.error(key, format!("expected at most {}", u32::MAX)))
    };
    let size = |key: &str| small(key).map(|number| number as usize);
    config.propagate_iterations = small("peer.gossip.propagateIterations")?;
    config.propagate_peer_num = size("peer.gossip.propagatePeerNum")?;
    config.max_propagation_burst_size = size("peer.gossip.maxPropagationBurstSize")?;
    config.max_block_count_to_store = settings.int("peer.gossip.maxBlockCountToStore");
    config.pull_peer_num = size("peer.gossip.pullPeerNum")?;
    config.max_connection_attempts = small("peer.gossip.maxConnectionAttempts")?;
    config.msg_expiration_factor = small("peer.gossip.msgExpirationFactor")?;
    config.state.enabled = settings.bool("peer.gossip.state.enabled");
    config.state.batch_size = settings.int("peer.gossip.state.batchSize");
    config.state.block_buffer_size = size("peer.gossip.state.blockBufferSize")?;
    config.state.max_retries = small("peer.gossip.state.maxRetries")?;
    config.state.channel_size = size("peer.gossip.state.channelSize")?;
    config.limits.frames_in_flight_max = size("peer.gossip.recvBuffSize")?;
    config.limits.gossip_frames_max = size("peer.gossip.sendBuffSize")?;
    config.limits.frame_bytes_max = size("peer.maxRecvMsgSize")?;
    config.limits.sent_frame_bytes_max = size("peer.maxSendMsgSize")?;
    Ok(())
}

fn set_times(settings: &Settings, config: &mut Config) {
    let gossip = |key: &str| settings.duration(&format!("peer.gossip.{key}"));
    config.max_propagation_burst_latency = gossip("maxPropagationBurstLatency");
    config.pull_interval = gossip("pullInterval");
    config.digest_wait_time = gossip("digestWaitTime");
    config.request_wait_time = gossip("requestWaitTime");
    config.response_wait_time = gossip("responseWaitTime");
    config.publish_cert_period = gossip("publishCertPeriod");
    config.publish_state_info_interval = gossip("publishStateInfoInterval");
    config.request_state_info_interval = gossip("requestStateInfoInterval");
    config.membership_tracker_interval = gossip("membershipTrackerInterval");
    config.dial_timeout = gossip("dialTimeout");
    config.conn_timeout = gossip("connTimeout");
    config.alive_time_interval = gossip("aliveTimeInterval");
    config.state.check_interval = gossip("state.checkInterval");
    config.state.response_timeout = gossip("state.responseTimeout");
    config.leader_alive_threshold = gossip("election.leaderAliveThreshold");
    config.alive_expiration_timeout = gossip("aliveExpirationTimeout");
    config.reconnect_interval = gossip("reconnectInterval");
}

/// Returns where the own organisation reaches the peer (SV-3).
fn own_endpoint(settings: &Settings) -> Result<Endpoint, ConfigError> {
    let (key, replacement) = ("peer.address", "peer.gossip.endpoint");
    let address = endpoint(settings, key, settings.text(key))?;
    if !settings.text(replacement).is_empty() {
        return endpoint(settings, replacement, settings.text(replacement));
    }
    let (host, port) = address.as_str().rsplit_once(':').unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_unspecified = ip.is_ok_and(|ip| ip.is_unspecified());
    if !is_unspecified && !settings.bool("peer.addressAutoDetect") {
        return Ok(address);
    }
    match local_ipv4() {
        Some(ip) => Ok(format!("{ip}:{port}").into()),
        None => Err(settings.error(key, "expected a host: this machine has no address of its own")),
    }
}

fn endpoint(settings: &Settings, key: &str, text: &str) -> Result<Endpoint, ConfigError> {
    let endpoint = Endpoint::new(text);
    match endpoint.port() {
        Some(_) => Ok(endpoint),
        None => Err(settings.error(key, format!("expected host:port, found {text:?}"))),
    }
}

/// Returns the address from which this machine would reach others. Nothing is sent.
fn local_ipv4() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((DOCUMENTATION_ADDRESS, 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Belongs to nobody (RFC 5737).
const DOCUMENTATION_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

#[cfg(test)]
mod tests;
