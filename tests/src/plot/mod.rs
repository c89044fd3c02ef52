//! Pictures of simulated runs: how blocks spread, and how peers come to know each other.
//!
//! An SVG file that needs nothing else and is read on light and on dark backgrounds. The same run
//! gives the same file.

mod chart;
mod svg;

use crate::sim::{FaultClass, Faults, Options, Report, Samples, View};

use self::{
    chart::{Axis, Chart, Frame, Mark, Series, time},
    svg::{Anchor, Svg},
};

/// Draws a run of which samples were kept.
#[must_use]
pub fn picture(options: &Options, report: &Report, samples: &Samples) -> String {
    let Options { seed, peers, orgs, faults, .. } = options;
    let title = format!(
        "{peers} peers of {orgs} organisations, {} simulated, faults: {faults}, seed {seed}",
        time(report.simulated_secs)
    );
    let charts = [
        delivery(samples),
        first_membership(options, report, samples),
        whole_membership(options, report, samples),
    ];
    let height = TOP + charts.len() as f64 * PANEL;
    let mut svg = Svg::new(WIDTH, height);
    svg.text((LEFT, 30.0), Anchor::Start, 18.0, &title);
    for (ix, chart) in charts.iter().enumerate() {
        let top = TOP + ix as f64 * PANEL + 44.0;
        let frame = Frame { left: LEFT, top, width: WIDTH - LEFT - 30.0, height: PANEL - 110.0 };
        chart.draw(&mut svg, frame);
    }
    svg.finish(&title)
}

/// How many peers have a block so long after an orderer made it: over all blocks.
fn delivery(samples: &Samples) -> Chart {
    let spreads: Vec<_> = samples.blocks().collect();
    let mut latencies: Vec<f64> =
        spreads.iter().flat_map(|spread| spread.latencies()).filter(|at| *at > 0.0).collect();
    latencies.sort_by(f64::total_cmp);
    let x = Axis::log(latencies.iter().copied());
    let shares: Vec<Vec<f64>> = (0..=STEPS)
        .map(|step| x.value(step as f64 / STEPS as f64))
        .map(|at| {
            let mut shares: Vec<_> = spreads.iter().map(|spread| spread.share(at)).collect();
            shares.sort_by(f64::total_cmp);
            shares
        })
        .collect();
    let at = |step: usize| x.value(step as f64 / STEPS as f64);
    let line = |per_cent: usize| {
        let points = shares.iter().enumerate();
        points.map(|(step, shares)| (at(step), rank(shares, per_cent))).collect::<Vec<_>>()
    };
    let band = shares.iter().enumerate();
    let band = band.map(|(step, shares)| (at(step), rank(shares, 90), rank(shares, 10))).collect();
    let [half, most, all] = [50, 99, 100].map(|per_cent| rank(&latencies, per_cent));
    let marks = [(half, "half"), (most, "99 %"), (all, "all")]
        .map(|(at, label)| Mark { at, label: label.to_owned() });
    let complete = spreads.iter().filter(|spread| spread.is_complete()).count();
    let note = format!(
        "{} blocks, {complete} reached all; half of the deliveries took {}, 99 % {}, all {}",
        spreads.len(),
        time(half),
        time(most),
        time(all)
    );
    Chart {
        title: "How blocks spread".to_owned(),
        x,
        x_label: "time since an orderer made the block",
        y_label: "peers that have it",
        series: vec![
            Series::Band { label: "8 in 10 blocks", color: 0, points: band },
            Series::Line { label: "median block", color: 0, points: line(50) },
            Series::Line { label: "slowest", color: 1, points: line(0) },
        ],
        marks: if latencies.is_empty() { Vec::new() } else { marks.into() },
        note,
    }
}

/// How peers come to know each other at the beginning.
fn first_membership(options: &Options, report: &Report, samples: &Samples) -> Chart {
    let full = report.full_membership_secs;
    let end = full.map_or(FIRST_MAX, |full| (full * 1.5).clamp(1.0, FIRST_MAX));
    let marks = full.filter(|full| *full <= end).map(|full| Mark {
        at: full,
        label: format!("everybody first knows everybody: {}", time(full)),
    });
    Chart {
        title: "How peers come to know each other".to_owned(),
        marks: marks.into_iter().collect(),
        ..membership(options, samples, end)
    }
}

/// Whom peers hold alive, over the whole run.
fn whole_membership(options: &Options, report: &Report, samples: &Samples) -> Chart {
    let struck = samples.healed_at().filter(|_| options.faults != Faults::NONE);
    let mark = |at: f64| Mark { at, label: "faults end".to_owned() };
    Chart {
        title: "Membership over the whole run".to_owned(),
        marks: struck.map(mark).into_iter().collect(),
        ..membership(options, samples, report.simulated_secs)
    }
}

fn membership(options: &Options, samples: &Samples, end: f64) -> Chart {
    let hostile = match options.faults.has(FaultClass::Byzantine) {
        true => "; hostile peers are left out",
        false => "",
    };
    let end = end.max(1.0);
    let (mean, worst) = columns(samples.views(), end);
    Chart {
        title: String::new(),
        x: Axis::Linear { end },
        x_label: "time since the beginning",
        y_label: "running peers in a view",
        series: vec![
            Series::Line { label: "worst view", color: 1, points: worst },
            Series::Line { label: "mean of all views", color: 0, points: mean },
        ],
        marks: Vec::new(),
        note: format!("how many of the other running peers a running peer holds alive{hostile}"),
    }
}

type Points = Vec<(f64, f64)>;

/// Joins what falls into one column of the picture: the mean of the means, the worst of the worst.
fn columns(views: &[View], end: f64) -> (Points, Points) {
    let column = |view: &View| (view.at / end * STEPS as f64) as usize;
    let shown: Vec<_> = views.iter().filter(|view| view.at <= end).collect();
    let chunks = shown.chunk_by(|a, b| column(a) == column(b));
    chunks
        .map(|chunk| {
            let mean = chunk.iter().map(|view| view.mean).sum::<f64>() / chunk.len() as f64;
            let worst = chunk.iter().map(|view| view.worst).fold(1.0, f64::min);
            ((chunk[0].at, mean), (chunk[0].at, worst))
        })
        .unzip()
}

/// Returns the value below or at which `per_cent` of the sorted values lie; zero of none.
fn rank(sorted: &[f64], per_cent: usize) -> f64 {
    let ix = (sorted.len() * per_cent).div_ceil(100).saturating_sub(1);
    sorted.get(ix).copied().unwrap_or(0.0)
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 86.0;
const TOP: f64 = 44.0;
const PANEL: f64 = 330.0;
/// Into how many columns what is drawn is divided.
const STEPS: usize = 420;
/// How much of the beginning is shown at most, in seconds.
const FIRST_MAX: f64 = 120.0;

#[cfg(test)]
mod tests;
