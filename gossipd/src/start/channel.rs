//! What a channel's configuration blocks say to gossip.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use bytes::Bytes;
use gossip_core::{self as core, ChannelId, Endpoint, OrgId};
use gossip_msp::{Anchor, ChannelConfig};

use crate::ledger::header;

/// A channel by one of its configuration blocks.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// The block's number.
    pub(crate) number: u64,
    /// The configuration in it.
    pub(crate) config: Arc<ChannelConfig>,
}

impl Channel {
    /// Reads a file with one serialized `common.Block` in it, as `peer channel fetch config` and
    /// `configtxgen` write it. Returns the block, too.
    ///
    /// # Errors
    ///
    /// Names the file and what was expected of it.
    pub(crate) fn read(path: &Path) -> Result<(Self, Bytes), String> {
        let name = path.display();
        let fault = |problem: String| format!("{name}: expected a configuration block: {problem}");
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| fault(error.to_string()))?;
        let read = file.take(BLOCK_BYTES_MAX + 1).read_to_end(&mut bytes);
        if read.map_err(|error| fault(error.to_string()))? as u64 > BLOCK_BYTES_MAX {
            return Err(fault(format!("larger than {BLOCK_BYTES_MAX} bytes")));
        }
        let block = bytes.into();
        let config = ChannelConfig::from_block(&block).map_err(|error| fault(error.to_string()))?;
        let number =
            header(&block).map_err(|expected| fault(format!("expected {expected}")))?.number;
        Ok((Self { number, config: Arc::new(config) }, block))
    }

    /// Returns the channel's name as it travels.
    pub(crate) fn id(&self) -> ChannelId {
        ChannelId::from(self.config.channel())
    }

    /// Returns what gossip goes by: members with their anchor peers (SV-12, SV-13).
    pub(crate) fn membership(&self) -> core::ChannelConfig {
        let member = |organisation: &gossip_msp::Organisation| {
            let anchors = organisation.anchors.iter().map(endpoint).collect();
            (OrgId::from(&*organisation.mspid), anchors)
        };
        core::ChannelConfig {
            sequence: self.config.sequence(),
            orgs: self.config.members().iter().map(member).collect(),
        }
    }
}

fn endpoint(anchor: &Anchor) -> Endpoint {
    let Anchor { host, port } = anchor;
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}").into(),
        false => format!("{host}:{port}").into(),
    }
}

/// What a gossip frame can carry.
const BLOCK_BYTES_MAX: u64 = 99 << 20;
