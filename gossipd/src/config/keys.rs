//! The keys of `core.yaml` that mean something to a gossip peer.

/// A key: how its value is written, and what holds where it is absent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key {
    /// Its full name, spelt as Fabric's sample file does.
    pub(crate) name: &'static str,
    /// How its value is written.
    pub(crate) kind: Kind,
    /// The value where the key is absent, written as in the environment.
    pub(crate) unset: &'static str,
    /// What an explicit zero or empty value means.
    pub(crate) zero: Zero,
}

impl Key {
    /// Returns the environment variable that overrides the key (C1.2.a).
    pub(crate) fn variable(&self) -> String {
        format!("CORE_{}", self.name.to_uppercase().replace('.', "_"))
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Anything; it is not looked at.
    Any,
    Bool,
    /// Go's notation, such as `1m30s`.
    Duration,
    /// A whole number, not negative.
    Int,
    /// Texts, one after the other.
    List,
    /// A file or folder, relative to the configuration file.
    Path,
    /// Several of them.
    Paths,
    Text,
}

/// What an explicit zero or empty value means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Zero {
    /// The same as an absent key.
    Default,
    /// Zero.
    Honoured,
    /// Zero; it is a negative number that means the same as an absent key.
    HonouredUnlessNegative,
}

const fn key(name: &'static str, kind: Kind, unset: &'static str, zero: Zero) -> Key {
    Key { name, kind, unset, zero }
}

use Kind::{Any, Bool, Duration, Int, List, Path, Paths, Text};
use Zero::{Default as D, Honoured as H, HonouredUnlessNegative as N};

/// All keys, in the order of the protocol's description. Two defaults follow from other keys:
/// `aliveExpirationTimeout` is 5 × `aliveTimeInterval`, and `reconnectInterval` is the former.
pub(crate) const KEYS: &[Key] = &[
    key("peer.gossip.bootstrap", List, "", H),
    key("peer.gossip.endpoint", Text, "", H),
    key("peer.gossip.externalEndpoint", Text, "", H),
    key("peer.gossip.membershipTrackerInterval", Duration, "5s", D),
    key("peer.gossip.maxBlockCountToStore", Int, "10", D),
    key("peer.gossip.maxPropagationBurstLatency", Duration, "10ms", D),
    key("peer.gossip.maxPropagationBurstSize", Int, "10", D),
    key("peer.gossip.propagateIterations", Int, "1", D),
    key("peer.gossip.propagatePeerNum", Int, "3", D),
    key("peer.gossip.pullInterval", Duration, "4s", D),
    key("peer.gossip.pullPeerNum", Int, "3", D),
    key("peer.gossip.requestStateInfoInterval", Duration, "4s", D),
    key("peer.gossip.publishStateInfoInterval", Duration, "4s", D),
    key("peer.gossip.stateInfoRetentionInterval", Any, "", H),
    key("peer.gossip.publishCertPeriod", Duration, "10s", D),
    key("peer.gossip.skipBlockVerification", Bool, "false", H),
    key("peer.gossip.dialTimeout", Duration, "3s", D),
    key("peer.gossip.connTimeout", Duration, "2s", D),
    key("peer.gossip.recvBuffSize", Int, "20", D),
    key("peer.gossip.sendBuffSize", Int, "20", D),
    key("peer.gossip.digestWaitTime", Duration, "1s", D),
    key("peer.gossip.requestWaitTime", Duration, "1.5s", D),
    key("peer.gossip.responseWaitTime", Duration, "2s", D),
    key("peer.gossip.aliveTimeInterval", Duration, "5s", D),
    key("peer.gossip.aliveExpirationTimeout", Duration, "0s", D),
    key("peer.gossip.reconnectInterval", Duration, "0s", D),
    key("peer.gossip.maxConnectionAttempts", Int, "120", D),
    key("peer.gossip.msgExpirationFactor", Int, "20", D),
    key("peer.gossip.useLeaderElection", Bool, "false", H),
    key("peer.gossip.orgLeader", Bool, "false", H),
    key("peer.gossip.nonBlockingCommitMode", Bool, "false", H),
    key("peer.gossip.election.startupGracePeriod", Duration, "15s", D),
    key("peer.gossip.election.membershipSampleInterval", Duration, "1s", D),
    key("peer.gossip.election.leaderAliveThreshold", Duration, "10s", D),
    key("peer.gossip.election.leaderElectionDuration", Duration, "5s", D),
    key("peer.gossip.pvtData.pullRetryThreshold", Duration, "0", H),
    key("peer.gossip.pvtData.pushAckTimeout", Duration, "0", H),
    key("peer.gossip.pvtData.btlPullMargin", Int, "10", N),
    key("peer.gossip.pvtData.transientstoreMaxBlockRetention", Int, "20000", D),
    key("peer.gossip.pvtData.reconcileBatchSize", Int, "10", D),
    key("peer.gossip.pvtData.reconcileSleepInterval", Duration, "1m", D),
    key("peer.gossip.pvtData.reconciliationEnabled", Bool, "false", H),
    key("peer.gossip.pvtData.skipPullingInvalidTransactionsDuringCommit", Bool, "false", H),
    key("peer.gossip.pvtData.implicitCollectionDisseminationPolicy.requiredPeerCount", Int, "0", H),
    key("peer.gossip.pvtData.implicitCollectionDisseminationPolicy.maxPeerCount", Int, "1", H),
    key("peer.gossip.state.enabled", Bool, "false", H),
    key("peer.gossip.state.checkInterval", Duration, "10s", H),
    key("peer.gossip.state.responseTimeout", Duration, "3s", H),
    key("peer.gossip.state.batchSize", Int, "10", H),
    key("peer.gossip.state.blockBufferSize", Int, "20", H),
    key("peer.gossip.state.maxRetries", Int, "3", H),
    key("peer.gossip.state.channelSize", Int, "100", H),
    key("peer.deliveryclient.blockGossipEnabled", Bool, "true", H),
    key("peer.deliveryclient.reconnectTotalTimeThreshold", Duration, "1h", D),
    key("peer.deliveryclient.connTimeout", Duration, "3s", D),
    key("peer.deliveryclient.reConnectBackoffThreshold", Duration, "1h", D),
    key("peer.deliveryclient.blockCensorshipTimeoutKey", Duration, "30s", H),
    key("peer.deliveryclient.minimalReconnectInterval", Duration, "100ms", H),
    key("peer.deliveryclient.addressOverrides", Any, "", H),
    key("peer.deliveryclient.policy", Text, "cluster", H),
    key("peer.keepalive.interval", Duration, "2h", H),
    key("peer.keepalive.timeout", Duration, "20s", H),
    key("peer.keepalive.minInterval", Duration, "60s", H),
    key("peer.keepalive.client.interval", Duration, "60s", H),
    key("peer.keepalive.client.timeout", Duration, "20s", H),
    key("peer.keepalive.deliveryClient.interval", Duration, "60s", H),
    key("peer.keepalive.deliveryClient.timeout", Duration, "20s", H),
    key("peer.tls.enabled", Bool, "false", H),
    key("peer.tls.clientAuthRequired", Bool, "false", H),
    key("peer.tls.cert.file", Path, "", H),
    key("peer.tls.key.file", Path, "", H),
    key("peer.tls.rootcert.file", Path, "", H),
    key("peer.tls.clientRootCAs.files", Paths, "", H),
    key("peer.tls.clientCert.file", Path, "", H),
    key("peer.tls.clientKey.file", Path, "", H),
    key("peer.tls.serverhostoverride", Text, "", H),
    key("peer.mspConfigPath", Path, "", H),
    key("peer.localMspId", Text, "", H),
    key("peer.localMspType", Text, "bccsp", H),
    key("peer.address", Text, "", H),
    key("peer.addressAutoDetect", Bool, "false", H),
    key("peer.listenAddress", Text, "", H),
    key("peer.fileSystemPath", Path, "", H),
    key("peer.id", Text, "", H),
    key("peer.networkId", Text, "", H),
    key("peer.maxRecvMsgSize", Int, "104857600", D),
    key("peer.maxSendMsgSize", Int, "104857600", D),
    key("peer.connectiontimeout", Duration, "5s", D),
];
