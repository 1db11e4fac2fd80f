//! Bars: what there is most of, as a table whose rows carry a bar.

use super::{number, scaled};
use crate::html::{Html, Text};

const WIDTH: f64 = 100.0;

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    /// What else is to be said of it.
    pub(crate) about: &'a str,
    pub(crate) count: u64,
    pub(crate) href: Option<String>,
    /// The class of its colour, such as `f-block`.
    pub(crate) class: &'a str,
}

/// The table says everything in words; the bars repeat it for the eye.
pub(crate) fn bars(caption: &str, rows: &[Bar<'_>]) -> Html {
    let mut out = Html::new();
    let most = rows.iter().map(|row| row.count).max().unwrap_or(0);
    out.push(format_args!(
        "<table class=\"bar\"><caption class=\"sr\">{}</caption><thead><tr><th scope=\"col\"><span class=\"sr\">What</span></th><th scope=\"col\"><span class=\"sr\">How many</span></th><th scope=\"col\"><span class=\"sr\">As a bar</span></th></tr></thead><tbody>",
        Text(caption)
    ));
    for row in rows {
        out.push(format_args!("<tr><th scope=\"row\">"));
        match &row.href {
            Some(href) => {
                out.push(format_args!("<a href=\"{}\">{}</a>", Text(href), Text(row.name)));
            }
            None => out.push(format_args!("{}", Text(row.name))),
        }
        if !row.about.is_empty() {
            out.push(format_args!(" <small>{}</small>", Text(row.about)));
        }
        let width = scaled(row.count, most, WIDTH);
        out.push(format_args!(
            "</th><td class=\"num\">{}</td><td><svg class=\"meter\" viewBox=\"0 0 {WIDTH} 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"{WIDTH}\" height=\"8\"/><rect class=\"{}\" width=\"{width:.2}\" height=\"8\"/></svg></td></tr>",
            number(row.count),
            Text(row.class)
        ));
    }
    out.push(format_args!("</tbody></table>"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_its_track() {
        let bar = |name, count| Bar { name, about: "", count, href: None, class: "f-a" };
        let table = bars("rules", &[bar("GD001", 8), bar("<b>", 2), bar("none", 0)]);
        let text = table.as_str();
        assert!(text.contains("width=\"100.00\"") && text.contains("width=\"25.00\""), "{text}");
        assert!(text.contains("&lt;b&gt;") && !text.contains("<b>"), "{text}");
        assert!(bars("none", &[]).as_str().contains("<tbody></tbody>"));
    }
}
