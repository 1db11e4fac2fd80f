//! Lines: how values went over time, several on one scale.

use super::{legend, number, round_up, scaled, table};
use crate::html::{Html, Text};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 132.0;

/// Lines over steps of time.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    /// Unique within the page.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    pub(crate) about: &'a str,
    /// The unit, such as `ms`.
    pub(crate) unit: &'a str,
    /// The names of the steps.
    pub(crate) steps: Vec<String>,
    pub(crate) lines: Vec<Line<'a>>,
}

/// One line; a step without a value is a gap.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// `a` to `d`: which of the colours.
    pub(crate) color: char,
    pub(crate) values: Vec<Option<u64>>,
}

impl Lines<'_> {
    pub(crate) fn html(&self) -> Html {
        let mut out = Html::new();
        let values = self.lines.iter().flat_map(|line| line.values.iter().flatten());
        let most = round_up(values.copied().max().unwrap_or(0));
        let id = Text(self.id);
        out.push(format_args!(
            "<figure class=\"chart\"><div class=\"peak\" aria-hidden=\"true\">{} {}</div><svg class=\"plot short\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc><line class=\"grid-line\" x1=\"0\" x2=\"{WIDTH}\" y1=\"0.5\" y2=\"0.5\"/><line class=\"base\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>",
            number(most),
            Text(self.unit),
            Text(self.title),
            Text(self.about)
        ));
        for line in &self.lines {
            self.line(&mut out, line, most);
        }
        out.push(format_args!("</svg><div class=\"axis\" aria-hidden=\"true\">"));
        for step in [self.steps.first(), self.steps.get(self.steps.len() / 2), self.steps.last()] {
            out.push(format_args!("<span>{}</span>", Text(step.map_or("", |step| step))));
        }
        out.push(format_args!("</div><figcaption>"));
        let classes: Vec<String> =
            self.lines.iter().map(|line| format!("f-{}", line.color)).collect();
        let series: Vec<(&str, &str)> = classes
            .iter()
            .map(String::as_str)
            .zip(self.lines.iter().map(|line| line.name))
            .collect();
        legend(&mut out, &series);
        let mut head = vec!["Step"];
        head.extend(self.lines.iter().map(|line| line.name));
        let rows = self.steps.iter().enumerate().map(|(at, name)| {
            let value = |line: &Line<'_>| line.values.get(at).copied().flatten();
            (name.clone(), self.lines.iter().map(value).collect::<Vec<_>>())
        });
        let rows = rows.filter(|(_, values)| values.iter().any(Option::is_some));
        let known = rows.map(|(name, values)| {
            (name, values.into_iter().map(Option::unwrap_or_default).collect())
        });
        table(&mut out, &head, known);
        out.push(format_args!("</figcaption></figure>"));
        out
    }

    fn line(&self, out: &mut Html, line: &Line<'_>, most: u64) {
        let last = u64::try_from(self.steps.len().saturating_sub(1)).unwrap_or(u64::MAX);
        let mut path = String::new();
        let mut drawing = false;
        for (at, value) in (0..).zip(&line.values) {
            let Some(value) = value else {
                drawing = false;
                continue;
            };
            let (x, y) = (scaled(at, last, WIDTH), HEIGHT - scaled(*value, most, HEIGHT));
            // A value between two gaps is a short stroke, so that it is seen.
            let begin =
                if drawing { format!("L{x:.1} {y:.1}") } else { format!("M{x:.1} {y:.1}h2") };
            path.push_str(&begin);
            drawing = true;
        }
        let color = line.color;
        out.push(format_args!(
            "<path class=\"line l-{color}\" d=\"{path}\"><title>{}</title></path>",
            Text(line.name)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_gaps() {
        let lines = Lines {
            id: "l",
            title: "Latency",
            about: "Milliseconds.",
            unit: "ms",
            steps: (0..4).map(|n| format!("{n}:00")).collect(),
            lines: vec![Line {
                name: "p50",
                color: 'a',
                values: vec![Some(5), Some(10), None, Some(10)],
            }],
        };
        let html = lines.html();
        let text = html.as_str();
        assert!(text.contains("d=\"M0.0 66.0h2L320.0 0.0M960.0 0.0h2\""), "{text}");
        assert!(text.contains("10 ms") && !text.contains("<th scope=\"row\">2:00"), "{text}");
    }

    #[test]
    fn no_steps_draw_no_line() {
        let lines =
            Lines { id: "l", title: "", about: "", unit: "", steps: Vec::new(), lines: Vec::new() };
        assert!(lines.html().as_str().contains("</svg>"));
    }
}
