//! How much the node holds of what peers send.

use alloc::vec::Vec;

use crate::{Table, table::Tables};

use super::Node;

impl Node {
    /// Lists what peers can make grow, with the bounds of [`Limits`](crate::Limits) that it is
    /// held to. Looks at everything: not for every message.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let limits = &self.config.limits;
        let mut tables = Tables::new();
        self.comm.tables(limits, &mut tables);
        self.flights.tables(limits, &mut tables);
        // Our own identity is always there.
        tables.add("identities", self.identities.len(), limits.identities_max.max(1));
        self.discovery.tables(limits, &mut tables);
        tables.add("channels", self.channels.len(), limits.channels_max);
        for channel in &self.channels {
            channel.tables(&self.config, &mut tables);
        }
        tables.add("foreign StateInfo", self.foreign.len(), limits.foreign_state_info_max.max(1));
        self.identity_pull.tables(limits, &mut tables);
        for pull in &self.block_pulls {
            pull.engine.tables(limits, &mut tables);
        }
        for serving in &self.servings {
            let max = self.config.state.channel_size;
            tables.add("state requests of one channel", serving.len(), max);
        }
        tables.add("requests", self.requests.len(), limits.requests_max);
        tables.into_vec()
    }
}
