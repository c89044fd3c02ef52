//! Settings that make sense by themselves and not together (97-config-and-metrics.md §11).

use super::{ConfigError, Settings};

impl Settings {
    /// Checks what must hold between settings. Returns what should hold and does not, for people.
    ///
    /// # Errors
    ///
    /// Names a setting that cannot be used together with another, and the other.
    pub(crate) fn check(&self) -> Result<Vec<String>, ConfigError> {
        self.check_leaders()?;
        self.check_dissemination()?;
        let mut doubts = self.doubts_about_times();
        let key = "peer.deliveryclient.policy";
        if !["cluster", "simple"].contains(&self.text(key)) {
            let problem = format!("expected cluster or simple, found {:?}", self.text(key));
            doubts.push(format!("{}; cluster holds", self.error(key, problem)));
        }
        Ok(doubts)
    }

    fn check_leaders(&self) -> Result<(), ConfigError> {
        let (dynamic, fixed) = ("peer.gossip.useLeaderElection", "peer.gossip.orgLeader");
        match self.bool(dynamic) && self.bool(fixed) {
            true => Err(self.error(fixed, format!("expected false where {dynamic} is true"))),
            false => Ok(()),
        }
    }

    fn check_dissemination(&self) -> Result<(), ConfigError> {
        let key = |name: &str| {
            format!("peer.gossip.pvtData.implicitCollectionDisseminationPolicy.{name}")
        };
        let (required, max) = (key("requiredPeerCount"), key("maxPeerCount"));
        match self.int(&max) < self.int(&required) {
            true => {
                let least = self.int(&required);
                Err(self.error(&max, format!("expected at least {least}, which is {required}")))
            }
            false => Ok(()),
        }
    }

    fn doubts_about_times(&self) -> Vec<String> {
        let time = |key: &str| self.duration(&format!("peer.gossip.{key}"));
        let pull = time("digestWaitTime") + time("responseWaitTime");
        let expiry = time("aliveExpirationTimeout");
        let doubts = [
            (
                time("pullInterval") <= pull,
                "pullInterval",
                format!("expected more than digestWaitTime and responseWaitTime, {pull:?}"),
            ),
            (
                time("digestWaitTime") >= time("requestWaitTime"),
                "digestWaitTime",
                format!("expected less than requestWaitTime, {:?}", time("requestWaitTime")),
            ),
            (
                expiry <= time("aliveTimeInterval"),
                "aliveExpirationTimeout",
                format!("expected more than aliveTimeInterval, {:?}", time("aliveTimeInterval")),
            ),
        ];
        let doubts = doubts.into_iter().filter(|(doubtful, ..)| *doubtful);
        let text = |key: &str, problem: String| {
            self.error(&format!("peer.gossip.{key}"), problem).to_string()
        };
        doubts.map(|(_, key, problem)| text(key, problem)).collect()
    }
}
