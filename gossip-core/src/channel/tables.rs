//! How much a channel holds of what peers send.

use crate::{Config, table::Tables};

use super::Channel;

impl Channel {
    pub(crate) fn tables(&self, config: &Config, tables: &mut Tables) {
        let limits = &config.limits;
        // Ours finds room in any case.
        let infos_max = limits.members_max.saturating_add(1);
        tables.add("StateInfo of one channel", self.infos.len(), infos_max);
        let leaders_max = limits.leaders_max.max(1);
        tables.add("leaders of one channel", self.leaders.len(), leaders_max);
        let window_max = config.max_block_count_to_store.saturating_add(1);
        let window_max = usize::try_from(window_max).unwrap_or(usize::MAX);
        tables.add("recent blocks of one channel", self.window.len(), window_max);
        let (blocks, bytes) = self.backlog.waiting();
        // One finds room in any case, or nothing would ever be committed.
        tables.add("waiting blocks of one channel", blocks, limits.buffered_blocks_max.max(1));
        let bytes = if blocks > 1 { bytes } else { 0 };
        tables.add("bytes of waiting blocks", bytes, limits.buffered_bytes_max);
    }
}
