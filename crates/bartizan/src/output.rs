//! What verbs print: tables for people, JSON for machines. One result is one
//! object; many results are JSON Lines.

use std::io::{self, Write};

use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences, for people.
    #[default]
    Human,
    /// JSON: one object for one result, one line each for many.
    Json,
}

/// What a verb came to, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 0: clean, or answered.
    Clean,
    /// 1: something was found, or could not be judged.
    Findings,
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output<W: Write> {
    format: Format,
    to: W,
}

impl Output<io::BufWriter<io::StdoutLock<'static>>> {
    pub(crate) fn stdout(format: Format) -> Self {
        Self { format, to: io::BufWriter::new(io::stdout().lock()) }
    }
}

impl<W: Write> Output<W> {
    #[cfg(test)]
    pub(crate) fn new(format: Format, to: W) -> Self {
        Self { format, to }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One result: an object, or what `human` makes of it.
    pub(crate) fn one<T: Serialize>(
        &mut self,
        result: &T,
        human: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Json => self.line(result)?,
            Format::Human => {
                let text = human(result);
                writeln!(self.to, "{}", text.trim_end())?;
            }
        }
        Ok(self.to.flush()?)
    }

    /// Many results: a line each, or a table of the columns that `row` makes.
    pub(crate) fn many<T: Serialize>(
        &mut self,
        results: &[T],
        heads: &[&str],
        row: impl Fn(&T) -> Vec<String>,
        none: &str,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Json => results.iter().try_for_each(|result| self.line(result))?,
            Format::Human if results.is_empty() => writeln!(self.to, "{none}")?,
            Format::Human => {
                let rows: Vec<_> = results.iter().map(row).collect();
                self.to.write_all(table(heads, &rows).as_bytes())?;
            }
        }
        Ok(self.to.flush()?)
    }

    /// One result of many, as soon as it is known.
    pub(crate) fn line<T: Serialize>(&mut self, result: &T) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.to, result).map_err(io::Error::from)?;
        Ok(self.to.write_all(b"\n")?)
    }

    /// Text as it is.
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        self.to.write_all(text.as_bytes())?;
        Ok(self.to.flush()?)
    }

    /// The place itself, for what is written as it comes.
    pub(crate) fn writer(&mut self) -> &mut W {
        &mut self.to
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.to.flush()?)
    }
}

/// Whether an error is only that nobody reads any more, as after `| head`.
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Columns that line up, two spaces apart.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = heads.iter().map(|head| width(head)).collect();
    for row in rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(width(cell));
        }
    }
    let mut out = String::new();
    let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, most) in row.iter().zip(&widths) {
            line.push_str(&printable(cell));
            line.push_str(&" ".repeat(most.saturating_sub(width(cell)) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What others wrote must not steer the terminal, nor turn a line around: control
/// and direction characters become `?`.
pub(crate) fn printable(text: &str) -> String {
    let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let steers = |c: char| c.is_control() || turns.iter().any(|range| range.contains(&c));
    text.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: Format, rows: &[(&str, u32)]) -> String {
        let mut output = Output::new(format, Vec::new());
        output
            .many(rows, &["name", "n"], |(name, n)| vec![(*name).to_owned(), n.to_string()], "none")
            .expect("writes to memory");
        String::from_utf8(output.to).expect("text")
    }

    #[test]
    fn many_results_are_a_table_or_json_lines() {
        let rows = [("a", 1), ("longer", 20)];
        assert_eq!(printed(Format::Human, &rows), "NAME    N\na       1\nlonger  20\n");
        assert_eq!(printed(Format::Json, &rows), "[\"a\",1]\n[\"longer\",20]\n");
        assert_eq!(printed(Format::Human, &[]), "none\n");
        assert_eq!(printed(Format::Json, &[]), "");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printed(Format::Human, &[("\x1b[2Ja", 1)]), "NAME   N\n?[2Ja  1\n");
        assert_eq!(printable("a\u{9b}2J\u{202e}b"), "a?2J?b");
    }
}
