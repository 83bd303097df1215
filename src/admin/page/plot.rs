//! The last minutes as small plots: SVG that is drawn here, so that it needs no script.

use std::fmt;

use crate::admin::Admin;
use crate::admin::history::{self, EVERY, Figures, KEPT};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 64.0;
/// Room above the highest value for the line's own width.
const MARGIN: f64 = 3.0;

/// What is plotted, one value a sample, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Requests a second.
    pub(super) rate: Vec<f64>,
    /// Half of the requests took no longer, in milliseconds; 0 without requests.
    pub(super) p50: Vec<f64>,
    /// Nearly all took no longer.
    pub(super) p99: Vec<f64>,
    /// Requests being answered.
    pub(super) in_flight: Vec<f64>,
    /// Connections of clients.
    pub(super) connections: Vec<f64>,
}

impl Series {
    /// What was sampled so far.
    pub(super) fn of(admin: &Admin) -> Self {
        let history = history::of(admin);
        let mut series = Self::default();
        for sample in history.samples() {
            let figures = Figures::over(std::iter::once(sample));
            series.rate.push(figures.per_second);
            series.p50.push(figures.p50_ms.unwrap_or_default());
            series.p99.push(figures.p99_ms.unwrap_or_default());
            series.in_flight.push(count(sample.in_flight));
            series.connections.push(count(sample.connections));
        }
        series
    }
}

/// One plot; the second line, if there is one, is drawn without an area.
pub(super) struct Plot<'a> {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) line: &'a [f64],
    pub(super) second: Option<&'a [f64]>,
}

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.second.unwrap_or_default().iter().chain(self.line);
        let highest = highest.copied().fold(0.0, f64::max);
        let now = self.line.last().copied().unwrap_or_default();
        let minutes = EVERY.as_secs() * KEPT as u64 / 60;
        let (title, unit) = (self.title, self.unit);
        write!(
            f,
            "<figure><figcaption>{title} <b>{}</b> {unit}</figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{title}, last {minutes} minutes: now {} {unit}, at most {} {unit}\">",
            Short(now),
            Short(now),
            Short(highest)
        )?;
        let area = points(self.line, highest);
        if let (Some((left, _)), Some((right, _))) = (area.first(), area.last()) {
            write!(f, "<polygon class=\"area\" points=\"{left:.1},{HEIGHT}")?;
            area.iter()
                .try_for_each(|(x, y)| write!(f, " {x:.1},{y:.1}"))?;
            write!(f, " {right:.1},{HEIGHT}\"/>")?;
        }
        line(f, "line", &area)?;
        if let Some(second) = self.second {
            line(f, "line second", &points(second, highest))?;
        }
        write!(
            f,
            "</svg><p class=\"scale\"><span>{minutes} min ago</span>\
             <span>highest {} {unit}</span></p></figure>",
            Short(highest)
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, class: &str, points: &[(f64, f64)]) -> fmt::Result {
    write!(f, "<polyline class=\"{class}\" points=\"")?;
    for (x, y) in points {
        write!(f, "{x:.1},{y:.1} ")?;
    }
    f.write_str("\"/>")
}

/// Where each value is, the last one at the right edge.
fn points(values: &[f64], highest: f64) -> Vec<(f64, f64)> {
    let step = WIDTH / count(i64::try_from(KEPT - 1).unwrap_or(1));
    let missing = KEPT.saturating_sub(values.len());
    let place = |(at, value): (usize, &f64)| {
        let x = count(i64::try_from(missing + at).unwrap_or_default()) * step;
        let part = if highest > 0.0 { value / highest } else { 0.0 };
        (x, HEIGHT - MARGIN - part * (HEIGHT - 2.0 * MARGIN))
    };
    values.iter().enumerate().map(place).collect()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a place on a plot, and counts stay far below 2^52"
)]
fn count(number: i64) -> f64 {
    number as f64
}

/// A number with as many digits as tell something.
pub(super) struct Short(pub(super) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value >= 100.0 => write!(f, "{value:.0}"),
            value if value >= 10.0 => write!(f, "{value:.1}"),
            value if value == value.trunc() => write!(f, "{value:.0}"),
            value => write!(f, "{value:.2}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_is_at_the_right_edge_and_the_highest_at_the_top() {
        let drawn = points(&[0.0, 10.0], 10.0);
        assert_eq!(drawn[1], (WIDTH, MARGIN));
        assert_eq!(drawn[0].1, HEIGHT - MARGIN);
        let full = points(&[1.0; KEPT], 1.0);
        assert_eq!((full[0].0, full.len()), (0.0, KEPT));
        assert!(points(&[], 0.0).is_empty());
        assert_eq!(points(&[0.0], 0.0)[0].1, HEIGHT - MARGIN);
    }

    #[test]
    fn a_number_is_short() {
        let short = |value| Short(value).to_string();
        assert_eq!(
            [1234.5, 42.04, 3.0, 0.1234, 0.0].map(short),
            ["1234", "42.0", "3", "0.12", "0"]
        );
    }
}
