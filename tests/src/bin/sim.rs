//! Runs simulated networks from seeds, and says how to repeat those that fail.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    ops::Range,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use gossip_tests::{
    plot::picture,
    say,
    sim::{Coverage, Failure, Faults, Options, Report, Scheme, run},
};

/// Memory is taken and given back for each simulated message: with the system's allocator a run
/// takes a tenth longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates networks of gossip nodes on virtual time, with faults drawn from a seed.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Args {
    /// The seed of one run.
    #[arg(long, default_value_t = 1, conflicts_with = "seeds")]
    seed: u64,
    /// Seeds A..B of many runs, without B.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// How many peers there are.
    #[arg(long, default_value_t = 16)]
    peers: usize,
    /// How many organisations there are.
    #[arg(long, default_value_t = 2)]
    orgs: usize,
    /// A broadcast on a static membership, as in a large network: all meet once, by the protocol
    /// itself; then alive messages, StateInfo, pulls and reconnects rest for a day, and the blocks
    /// of one channel must reach every ledger. Of each organisation only two anchors can be reached
    /// by others: a peer knows its organisation, an anchor the other anchors as well. The minutes
    /// count from when all have met.
    #[arg(long = "static")]
    is_static: bool,
    /// How many simulated minutes faults strike.
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// `all`, `none`, or names with commas between them.
    #[arg(long, default_value = "none")]
    faults: Faults,
    /// `mac`: keyed hashes, which cost little; or `p256`: X.509 certificates and ECDSA on P-256,
    /// as the daemon judges them, for small runs.
    #[arg(long, default_value_t = Scheme::Mac)]
    crypto: Scheme,
    /// Seconds between two blocks, on the average.
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
    block_seconds: f64,
    /// Seconds within which all must be well after the faults, instead of the bound that follows
    /// from the configuration.
    #[arg(long, value_parser = minutes)]
    bound_seconds: Option<f64>,
    /// How many lines of what happened are written if a run fails.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(..100_000))]
    trace: u32,
    /// Draws how blocks spread and how peers come to know each other.
    #[arg(long, value_name = "FILE.svg", conflicts_with = "seeds")]
    plot: Option<PathBuf>,
    /// Records a peer, such as a0, in a file for the replay tool. Each time that it starts again
    /// begins another: FILE.1, FILE.2 and so on.
    #[arg(long, num_args = 2, value_names = ["PEER", "FILE"], conflicts_with = "seeds")]
    record: Option<Vec<String>>,
    /// Writes of a band of seeds only those that fail, and what happened in all.
    #[arg(long, requires = "seeds", conflicts_with = "json")]
    quiet: bool,
    /// Writes a line of JSON for each run, instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seeds = args.seeds.clone().unwrap_or(args.seed..args.seed.saturating_add(1));
    let (mut coverage, begin) = (Coverage::default(), Instant::now());
    if let Err(error) = args.options(seeds.start).check() {
        eprintln!("sim: {error}");
        return ExitCode::from(2);
    }
    if !args.json && !args.quiet {
        say(HEADER);
    }
    for seed in seeds {
        let start = Instant::now();
        let report = match run(&args.options(seed), |time| progress(&args, seed, time, start)) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("sim: {error}");
                return ExitCode::from(2);
            }
        };
        if let Err(error) = draw(&args, &report).and_then(|()| write_logs(&args, &report)) {
            eprintln!("sim: {error}");
            return ExitCode::from(2);
        }
        coverage.add(&report);
        show(&args, &report, start.elapsed());
    }
    let missing = coverage.missing(args.faults);
    if args.seeds.is_some() && !args.json {
        say(coverage.summary(begin.elapsed()));
    }
    missing.iter().for_each(|what| eprintln!("sim: these runs prove too little: {what}"));
    let is_well = coverage.failed() == 0 && missing.is_empty();
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Args {
    fn options(&self, seed: u64) -> Options {
        Options {
            peers: self.peers,
            orgs: self.orgs,
            is_static: self.is_static,
            duration: Duration::from_secs_f64(self.minutes * 60.0),
            faults: self.faults,
            scheme: self.crypto,
            bound: self.bound_seconds.map(Duration::from_secs_f64),
            trace: self.trace as usize,
            samples: self.plot.is_some(),
            record: self.record.as_ref().map(|peer_and_file| peer_and_file[0].clone()),
            block_interval: Duration::from_secs_f64(self.block_seconds),
            ..Options::new(seed)
        }
    }
}

fn draw(args: &Args, report: &Report) -> Result<(), String> {
    let (Some(path), Some(samples)) = (&args.plot, &report.samples) else { return Ok(()) };
    let picture = picture(&args.options(report.seed), report, samples);
    std::fs::write(path, picture).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_logs(args: &Args, report: &Report) -> Result<(), String> {
    let Some([_, file]) = args.record.as_deref() else { return Ok(()) };
    for (life, log) in report.logs.iter().enumerate() {
        let file = if life == 0 { file.clone() } else { format!("{file}.{life}") };
        std::fs::write(&file, log).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

fn progress(args: &Args, seed: u64, time: Duration, start: Instant) {
    if args.json || !stderr().is_terminal() {
        return;
    }
    let times = time.as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
    let seconds = time.as_secs();
    let _ =
        write!(stderr(), "\rseed {seed}: {seconds} s simulated, {times:.0} x real time \x1b[K\r");
}

fn show(args: &Args, report: &Report, took: Duration) {
    let times = report.simulated_secs / took.as_secs_f64().max(1e-9);
    if args.json {
        let mut json = serde_json::to_value(report).expect("a report is JSON");
        json["real_secs"] = took.as_secs_f64().into();
        json["times_real_time"] = times.into();
        json["peak_memory_mib"] = peak_memory_mib().into();
        say(json);
        return;
    }
    if args.quiet && report.failure.is_none() {
        return;
    }
    let secs = |secs: Option<f64>| secs.map_or("-".into(), |secs| format!("{secs:.1}"));
    let [half, most, all] = report.delivery_ms;
    say(format_args!(
        "{:>8} {:>7.0} {:>8.0} {:>9} {:>7.2} {:>7.2} {:>8} {:>8.1}/{:.0}/{:.0} {:>7} {:>6}  {} {}",
        report.seed,
        report.simulated_secs,
        times,
        report.messages,
        report.copies_per_block,
        report.checks_per_statement,
        secs(report.full_membership_secs),
        half,
        most,
        all,
        secs(report.healed_secs),
        peak_memory_mib().map_or("-".into(), |mib| mib.to_string()),
        report.digest,
        if report.failure.is_some() { "FAILED" } else { "ok" },
    ));
    if let Some(failure) = &report.failure {
        say("\nwhat the peers involved last did:");
        failure.trace.iter().for_each(|line| say(format_args!("  {line}")));
        let Failure { what, command, .. } = failure;
        say(format_args!("\nseed {}: {what}\nrepeat with: {command}\n", report.seed));
    } else if !report.faults.is_empty() && args.seeds.is_none() {
        let struck: Vec<_> =
            report.faults.iter().map(|(class, count)| format!("{class} {count}")).collect();
        say(format_args!("faults that struck: {}", struck.join(", ")));
    }
}

/// Returns the most memory that this process ever held, where the system tells.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parse = |text: &str| text.parse().ok();
    let range = text.split_once("..").and_then(|(a, b)| Some(parse(a)?..parse(b)?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| "expected A..B with A below B".into())
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (1e-3..1e6).contains(number));
    number.ok_or_else(|| "expected a number from 0.001 to 1000000".into())
}

const HEADER: &str = "    seed   sim s  x real   messages  copies  checks  members  \
     delivery ms 50/99/100 %  healed    MiB  digest";
