//! Charts as SVG within a page: shapes alone, that stretch with their place. Words and numbers stand beside them as text.
//!
//! Lengths are parts of 1000 of the width. Colours are the page's, by class.

use std::fmt::Write as _;

/// Width of every chart in its own units.
const WIDTH: f64 = 1000.0;
/// The least width of something that is there, so that it shows.
const LEAST: f64 = 2.0;
/// Colours that the page has for parts.
pub const COLOURS: usize = 8;

/// One bar of parts, in proportion; the colour of a part is `c0` and so on by its place.
pub fn stacked(parts: &[f64]) -> String {
    let total: f64 = parts.iter().sum();
    let mut svg = open(40, "bar");
    let mut at = 0.0;
    for (place, part) in parts.iter().enumerate() {
        let width = if total > 0.0 { part / total * WIDTH } else { 0.0 };
        let _ = write!(
            svg,
            "<rect class=\"c{}\" x=\"{at:.2}\" y=\"0\" width=\"{width:.2}\" height=\"40\"/>",
            place % COLOURS
        );
        at += width;
    }
    svg + "</svg>"
}

/// A bar of a length between 0 and the greatest.
pub fn bar(value: f64, greatest: f64) -> String {
    let width = if greatest > 0.0 { (value / greatest * WIDTH).clamp(LEAST, WIDTH) } else { LEAST };
    let track = format!("<rect class=\"track\" x=\"0\" y=\"2\" width=\"{WIDTH}\" height=\"16\"/>");
    format!(
        "{}{track}<rect class=\"value\" x=\"0\" y=\"2\" width=\"{width:.2}\" height=\"16\"/></svg>",
        open(20, "row")
    )
}

/// A line from the least to the most with the median on it, and a box of one deviation to either side; all as multiples of
/// the median, on a scale from 1 − `reach` to 1 + `reach`.
pub fn whisker(min: f64, deviation: f64, max: f64, reach: f64) -> String {
    let place = |ratio: f64| ((ratio - 1.0) / reach * 0.5 + 0.5).clamp(0.0, 1.0) * WIDTH;
    let (left, right) = (place(min), place(max));
    let (from, to) = (place(1.0 - deviation), place(1.0 + deviation));
    let mut svg = open(20, "row");
    let _ = write!(svg, "<rect class=\"track\" x=\"0\" y=\"2\" width=\"{WIDTH}\" height=\"16\"/>");
    let _ = write!(
        svg,
        "<rect class=\"box\" x=\"{from:.2}\" y=\"4\" width=\"{:.2}\" height=\"12\"/>",
        (to - from).max(LEAST)
    );
    let _ = write!(svg, "<path class=\"whisker\" d=\"M{left:.2} 10H{right:.2}M{left:.2} 5V15M{right:.2} 5V15\"/>");
    let _ = write!(svg, "<path class=\"median\" d=\"M{0:.2} 2V18\"/>", place(1.0));
    svg + "</svg>"
}

fn open(height: u32, class: &str) -> String {
    // What it shows stands beside it.
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_bar() {
        let svg = stacked(&[1.0, 3.0]);
        assert!(svg.contains("class=\"c0\" x=\"0.00\" y=\"0\" width=\"250.00\""), "{svg}");
        assert!(svg.contains("class=\"c1\" x=\"250.00\" y=\"0\" width=\"750.00\""), "{svg}");
        assert!(!stacked(&[0.0, 0.0]).contains("NaN"));
    }

    #[test]
    fn whiskers_stay_within_their_scale() {
        let svg = whisker(0.9, 0.05, 1.3, 0.2);
        assert!(svg.contains("M250.00 10H1000.00"), "{svg}");
        assert!(svg.contains("M500.00 2V18"), "{svg}");
        assert!(svg.contains("x=\"375.00\" y=\"4\" width=\"250.00\""), "{svg}");
    }

    #[test]
    fn bars_show_even_the_least() {
        assert!(bar(1.0, 4.0).contains("width=\"250.00\""));
        assert!(bar(0.0, 4.0).contains("width=\"2.00\""));
        assert!(bar(0.0, 0.0).contains("width=\"2.00\""));
    }
}
