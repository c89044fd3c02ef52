//! Re-runs the log of a node and says whether it did the same.

use std::{fs::File, io::BufReader, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use gossip_tests::{
    replay::{Report, rerun},
    say,
};

/// Re-runs the log that a peer wrote: says what it holds, and which action differs first.
///
/// The exit status is 0 if the node did the same as far as the log goes, 1 if it did not or the log
/// is damaged, and 2 if there is no such log.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Args {
    /// The log
    file: PathBuf,
    /// Prints the last N lines of what happened, up to the first difference
    #[arg(long, value_name = "N", num_args = 0..=1, default_value_t = 0,
          default_missing_value = "60")]
    trace: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let start = Instant::now();
    let report = match run(&args) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("replay: {}: {error}", args.file.display());
            return ExitCode::from(2);
        }
    };
    report.trace.iter().for_each(say);
    say(report.to_string().trim_end());
    let took = start.elapsed().as_secs_f64();
    let times = report.duration.as_secs_f64() / took.max(1e-9);
    say(format_args!("took       {took:.3} s, {times:.0} x real time"));
    if report.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(args: &Args) -> Result<Report, String> {
    let file = File::open(&args.file).map_err(|error| error.to_string())?;
    rerun(BufReader::with_capacity(1 << 18, file), args.trace).map_err(|error| error.to_string())
}
