//! A layered graph: what leads to what, from left to right, edges as wide as what flows.
//!
//! Nodes of a layer are put in the order of the mean place of what leads to them (the
//! barycentre heuristic of Sugiyama, Tagawa and Toda, 1981), which leaves few crossings.

use std::collections::HashMap;

use super::{number, scaled};
use crate::html::{Html, Text};

const BOX_WIDTH: f64 = 190.0;
const BOX_HEIGHT: f64 = 40.0;
const ROW: f64 = 54.0;
const WIDTH: f64 = 960.0;
/// The widest edge.
const STROKE_MAX: f64 = 10.0;

/// A graph.
#[derive(Clone, Debug)]
pub(crate) struct Layers<'a> {
    /// Unique within the page.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    pub(crate) about: &'a str,
    /// The name of each layer, and its nodes.
    pub(crate) layers: Vec<(&'a str, Vec<Node>)>,
    pub(crate) edges: Vec<Edge>,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Unique within the graph.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) href: Option<String>,
}

/// An edge between nodes of neighbouring layers.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) count: u64,
}

impl Layers<'_> {
    pub(crate) fn html(&self) -> Html {
        let mut out = Html::new();
        let layers = self.ordered();
        let rows = layers.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let height = coordinate(rows) * ROW + 8.0;
        let places = places(&layers, height);
        let id = Text(self.id);
        out.push(format_args!(
            "<figure class=\"chart\"><div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{}\"><svg class=\"graph\" viewBox=\"0 0 {WIDTH} {height}\" role=\"group\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            Text(self.title),
            Text(self.title),
            Text(self.about)
        ));
        let most = self.edges.iter().map(|edge| edge.count).max().unwrap_or(0);
        for edge in &self.edges {
            let (Some(from), Some(to)) =
                (places.get(edge.from.as_str()), places.get(edge.to.as_str()))
            else {
                continue;
            };
            let (x1, y1) = (from.0 + BOX_WIDTH, from.1 + BOX_HEIGHT / 2.0);
            let (x2, y2) = (to.0, to.1 + BOX_HEIGHT / 2.0);
            let bend = (x2 - x1) / 2.0;
            let width = scaled(edge.count, most, STROKE_MAX).max(1.0);
            out.push(format_args!(
                "<path class=\"edge\" stroke-width=\"{width:.1}\" d=\"M{x1:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}\"/>",
                x1 + bend,
                x2 - bend
            ));
        }
        for node in layers.iter().flatten() {
            if let Some(place) = places.get(node.key.as_str()) {
                draw(&mut out, node, *place);
            }
        }
        out.push(format_args!("</svg></div><figcaption>"));
        self.table(&mut out);
        out.push(format_args!("</figcaption></figure>"));
        out
    }

    /// The nodes of each layer, those beside one another that belong to the same.
    fn ordered(&self) -> Vec<Vec<&Node>> {
        let mut before: HashMap<&str, f64> = HashMap::new();
        let mut out = Vec::new();
        for (_, nodes) in &self.layers {
            let mean = |node: &Node| {
                let from = self.edges.iter().filter(|edge| edge.to == node.key);
                let places: Vec<f64> =
                    from.filter_map(|edge| before.get(edge.from.as_str()).copied()).collect();
                if places.is_empty() {
                    f64::MAX
                } else {
                    places.iter().sum::<f64>() / coordinate(places.len())
                }
            };
            let mut ranked: Vec<(f64, &Node)> =
                nodes.iter().map(|node| (mean(node), node)).collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            let nodes: Vec<&Node> = ranked.into_iter().map(|(_, node)| node).collect();
            before = nodes
                .iter()
                .enumerate()
                .map(|(at, node)| (node.key.as_str(), coordinate(at)))
                .collect();
            out.push(nodes);
        }
        out
    }

    fn table(&self, out: &mut Html) {
        out.push(format_args!(
            "<details class=\"fold\"><summary>As a table</summary><div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"As a table\"><table><thead><tr><th scope=\"col\">From</th><th scope=\"col\">To</th><th scope=\"col\" class=\"num\">How many</th></tr></thead><tbody>"
        ));
        let nodes = || self.layers.iter().flat_map(|(_, nodes)| nodes);
        let name =
            |key: &str| nodes().find(|node| node.key == key).map_or("", |node| node.name.as_str());
        for edge in &self.edges {
            out.push(format_args!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"num\">{}</td></tr>",
                Text(name(&edge.from)),
                Text(name(&edge.to)),
                number(edge.count)
            ));
        }
        out.push(format_args!("</tbody></table></div></details>"));
    }
}

fn coordinate(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// The upper left corner of each node; a layer stands in the middle of the height.
fn places<'a>(layers: &[Vec<&'a Node>], height: f64) -> HashMap<&'a str, (f64, f64)> {
    let gap = match layers.len() {
        0 | 1 => 0.0,
        n => (WIDTH - BOX_WIDTH) / coordinate(n - 1),
    };
    let mut out = HashMap::new();
    for (column, nodes) in layers.iter().enumerate() {
        let top = (height - coordinate(nodes.len()) * ROW) / 2.0 + (ROW - BOX_HEIGHT) / 2.0;
        for (row, node) in nodes.iter().enumerate() {
            out.insert(node.key.as_str(), (coordinate(column) * gap, top + coordinate(row) * ROW));
        }
    }
    out
}

fn draw(out: &mut Html, node: &Node, (x, y): (f64, f64)) {
    match &node.href {
        Some(href) => out.push(format_args!(
            "<a href=\"{}\" aria-label=\"{}\">",
            Text(href),
            Text(&node.name)
        )),
        None => out.push(format_args!("<g>")),
    }
    out.push(format_args!(
        "<title>{}</title><rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"sub\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        Text(&node.name),
        x + 10.0,
        y + 17.0,
        Text(&short(&node.name)),
        x + 10.0,
        y + 31.0,
        Text(&short(&node.about))
    ));
    out.push(format_args!("{}", if node.href.is_some() { "</a>" } else { "</g>" }));
}

/// What fits into a box; the whole name is its title.
fn short(text: &str) -> String {
    const LETTERS_MAX: usize = 26;
    match text.char_indices().nth(LETTERS_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(LETTERS_MAX - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(key: &str) -> Node {
        Node { key: key.to_owned(), name: format!("<{key}>"), ..Node::default() }
    }

    fn edge(from: &str, to: &str, count: u64) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned(), count }
    }

    #[test]
    fn nodes_stand_opposite_of_what_leads_to_them() {
        let layers = Layers {
            id: "g",
            title: "Who calls what",
            about: "",
            layers: vec![
                ("keys", vec![node("a"), node("b")]),
                ("routes", vec![node("y"), node("x")]),
            ],
            edges: vec![edge("a", "x", 10), edge("b", "y", 1)],
        };
        let order: Vec<Vec<&str>> = layers
            .ordered()
            .iter()
            .map(|nodes| nodes.iter().map(|node| node.key.as_str()).collect())
            .collect();
        assert_eq!(order, [["a", "b"], ["x", "y"]]);
        let html = layers.html();
        assert!(
            html.as_str().contains("stroke-width=\"10.0\"")
                && html.as_str().contains("stroke-width=\"1.0\"")
        );
        assert!(!html.as_str().contains("<a>") && html.as_str().contains("&lt;a&gt;"));
    }

    #[test]
    fn an_edge_to_nowhere_is_left_out() {
        let layers = Layers {
            id: "g",
            title: "",
            about: "",
            layers: Vec::new(),
            edges: vec![edge("a", "b", 1)],
        };
        assert!(!layers.html().as_str().contains("<path"));
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        assert_eq!(short(&"é".repeat(40)).chars().count(), 26);
        assert_eq!(short("short"), "short");
    }
}
