//! A sparkline: how something went, in the height of a line of text.

use super::scaled;
use crate::html::{Html, Text};

const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 26.0;

/// `words` says in short what the line shows; the figures themselves stand beside it.
pub(crate) fn sparkline(words: &str, values: &[u64]) -> Html {
    let mut out = Html::new();
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let last = u64::try_from(values.len().saturating_sub(1)).unwrap_or(u64::MAX);
    out.push(format_args!(
        "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        Text(words)
    ));
    let mut points = String::new();
    for (at, value) in (0..).zip(values) {
        let x = scaled(at, last, WIDTH);
        let y = HEIGHT - 2.0 - scaled(*value, most, HEIGHT - 4.0);
        points.push_str(&format!("{x:.1},{y:.1} "));
    }
    if !points.is_empty() {
        out.push(format_args!(
            "<polygon class=\"under\" points=\"0,{HEIGHT} {points}{WIDTH},{HEIGHT}\"/><polyline class=\"line l-a\" points=\"{}\"/>",
            points.trim_end()
        ));
    }
    out.push(format_args!("</svg>"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_from_edge_to_edge_and_says_what_it_is() {
        let svg = sparkline("requests <an hour>", &[0, 5, 10]);
        assert!(svg.as_str().contains("points=\"0.0,24.0 60.0,13.0 120.0,2.0\""), "{svg:?}");
        assert!(svg.as_str().contains("aria-label=\"requests &lt;an hour&gt;\""));
        for few in [&[][..], &[3]] {
            assert!(sparkline("", few).as_str().ends_with("</svg>"));
        }
    }
}
