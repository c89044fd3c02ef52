//! Peers and channels as tables.

use std::fmt;

use crate::text::printable;

use super::status::{Channel, MemberHeight, Other, Peer, State, Status};

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Peer { peer, org, endpoint, external_endpoint } = &self.own;
        let [org, endpoint, external] =
            [org, endpoint, external_endpoint].map(|text| or_dash(text.as_deref()));
        writeln!(f, "{endpoint} of {org}, PKI-ID {}, outside {external}\n", short(peer))?;
        let header =
            ["ENDPOINT", "ORG", "PKI-ID", "STATE", "SINCE", "CHANNELS (HEIGHT)", "CONNECTION"];
        write_table(f, header, self.peers.iter().map(row_of_peer).collect())?;
        if !self.channels.is_empty() {
            writeln!(f)?;
            let rows = self.channels.iter().map(|channel| self.row_of_channel(channel));
            write_table(f, ["CHANNEL", "HEIGHT", "MEMBERS (HEIGHT)"], rows.collect())?;
        }
        Ok(())
    }
}

impl Status {
    fn row_of_channel(&self, channel: &Channel) -> [String; 3] {
        let member = |listed: &MemberHeight| {
            let known = self.peers.iter().map(|other| &other.peer);
            let endpoint = known.clone().find(|peer| peer.peer == listed.peer).map(endpoint);
            format!("{} ({})", or_dash(endpoint.as_deref()), listed.height)
        };
        let shown = channel.members.iter().take(MEMBERS_SHOWN).map(member);
        let mut members = shown.collect::<Vec<_>>().join(", ");
        if let Some(more @ 1..) = channel.members.len().checked_sub(MEMBERS_SHOWN) {
            members += &format!(" and {more} more");
        }
        [printable(&channel.channel), channel.height.to_string(), or_dash(Some(&*members))]
    }
}

fn row_of_peer(other: &Other) -> [String; 7] {
    let state = match other.state {
        State::Alive => "alive",
        State::Dead => "dead",
    };
    let seconds = other.since.split('.').next().unwrap_or_default().replace('T', " ");
    let channels = other.channels.iter();
    let channels = channels.map(|at| format!("{} ({})", printable(&at.channel), at.height));
    let channels = channels.collect::<Vec<_>>().join(", ");
    let connection = other.connection.as_ref().map(|connection| {
        let direction = if connection.inbound { "from" } else { "to" };
        format!("{direction} {}", printable(&connection.remote))
    });
    [
        endpoint(&other.peer),
        or_dash(other.peer.org.as_deref()),
        short(&other.peer.peer).to_owned(),
        state.to_owned(),
        seconds,
        or_dash(Some(&*channels)),
        connection.unwrap_or_else(|| "—".to_owned()),
    ]
}

/// Returns where we would dial a peer.
fn endpoint(peer: &Peer) -> String {
    or_dash(peer.endpoint.as_deref().or(peer.external_endpoint.as_deref()))
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or("—".to_owned(), printable)
}

fn short(pki_id: &str) -> &str {
    pki_id.get(..SHORT).unwrap_or(pki_id)
}

fn write_table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    header: [&str; N],
    rows: Vec<[String; N]>,
) -> fmt::Result {
    let mut widths = header.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(header.map(str::to_owned)).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Members of a channel that its line shows; there are more in JSON.
const MEMBERS_SHOWN: usize = 8;

/// Digits of a PKI-ID that tell peers apart for people.
const SHORT: usize = 12;
