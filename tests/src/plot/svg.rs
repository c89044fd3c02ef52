//! The few shapes of SVG that charts need.

use std::fmt::{Display, Write as _};

/// A picture that grows shape by shape. Sizes are in pixels, from the upper left corner.
#[derive(Debug)]
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

/// Where a text begins, ends or has its middle.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// Begins a picture.
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// Draws a line through points.
    pub(super) fn line(&mut self, points: &[(f64, f64)], color: &str, style: &str) {
        let path = path(points);
        self.push(format_args!(
            r#"<path d="{path}" fill="none" stroke="{color}" stroke-linejoin="round" {style}/>"#
        ));
    }

    /// Fills what is between two lines.
    pub(super) fn band(&mut self, upper: &[(f64, f64)], lower: &[(f64, f64)], color: &str) {
        let outline: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
        let path = path(&outline);
        self.push(format_args!(
            r#"<path d="{path}Z" fill="{color}" fill-opacity="0.22" stroke="none"/>"#
        ));
    }

    /// Writes a text.
    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, text: &str) {
        let (anchor, text) = (anchor.as_str(), escaped(text));
        self.push(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}">{text}</text>"#
        ));
    }

    /// Writes a text from below to above, with its middle at a point.
    pub(super) fn upright(&mut self, (x, y): (f64, f64), size: f64, text: &str) {
        let text = escaped(text);
        let turn = format!("translate({x:.1} {y:.1}) rotate(-90)");
        self.push(format_args!(
            r#"<text transform="{turn}" text-anchor="middle" font-size="{size}">{text}</text>"#
        ));
    }

    /// Ends the picture. `title` is what those hear who do not see it.
    pub(super) fn finish(self, title: &str) -> String {
        let Self { body, width, height } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"sans-serif\" \
             fill=\"{INK}\">\n<title>{title}</title>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, shape: impl Display) {
        writeln!(self.body, "{shape}").expect("a string takes everything");
    }
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (ix, (x, y)) in points.iter().enumerate() {
        let step = if ix == 0 { 'M' } else { 'L' };
        write!(path, "{step}{x:.1} {y:.1}").expect("a string takes everything");
    }
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Texts and axes: as easy to read on white as on black.
pub(super) const INK: &str = "#7d7d7d";

/// What colours are used for data: told apart by those who do not see red or green, and on any
/// background.
pub(super) const COLORS: [&str; 2] = ["#3b8fd0", "#d9802b"];
