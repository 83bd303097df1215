//! The results as SVG: bars of the leading number, one proxy a line, and what they were measured on
//! below.
//!
//! A chart stands alone: whoever sees it elsewhere sees machine, versions and command with it.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::results::{CaseResult, ProxyResult, short};

const WIDTH: i32 = 760;
const LINE: i32 = 24;
const HEAD: i32 = 58;
const NOTE: i32 = 16;
const EDGE: i32 = 16;
/// Where bars begin and end within a panel.
const BARS: (i32, i32) = (110, 70);

const INK: RGBColor = RGBColor(31, 41, 55);
const FAINT: RGBColor = RGBColor(107, 114, 128);
const OURS: RGBColor = RGBColor(37, 99, 235);
const OTHERS: RGBColor = RGBColor(156, 163, 175);
const BYTES: RGBColor = RGBColor(216, 219, 225);

/// The cases of the overview.
const OVERVIEW: [&str; 8] = [
    "h1-small-rate",
    "h2-small-rate",
    "h1-10k-rate",
    "h2-10k-rate",
    "handshake-p256",
    "handshake-resumed",
    "h1-100m",
    "memory-idle",
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes a chart for each case, and the overview, into `directory`.
pub(crate) fn write(directory: &Path, results: &[CaseResult], notes: &[String]) -> Result<()> {
    let drawn = || results.iter().filter(|result| !result.metrics().is_empty());
    for result in drawn() {
        let path = directory.join(format!("{}.svg", result.name));
        let height = panel_height(result) + notes_height(notes);
        draw(&path, (WIDTH, height), |area| {
            panel(area, result, (0, 0), WIDTH)?;
            write_notes(area, notes, panel_height(result))
        })?;
    }
    let chosen: Vec<&CaseResult> = drawn()
        .filter(|result| OVERVIEW.contains(&result.name))
        .collect();
    if chosen.len() < OVERVIEW.len() {
        return Ok(());
    }
    let width = 2 * WIDTH;
    let heights = chosen.chunks(2).map(|pair| {
        let heights = pair.iter().map(|result| panel_height(result));
        heights.max().unwrap_or(0)
    });
    let heights: Vec<i32> = heights.collect();
    let total: i32 = heights.iter().sum();
    let path = directory.join("overview.svg");
    draw(&path, (width, total + notes_height(notes)), |area| {
        let mut top = 0;
        for (pair, height) in chosen.chunks(2).zip(&heights) {
            for (result, left) in pair.iter().zip([0, WIDTH]) {
                panel(area, result, (left, top), WIDTH)?;
            }
            top += height;
        }
        write_notes(area, notes, total)
    })
}

fn draw(
    path: &Path,
    (width, height): (i32, i32),
    content: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<()> {
    let size = (u32::try_from(width)?, u32::try_from(height)?);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE).map_err(undrawn)?;
    content(&area)?;
    area.present().map_err(undrawn)
}

fn panel(area: &Area<'_>, result: &CaseResult, (left, top): (i32, i32), width: i32) -> Result<()> {
    let metrics = result.metrics();
    let Some(&metric) = metrics.first() else {
        return Ok(());
    };
    text(
        area,
        &result.title,
        (left + EDGE, top + 20),
        (16, INK, HPos::Left),
    )?;
    let ratio = result.ratio(metric);
    let against = ratio.map(|(ratio, best)| format!("; {ratio:.2} of the best, {best}"));
    let below = format!("{}{}", metric.label, against.unwrap_or_default());
    text(
        area,
        &below,
        (left + EDGE, top + 40),
        (13, FAINT, HPos::Left),
    )?;

    let medians = result.proxies.iter().map(|proxy| proxy.median(metric));
    let medians: Vec<f64> = medians.map(|median| median.unwrap_or(0.0)).collect();
    let largest = medians.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let (from, to) = (left + EDGE + BARS.0, left + width - BARS.1);
    for ((proxy, value), row) in result.proxies.iter().zip(&medians).zip(0..) {
        let middle = top + HEAD + row * LINE + LINE / 2;
        text(
            area,
            &proxy.name,
            (from - 8, middle),
            (13, INK, HPos::Right),
        )?;
        let length = (f64::from(to - from) * value / largest).round().max(1.0) as i32;
        let corners = [(from, middle - 8), (from + length, middle + 8)];
        let bar = Rectangle::new(corners, colour(proxy).filled());
        area.draw(&bar).map_err(undrawn)?;
        let mark = if proxy.short() { " *" } else { "" };
        let value = format!("{}{mark}", short(*value));
        text(
            area,
            &value,
            (from + length + 6, middle),
            (13, INK, HPos::Left),
        )?;
    }
    Ok(())
}

fn panel_height(result: &CaseResult) -> i32 {
    HEAD + LINE * result.proxies.len() as i32 + EDGE
}

fn notes_height(notes: &[String]) -> i32 {
    NOTE * (wrapped(notes).len() as i32 + 1) + EDGE
}

fn write_notes(area: &Area<'_>, notes: &[String], top: i32) -> Result<()> {
    let lines = wrapped(notes);
    let marked = "* did not hold the rate; hitch passes bytes and reads no HTTP".to_owned();
    for (line, row) in lines.iter().chain([&marked]).zip(0..) {
        let at = (EDGE, top + NOTE * row + NOTE / 2);
        text(area, line, at, (11, FAINT, HPos::Left))?;
    }
    Ok(())
}

/// The notes in lines that fit.
fn wrapped(notes: &[String]) -> Vec<String> {
    const FITS: usize = 120;
    let mut lines = Vec::new();
    for note in notes {
        let mut line = String::new();
        for word in note.split(' ') {
            if line.chars().count() + word.chars().count() >= FITS {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(word);
            line.push(' ');
        }
        lines.push(line);
    }
    lines
}

fn text(
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    (size, colour, side): (i32, RGBColor, HPos),
) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&colour);
    let style = style.pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(words.to_owned(), at, style))
        .map_err(undrawn)
}

fn colour(proxy: &ProxyResult) -> RGBColor {
    match proxy {
        proxy if proxy.ours => OURS,
        proxy if proxy.passes_bytes => BYTES,
        _ => OTHERS,
    }
}

fn undrawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
