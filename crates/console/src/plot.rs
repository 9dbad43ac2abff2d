//! Small plots: inline SVG, no script.

use crate::text;
use maud::{Markup, html};

const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 48.0;

/// Room for the line's own width.
const MARGIN: f64 = 2.0;

/// A line over time, the newest value at the right. `None`: nothing is known of that moment.
pub(crate) struct Line<'a> {
    pub(crate) class: &'a str,
    pub(crate) values: Vec<Option<f64>>,
}

/// Lines on one scale from zero to the largest value. `label` is for those who do not see it.
pub(crate) fn lines(label: &str, room: usize, lines: &[Line<'_>]) -> Markup {
    let largest = lines.iter().flat_map(|line| line.values.iter().flatten()).fold(0.0_f64, |a, b| a.max(*b));
    let scale = if largest > 0.0 { (HEIGHT - 2.0 * MARGIN) / largest } else { 0.0 };
    html! {
        svg.plot viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label={ (label) ", at most " (text::rate(largest)) } {
            line.axis x1="0" x2=(WIDTH) y1=(HEIGHT - 1.0) y2=(HEIGHT - 1.0) {}
            @for line in lines {
                @let path = path(&line.values, room, scale);
                path class={ "line " (line.class) } d=(path) {}
            }
        }
    }
}

/// Aligned at the right: a plot fills from there.
fn path(values: &[Option<f64>], room: usize, scale: f64) -> String {
    let step = WIDTH / (room.max(2) - 1) as f64;
    let first = room.saturating_sub(values.len());
    let mut path = String::new();
    let mut is_drawing = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let (x, y) = ((first + at) as f64 * step, HEIGHT - MARGIN - value * scale);
        path.push_str(&format!("{}{x:.1} {y:.1}", if is_drawing { 'L' } else { 'M' }));
        is_drawing = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_aligned_at_the_right_and_breaks_where_nothing_is_known() {
        let values = [Some(1.0), None, Some(0.0), Some(2.0)];
        assert_eq!(path(&values, 5, 22.0), "M65.0 24.0M195.0 46.0L260.0 2.0");
    }

    #[test]
    fn nothing_at_all_is_drawn_too() {
        let drawn = lines("nothing", 10, &[Line { class: "a", values: Vec::new() }]).into_string();
        assert!(drawn.contains("d=\"\""), "{drawn}");
    }
}
