//! A chart: two axes, what is drawn between them, and what it means.

use super::svg::{Anchor, COLORS, INK, Svg};

/// A chart of shares, from 0 to 100 %, over time.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) x_label: &'static str,
    pub(super) y_label: &'static str,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<Mark>,
    /// What is said below the title.
    pub(super) note: String,
}

/// A scale of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Axis {
    /// From zero.
    Linear { end: f64 },
    /// From one power of ten to another.
    Log { start: i32, end: i32 },
}

/// Something drawn, with its label.
#[derive(Debug)]
pub(super) enum Series {
    Line { label: &'static str, color: usize, points: Vec<(f64, f64)> },
    Band { label: &'static str, color: usize, points: Vec<(f64, f64, f64)> },
}

/// A moment that is marked.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Where a chart is in its picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Chart {
    /// Draws the chart.
    pub(super) fn draw(&self, svg: &mut Svg, frame: Frame) {
        let Frame { left, top, .. } = frame;
        svg.text((left, top - 26.0), Anchor::Start, 15.0, &self.title);
        svg.text((left, top - 9.0), Anchor::Start, 11.5, &self.note);
        self.draw_axes(svg, frame);
        for series in &self.series {
            series.draw(svg, frame, self.x);
        }
        self.draw_marks(svg, frame);
        self.draw_legend(svg, frame);
    }

    fn draw_axes(&self, svg: &mut Svg, frame: Frame) {
        let Frame { left, top, width, height } = frame;
        for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
            let y = frame.y(percent / 100.0);
            let style = if percent == 0.0 { AXIS } else { GRID };
            svg.line(&[(left, y), (left + width, y)], INK, style);
            svg.text((left - 8.0, y + 4.0), Anchor::End, 11.5, &format!("{percent} %"));
        }
        for (at, label) in self.x.ticks() {
            let x = frame.x(self.x, at);
            svg.line(&[(x, top), (x, top + height)], INK, GRID);
            svg.text((x, top + height + 17.0), Anchor::Middle, 11.5, &label);
        }
        let middle = left + width / 2.0;
        svg.text((middle, top + height + 36.0), Anchor::Middle, 12.0, self.x_label);
        svg.upright((left - 52.0, top + height / 2.0), 12.0, self.y_label);
    }

    /// Labels stand beside their lines, each lower than the one before.
    fn draw_marks(&self, svg: &mut Svg, frame: Frame) {
        for (ix, mark) in self.marks.iter().enumerate() {
            let (x, bottom) = (frame.x(self.x, mark.at), frame.top + frame.height);
            svg.line(&[(x, frame.top), (x, bottom)], INK, r#"stroke-dasharray="4 3""#);
            let is_right = x > frame.left + frame.width * 0.75;
            let (x, anchor) =
                if is_right { (x - 5.0, Anchor::End) } else { (x + 5.0, Anchor::Start) };
            let y = bottom - 10.0 - 15.0 * (self.marks.len() - 1 - ix) as f64;
            svg.text((x, y), anchor, 11.5, &mark.label);
        }
    }

    fn draw_legend(&self, svg: &mut Svg, frame: Frame) {
        let mut right = frame.left + frame.width;
        for series in self.series.iter().rev() {
            let (label, color) = series.label();
            let y = frame.top - 30.0;
            svg.text((right, y + 4.0), Anchor::End, 11.5, label);
            // A letter takes less than seven pixels on the average.
            right -= 6.8 * label.chars().count() as f64 + 6.0;
            let sample = [(right - 22.0, y), (right, y)];
            match series {
                Series::Line { .. } => svg.line(&sample, COLORS[color], LINE),
                Series::Band { .. } => {
                    let edge = |shift| sample.map(|(x, y)| (x, y + shift));
                    svg.band(&edge(-5.0), &edge(5.0), COLORS[color]);
                }
            }
            right -= 36.0;
        }
    }
}

impl Series {
    fn label(&self) -> (&'static str, usize) {
        match self {
            Self::Line { label, color, .. } | Self::Band { label, color, .. } => (label, *color),
        }
    }

    fn draw(&self, svg: &mut Svg, frame: Frame, axis: Axis) {
        let place = |at: f64, share: f64| (frame.x(axis, at), frame.y(share));
        match self {
            Self::Line { color, points, .. } => {
                let points: Vec<_> = points.iter().map(|(at, share)| place(*at, *share)).collect();
                svg.line(&points, COLORS[*color], LINE);
            }
            Self::Band { color, points, .. } => {
                let edge = |pick: fn(&(f64, f64, f64)) -> f64| {
                    points.iter().map(|point| place(point.0, pick(point))).collect::<Vec<_>>()
                };
                svg.band(&edge(|point| point.1), &edge(|point| point.2), COLORS[*color]);
            }
        }
    }
}

impl Axis {
    /// Makes a logarithmic scale on which all these are seen, over two powers of ten at least.
    pub(super) fn log(values: impl Iterator<Item = f64> + Clone) -> Self {
        let smallest = values.clone().fold(f64::INFINITY, f64::min).clamp(1e-6, 1e6);
        let largest = values.fold(0.0, f64::max).clamp(smallest, 1e7);
        let (start, end) = (smallest.log10().floor() as i32, largest.log10().ceil() as i32);
        Self::Log { start, end: end.max(start + 2) }
    }

    /// Says where a value lies, from 0 to 1; what is beyond an end lies at the end.
    fn place(self, at: f64) -> f64 {
        match self {
            Self::Linear { end } => at / end,
            Self::Log { start, end } => {
                (at.max(1e-9).log10() - f64::from(start)) / f64::from(end - start)
            }
        }
        .clamp(0.0, 1.0)
    }

    /// Returns the value at a place.
    pub(super) fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear { end } => place * end,
            Self::Log { start, end } => {
                10_f64.powf(f64::from(start) + place * f64::from(end - start))
            }
        }
    }

    fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Log { start, end } => {
                (start..=end).map(|power| (10_f64.powi(power), power_of_ten(power))).collect()
            }
            Self::Linear { end } => {
                let (unit, name) = match end {
                    0.0..180.0 => (1.0, "s"),
                    180.0..10_800.0 => (60.0, "min"),
                    _ => (3600.0, "h"),
                };
                let step = step(end / unit / 8.0);
                let count = (end / unit / step + 1e-9) as usize;
                let tick = |ix: usize| {
                    let at = ix as f64 * step;
                    (at * unit, format!("{} {name}", rounded(at)))
                };
                (0..=count).map(tick).collect()
            }
        }
    }
}

impl Frame {
    fn x(self, axis: Axis, at: f64) -> f64 {
        self.left + axis.place(at) * self.width
    }

    fn y(self, share: f64) -> f64 {
        self.top + (1.0 - share.clamp(0.0, 1.0)) * self.height
    }
}

/// Writes a time as people say it.
pub(super) fn time(secs: f64) -> String {
    match secs {
        0.0..1e-3 => format!("{} µs", rounded(secs * 1e6)),
        1e-3..1.0 => format!("{} ms", rounded(secs * 1e3)),
        1.0..180.0 => format!("{} s", rounded(secs)),
        180.0..10_800.0 => format!("{} min", rounded(secs / 60.0)),
        _ => format!("{} h", rounded(secs / 3600.0)),
    }
}

/// Writes a power of ten seconds.
fn power_of_ten(power: i32) -> String {
    let (unit, name) = match power {
        ..-3 => (-6, "µs"),
        -3..0 => (-3, "ms"),
        0.. => (0, "s"),
    };
    format!("{} {name}", 10_f64.powi(power - unit))
}

/// Finds the smallest of 1, 2 and 5, times a power of ten, that is not below.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-6).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(power)
}

/// Writes a number with two or three figures.
fn rounded(number: f64) -> String {
    let digits = if number >= 99.5 || number.fract() == 0.0 { 0 } else { 1 };
    let text = format!("{number:.digits$}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

const AXIS: &str = r#"stroke-width="1""#;
const GRID: &str = r#"stroke-width="1" stroke-opacity="0.22""#;
const LINE: &str = r#"stroke-width="1.8""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_of_a_unit_that_fits() {
        let labels =
            |axis: Axis| axis.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        let short = labels(Axis::Linear { end: 2.5 });
        assert_eq!(short, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s"]);
        let long = labels(Axis::Linear { end: 660.0 });
        assert_eq!(long, ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]);
        assert_eq!(labels(Axis::Linear { end: 86_400.0 }), ["0 h", "5 h", "10 h", "15 h", "20 h"]);
        let log = Axis::log([0.0004, 2.0].into_iter());
        assert_eq!(labels(log), ["100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
        assert_eq!(labels(Axis::log([20.0, 300.0].into_iter())), ["10 s", "100 s", "1000 s"]);
    }

    #[test]
    fn a_scale_without_values_is_a_scale() {
        assert!(matches!(Axis::log([].into_iter()), Axis::Log { start, end } if start < end));
        let log = Axis::Log { start: -3, end: 0 };
        assert!((log.place(log.value(0.25)) - 0.25).abs() < 1e-9);
        assert_eq!((log.place(0.0), log.place(1e9)), (0.0, 1.0));
    }
}
