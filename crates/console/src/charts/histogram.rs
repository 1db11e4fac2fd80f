//! A histogram: how many in each step, the kinds stacked. Over time, each step leads to the
//! same page narrowed to it, so that a range can be chosen without a script.

use super::{legend, number, round_up, scaled, table};
use crate::html::{Html, Text};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 132.0;
/// The share of a step's width that its bar takes.
const FILL: f64 = 0.82;

/// A histogram.
#[derive(Clone, Debug)]
pub(crate) struct Histogram<'a> {
    /// Unique within the page.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    /// What it shows, for those who do not see it; the peak is added.
    pub(crate) about: &'a str,
    /// Class and name of each kind, from the bottom up.
    pub(crate) series: &'a [(&'a str, &'a str)],
    pub(crate) buckets: Vec<Bucket>,
    /// Words at the left, middle and right end of the axis.
    pub(crate) axis: [String; 3],
    /// The first and last moment, in milliseconds, where a range can be drawn over it.
    pub(crate) brush: Option<(i64, i64)>,
}

/// A step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// How many of each kind.
    pub(crate) counts: Vec<u64>,
    /// Where it leads.
    pub(crate) href: Option<String>,
}

impl Bucket {
    fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Histogram<'_> {
    pub(crate) fn html(&self) -> Html {
        let mut out = Html::new();
        let top = self.buckets.iter().max_by_key(|bucket| bucket.sum());
        let most = round_up(top.map_or(0, Bucket::sum));
        let id = Text(self.id);
        out.push(format_args!(
            "<figure class=\"chart\"><div class=\"peak\" aria-hidden=\"true\">{}</div>",
            number(most)
        ));
        self.open(&mut out, top);
        out.push(format_args!(
            "<line class=\"grid-line\" x1=\"0\" x2=\"{WIDTH}\" y1=\"0.5\" y2=\"0.5\"/><line class=\"base\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>"
        ));
        for (at, bucket) in (0..).zip(&self.buckets) {
            self.bucket(&mut out, at, bucket, most);
        }
        out.push(format_args!("</svg><div class=\"axis\" aria-hidden=\"true\">"));
        for words in &self.axis {
            out.push(format_args!("<span>{}</span>", Text(words)));
        }
        out.push(format_args!("</div><figcaption id=\"{id}-c\">"));
        legend(&mut out, self.series);
        let mut head = vec!["Step"];
        head.extend(self.series.iter().map(|(_, name)| *name));
        let rows = self.buckets.iter().filter(|bucket| bucket.sum() > 0);
        table(&mut out, &head, rows.map(|bucket| (bucket.name.clone(), bucket.counts.clone())));
        out.push(format_args!("</figcaption></figure>"));
        out
    }

    fn open(&self, out: &mut Html, top: Option<&Bucket>) {
        let id = Text(self.id);
        // Links may not stand within an image.
        let linked = self.buckets.iter().any(|bucket| bucket.href.is_some());
        let role = if linked { "group" } else { "img" };
        let brush = match self.brush {
            Some((from, to)) => format!(" data-from=\"{from}\" data-to=\"{to}\""),
            None => String::new(),
        };
        let class = if self.brush.is_some() { "plot brushable" } else { "plot" };
        out.push(format_args!(
            "<svg class=\"{class}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"{role}\" aria-labelledby=\"{id}-t {id}-d\"{brush}><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}",
            Text(self.title),
            Text(self.about)
        ));
        if let Some(top) = top.filter(|top| top.sum() > 0) {
            out.push(format_args!(" The most: {} at {}.", number(top.sum()), Text(&top.name)));
        }
        out.push(format_args!("</desc>"));
    }

    fn bucket(&self, out: &mut Html, at: u64, bucket: &Bucket, most: u64) {
        let count = u64::try_from(self.buckets.len()).unwrap_or(u64::MAX);
        let (left, step) = (scaled(at, count, WIDTH), scaled(1, count, WIDTH));
        let words = format!("{}: {}", bucket.name, number(bucket.sum()));
        // Kept out of the order of tabs: sixty stops to a table's first row help nobody, and
        // the fields of the filter take any range.
        match &bucket.href {
            Some(href) => out.push(format_args!(
                "<a href=\"{}\" tabindex=\"-1\" aria-label=\"{}\"><rect class=\"hit\" x=\"{left:.2}\" width=\"{step:.2}\" height=\"{HEIGHT}\"/>",
                Text(href),
                Text(&words)
            )),
            None => out.push(format_args!("<g>")),
        }
        out.push(format_args!("<title>{}", Text(&words)));
        for ((_, name), n) in self.series.iter().zip(&bucket.counts).filter(|(_, n)| **n > 0) {
            out.push(format_args!(", {} {}", number(*n), Text(name)));
        }
        out.push(format_args!("</title>"));
        let mut below = 0;
        for ((class, _), n) in self.series.iter().zip(&bucket.counts).filter(|(_, n)| **n > 0) {
            let bottom = HEIGHT - scaled(below, most, HEIGHT);
            below += n;
            let top = HEIGHT - scaled(below, most, HEIGHT);
            // Something is never drawn as nothing.
            let height = (bottom - top).max(1.5);
            out.push(format_args!(
                "<rect class=\"{class}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{height:.2}\"/>",
                left + step * (1.0 - FILL) / 2.0,
                bottom - height,
                step * FILL
            ));
        }
        out.push(format_args!("{}", if bucket.href.is_some() { "</a>" } else { "</g>" }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(href: Option<&str>) -> Histogram<'static> {
        let bucket = |name: &str, counts: &[u64]| Bucket {
            name: name.to_owned(),
            counts: counts.to_vec(),
            href: href.map(str::to_owned),
        };
        Histogram {
            id: "h",
            title: "Requests",
            about: "Requests by verdict.",
            series: &[("f-allow", "allowed"), ("f-block", "blocked")],
            buckets: vec![
                bucket("10:00", &[6, 2]),
                bucket("11:00", &[0, 0]),
                bucket("12:00", &[0, 1]),
            ],
            axis: ["10:00".to_owned(), String::new(), "12:00".to_owned()],
            brush: href.map(|_| (0, 1000)),
        }
    }

    #[test]
    fn kinds_are_stacked_and_what_is_small_is_seen() {
        let html = sample(None).html();
        let text = html.as_str();
        // The axis ends at 10: six tenths, then two tenths above them.
        assert!(text.contains("y=\"52.80\" width=\"262.40\" height=\"79.20\""), "{text}");
        assert!(text.contains("y=\"26.40\" width=\"262.40\" height=\"26.40\""), "{text}");
        assert!(text.contains("role=\"img\"") && !text.contains("data-from"), "{text}");
        assert!(text.contains("The most: 8 at 10:00."), "{text}");
        // Steps without anything are left out of the table.
        assert!(!text.contains("<th scope=\"row\">11:00"), "{text}");
    }

    #[test]
    fn links_are_escaped_and_no_image_holds_them() {
        let html = sample(Some("?since=\"><script>")).html();
        let text = html.as_str();
        assert!(text.contains("href=\"?since=&quot;&gt;&lt;script&gt;\""), "{text}");
        assert!(text.contains("role=\"group\"") && text.contains("data-to=\"1000\""), "{text}");
    }

    #[test]
    fn nothing_at_all_is_drawn_as_an_axis() {
        let html = Histogram { buckets: Vec::new(), ..sample(None) }.html();
        assert!(html.as_str().contains("class=\"base\""));
    }
}
