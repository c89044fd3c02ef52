//! What can be asked of a demonstration.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::builder::RangedU64ValueParser;

/// Runs a network of peers in this process, publishes blocks and measures how they spread.
///
/// Every peer has its own key, certificates, TCP port on 127.0.0.1 and ledger, and talks to the
/// others over gRPC with mutual TLS, as it would between machines. The first peer of each
/// organisation stands for the one that fetches blocks from the ordering service: it is given
/// every block and spreads it. The other peers must get every block by gossip.
///
/// A table of what was measured goes to stdout, the live view to stderr. The exit status is 0 if
/// every peer has every block, 1 if something is missing, 2 for a wrong argument, and 130 after
/// Ctrl-C.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Organisations in the network, 1 to 100
    #[arg(long, default_value = "2", value_parser = up_to(100))]
    pub(crate) orgs: usize,

    /// Peers in each organisation, 1 to 1000
    #[arg(long, default_value = "4", value_parser = up_to(1000))]
    pub(crate) peers_per_org: usize,

    /// How many blocks are published [default: 100, or all of --chain]
    #[arg(long, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) blocks: Option<u64>,

    /// Bytes of transactions in a block: a number with B, KiB or MiB, at most 64MiB
    #[arg(long, default_value = "100KiB", conflicts_with = "chain")]
    pub(crate) block_size: Size,

    /// Blocks published in a second, such as 5/s or 0.5/s; max for one after the other
    #[arg(long, default_value = "5/s")]
    pub(crate) rate: Rate,

    /// How long the network is measured at rest afterwards: a number with ms, s, m or h
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub(crate) idle: Duration,

    /// Publishes the chain in this file: blocks of one channel from block 0, each a
    /// common.Block with its length before it as an unsigned varint
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: Option<PathBuf>,

    /// Seeds the peers' random choices; by default another number each time
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How long peers may take to find each other, and blocks to arrive after the last was
    /// published: a number with ms, s, m or h
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// Writes everything that the nodes are told and do to files in this folder, one for each peer
    #[arg(long, value_name = "FOLDER")]
    pub(crate) record: Option<PathBuf>,

    /// Prints one JSON object instead of the table, and no live view
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// Returns how many blocks are published at most.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks.unwrap_or(if self.chain.is_some() { u64::MAX } else { BLOCKS_DEFAULT })
    }

    /// Returns the number of peers in all organisations.
    pub(crate) const fn peers(&self) -> usize {
        self.orgs * self.peers_per_org
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size(pub(crate) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1)];
        let bytes = units.iter().find_map(|(unit, bytes)| {
            let number: usize = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*bytes)
        });
        match bytes {
            Some(bytes @ 1..=BLOCK_SIZE_MAX) => Ok(Self(bytes)),
            Some(_) => Err("expected 1B to 64MiB".to_owned()),
            None => {
                Err("expected a whole number with B, KiB or MiB, such as 100KiB or 1MiB".to_owned())
            }
        }
    }
}

/// How fast blocks are published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// One after the other.
    Max,
    /// So many in a second.
    PerSecond(f64),
}

impl Rate {
    /// Returns when a block is due, counted from the first, which is number 0.
    pub(crate) fn due(self, index: u64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            // Exact up to 2^53 blocks.
            Self::PerSecond(rate) => Duration::from_secs_f64(index as f64 / rate),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let rate = text.strip_suffix("/s").and_then(|number| number.parse::<f64>().ok());
        match rate {
            Some(rate) if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(Self::PerSecond(rate)),
            Some(_) => Err("expected 0.001/s to 1000000/s".to_owned()),
            None => Err("expected a number of blocks with /s, such as 5/s, or max".to_owned()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("one after the other"),
            Self::PerSecond(rate) => write!(f, "{rate}/s"),
        }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let millis = units.iter().find_map(|(unit, millis)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*millis)
    });
    match millis {
        Some(millis @ 0..=DURATION_MILLIS_MAX) => Ok(Duration::from_millis(millis)),
        Some(_) => Err("expected at most 24h".to_owned()),
        None => Err("expected a whole number with ms, s, m or h, such as 30s or 500ms".to_owned()),
    }
}

const EXAMPLES: &str = "\
Examples:
  gossipd demo                                         8 peers, 100 blocks of 100 KiB, 5 a second
  gossipd demo --peers-per-org 16 --idle 30s           32 peers, and what they cost at rest
  gossipd demo --blocks 1000 --block-size 1MiB --rate 10/s
  gossipd demo --chain mychannel.chain --rate 20/s     blocks of a real Fabric channel
  gossipd demo --json | jq .last_peer_ms.p50           one figure of many";

const BLOCKS_DEFAULT: u64 = 100;

/// Leaves room in the largest frame of 100 MiB for what is around transactions.
const BLOCK_SIZE_MAX: usize = 64 << 20;

const RATE_MIN: f64 = 0.001;
const RATE_MAX: f64 = 1e6;
const DURATION_MILLIS_MAX: u64 = 24 * 3_600_000;

fn up_to(max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=max)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("demo").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_eight_peers_get_a_hundred_blocks_of_100_kib_at_five_a_second() {
        let args = parse("").expect("defaults");
        assert_eq!((args.orgs, args.peers_per_org, args.blocks()), (2, 4, 100));
        assert_eq!((args.block_size, args.rate), (Size(100 << 10), Rate::PerSecond(5.0)));
        assert_eq!((args.idle, args.timeout), (Duration::ZERO, Duration::from_secs(60)));
        assert!(args.chain.is_none() && args.seed.is_none() && !args.json);
    }

    #[test]
    fn a_recorded_chain_is_published_whole_unless_blocks_limits_it() {
        let blocks = |line| parse(line).map(|args| args.blocks());
        assert_eq!(blocks("--chain a.chain"), Ok(u64::MAX));
        assert_eq!(blocks("--chain a.chain --blocks 3"), Ok(3));
    }

    #[test]
    fn sizes_rates_and_durations_are_read_with_their_units() {
        assert_eq!("512B".parse(), Ok(Size(512)));
        assert_eq!("1KiB".parse(), Ok(Size(1 << 10)));
        assert_eq!("64MiB".parse(), Ok(Size(64 << 20)));
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("0.5/s".parse(), Ok(Rate::PerSecond(0.5)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn a_bad_value_is_answered_with_flag_value_and_what_was_expected() {
        for (line, flag, value, expected) in [
            ("--rate fast", "--rate", "'fast'", "5/s"),
            ("--rate 0/s", "--rate", "'0/s'", "0.001/s"),
            ("--rate NaN/s", "--rate", "'NaN/s'", "0.001/s"),
            ("--block-size 100", "--block-size", "'100'", "KiB"),
            ("--block-size 0B", "--block-size", "'0B'", "1B to 64MiB"),
            ("--block-size 65MiB", "--block-size", "'65MiB'", "1B to 64MiB"),
            ("--idle 3", "--idle", "'3'", "30s"),
            ("--timeout 25h", "--timeout", "'25h'", "24h"),
            ("--timeout 99999999999999999999s", "--timeout", "9s'", "30s"),
            ("--orgs 0", "--orgs", "'0'", "1..=100"),
            ("--peers-per-org many", "--peers-per-org", "'many'", "invalid"),
            ("--blocks 0", "--blocks", "'0'", "1.."),
            ("--seed x", "--seed", "'x'", "invalid"),
        ] {
            let error = parse(line).expect_err(line);
            for part in [flag, value, expected] {
                assert!(error.contains(part), "{line}: {part} is not in: {error}");
            }
        }
    }

    #[test]
    fn blocks_are_due_evenly_from_the_first() {
        let rate = Rate::PerSecond(4.0);
        assert_eq!(rate.due(0), Duration::ZERO);
        assert_eq!(rate.due(6), Duration::from_millis(1500));
        assert_eq!(Rate::Max.due(6), Duration::ZERO);
    }
}
