//! Charts as SVG, made here: no script draws them, and they print.
//!
//! Shapes stretch with the page (`preserveAspectRatio="none"`), so words stand beside them in
//! HTML. Each chart has a title and a description for those who do not see it, and a table of
//! the same figures for everyone. Colours come from classes; nothing is styled inline.

mod bars;
mod histogram;
mod layers;
mod lines;
mod sparkline;

pub(crate) use bars::{Bar, bars};
pub(crate) use histogram::{Bucket, Histogram};
pub(crate) use layers::{Edge, Layers, Node};
pub(crate) use lines::{Line, Lines};
pub(crate) use sparkline::sparkline;

use crate::html::{Html, Text};

/// A number with its thousands apart, as everywhere in the pages.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The smallest round number (1, 2 or 5 times a power of ten) that is not below `n`.
fn round_up(n: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(round) if round >= n => return round,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return u64::MAX,
        }
    }
}

/// `of` in parts of `span`, as a coordinate on an axis of `length`.
fn scaled(of: u64, span: u64, length: f64) -> f64 {
    // Counts are far below 2^52, where the conversion is exact; beyond, a pixel is no matter.
    #[expect(clippy::cast_precision_loss, reason = "coordinates, not counts")]
    let share = if span == 0 { 0.0 } else { of as f64 / span as f64 };
    share * length
}

/// The table of a chart's figures, folded away.
fn table(out: &mut Html, head: &[&str], rows: impl Iterator<Item = (String, Vec<u64>)>) {
    out.push(format_args!(
        "<details class=\"fold\"><summary>Figures</summary><div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Figures\"><table><thead><tr>"
    ));
    for (at, name) in head.iter().enumerate() {
        let class = if at == 0 { "" } else { " class=\"num\"" };
        out.push(format_args!("<th scope=\"col\"{class}>{}</th>", Text(name)));
    }
    out.push(format_args!("</tr></thead><tbody>"));
    for (name, counts) in rows {
        out.push(format_args!("<tr><th scope=\"row\">{}</th>", Text(&name)));
        for count in counts {
            out.push(format_args!("<td class=\"num\">{}</td>", number(count)));
        }
        out.push(format_args!("</tr>"));
    }
    out.push(format_args!("</tbody></table></div></details>"));
}

/// What the colours stand for.
fn legend(out: &mut Html, series: &[(&str, &str)]) {
    out.push(format_args!("<span class=\"legend\">"));
    for (class, name) in series {
        out.push(format_args!(
            "<span><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"10\" height=\"10\" rx=\"2\"/></svg>{}</span>",
            Text(name)
        ));
    }
    out.push(format_args!("</span>"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        let shown: Vec<_> = [0, 999, 1000, 1_234_567, u64::MAX].into_iter().map(number).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let round: Vec<_> = [0, 1, 3, 7, 11, 480, 501].into_iter().map(round_up).collect();
        assert_eq!(round, [1, 1, 5, 10, 20, 500, 1000]);
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }
}
