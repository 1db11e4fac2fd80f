//! The story: who the application serves, what it knows, what is said to it, and how
//! harm is recognised. Its format is docs/reference/demo-story.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The story in the tree.
const BUILT_IN: &str = include_str!("story.toml");

// LIMIT: a story is read by people; a megabyte is a thick book.
const BYTES_MAX: u64 = 1024 * 1024;
// LIMIT: steps of a story, and repetitions of a step: both are played twice.
const STEPS_MAX: usize = 500;
const TIMES_MAX: u32 = 10_000;

/// A story as it stands in its file, its marks filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    pub(super) title: String,
    /// Texts to be used as `{{name}}`, each given in pieces.
    #[serde(default)]
    marks: BTreeMap<String, Vec<String>>,
    pub(super) assistant: Assistant,
    #[serde(default)]
    pub(super) model: Model,
    #[serde(default)]
    pub(super) protection: Protection,
    #[serde(default, rename = "customer")]
    pub(super) customers: Vec<Map<String, Value>>,
    #[serde(default, rename = "document")]
    pub(super) documents: Vec<Document>,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// The application.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Assistant {
    /// Its system prompt.
    pub(super) system: String,
    /// The mail domains of the house; every other address is an outsider's.
    pub(super) domains: Vec<String>,
    /// The fields of a customer that must not reach an outsider.
    #[serde(default)]
    pub(super) sensitive: Vec<String>,
}

/// The built-in model.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Model {
    /// What it has learnt by heart.
    pub(super) memory: Vec<String>,
    /// How many characters a chunk of a stream carries.
    pub(super) chunk_chars: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self { memory: Vec::new(), chunk_chars: 3 }
    }
}

/// What an operator would tell the gateway of this application.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Protection {
    pub(super) canaries: Vec<String>,
    pub(super) link_hosts: Vec<String>,
    /// Requests of one end user in a window.
    pub(super) requests_max: u64,
    pub(super) window_s: u64,
}

impl Default for Protection {
    fn default() -> Self {
        Self { canaries: Vec::new(), link_hosts: Vec::new(), requests_max: 20, window_s: 60 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) text: String,
}

/// One scene: what is said, and either what must come of it or what must not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) name: String,
    /// The end user; one of its own for every step unless named.
    user: Option<String>,
    /// What the person says, one turn after the other.
    say: Say,
    #[serde(default)]
    pub(super) stream: bool,
    /// How many conversations are begun with it, several at a time.
    #[serde(default = "once")]
    pub(super) times: u32,
    /// Of an honest step.
    pub(super) expect: Option<Expect>,
    /// Of an attack.
    pub(super) harm: Option<Harm>,
}

fn once() -> u32 {
    1
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Say {
    One(String),
    Many(Vec<String>),
}

/// How an honest step is recognised as answered: all of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expect {
    /// Texts that the person sees.
    pub(super) shown: Vec<String>,
    /// Mails that are sent.
    pub(super) mailed: Vec<Mailed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mailed {
    pub(super) to: String,
    pub(super) text: String,
}

/// How harm is recognised: any of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Harm {
    /// Texts that the person must not see, nor a piece of them, plain or thinly disguised.
    pub(super) shown: Vec<String>,
    /// Texts that no mail to an outsider may hold; `customers` is every sensitive field.
    pub(super) mailed: Vec<String>,
    /// Hosts to which no link or picture may point in what the person sees.
    pub(super) linked: Vec<String>,
    /// More requests than this reach the model during the step.
    pub(super) requests_over: Option<u64>,
}

impl Step {
    pub(super) fn turns(&self) -> &[String] {
        match &self.say {
            Say::One(text) => std::slice::from_ref(text),
            Say::Many(texts) => texts,
        }
    }

    /// The end user of the step at this place.
    pub(super) fn user(&self, at: usize) -> String {
        self.user.clone().unwrap_or_else(|| format!("visitor-{}", at + 1))
    }
}

/// Reads the story in a file, or the built-in one.
///
/// # Errors
/// Says which file, where in it, and what was expected.
pub(super) fn load(path: Option<&Path>) -> anyhow::Result<Story> {
    match path {
        None => parse(BUILT_IN).context("the built-in story is wrong"),
        Some(path) => {
            let shown = path.display();
            let size = std::fs::metadata(path)
                .with_context(|| format!("cannot read the story `{shown}`"))?
                .len();
            anyhow::ensure!(
                size <= BYTES_MAX,
                "the story `{shown}` has {size} bytes, and at most {BYTES_MAX} are read"
            );
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the story `{shown}`"))?;
            parse(&text).with_context(|| format!("the story `{shown}` is wrong"))
        }
    }
}

fn parse(text: &str) -> anyhow::Result<Story> {
    let mut story: Story = toml::from_str(text)?;
    story.fill()?;
    story.check()?;
    Ok(story)
}

impl Story {
    /// Puts the marks where they are named.
    fn fill(&mut self) -> anyhow::Result<()> {
        let marks: BTreeMap<String, String> = self
            .marks
            .iter()
            .map(|(name, pieces)| (format!("{{{{{name}}}}}"), pieces.concat()))
            .collect();
        self.each_text(&mut |text| {
            for (name, mark) in &marks {
                *text = text.replace(name, mark);
            }
            match (text.find("{{"), text.find("}}")) {
                (Some(from), Some(to)) if from < to => {
                    anyhow::bail!(
                        "`{}` is not a mark: name it under [marks]",
                        text.get(from..to + 2).unwrap_or_default()
                    )
                }
                _ => Ok(()),
            }
        })
    }

    fn each_text(
        &mut self,
        visit: &mut dyn FnMut(&mut String) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        visit(&mut self.assistant.system)?;
        self.model.memory.iter_mut().try_for_each(&mut *visit)?;
        self.protection.canaries.iter_mut().try_for_each(&mut *visit)?;
        self.documents.iter_mut().try_for_each(|document| visit(&mut document.text))?;
        for value in self.customers.iter_mut().flat_map(Map::values_mut) {
            if let Value::String(text) = value {
                visit(text)?;
            }
        }
        self.steps.iter_mut().try_for_each(|step| step.each_text(visit))
    }

    fn check(&self) -> anyhow::Result<()> {
        let steps = self.steps.len();
        anyhow::ensure!(
            (1..=STEPS_MAX).contains(&steps),
            "a story has 1 to {STEPS_MAX} steps, and this one has {steps}"
        );
        anyhow::ensure!(self.model.chunk_chars > 0, "`model.chunk_chars` must be at least 1");
        anyhow::ensure!(
            self.protection.requests_max > 0 && self.protection.window_s > 0,
            "`protection.requests_max` and `protection.window_s` must be at least 1"
        );
        let mut ids = BTreeSet::new();
        for document in &self.documents {
            anyhow::ensure!(
                ids.insert(&document.id),
                "two documents have the id `{}`",
                document.id
            );
        }
        self.steps
            .iter()
            .try_for_each(|step| step.check().with_context(|| format!("step `{}`", step.name)))
    }
}

impl Step {
    fn each_text(
        &mut self,
        visit: &mut dyn FnMut(&mut String) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match &mut self.say {
            Say::One(text) => visit(text)?,
            Say::Many(texts) => texts.iter_mut().try_for_each(&mut *visit)?,
        }
        if let Some(expect) = &mut self.expect {
            expect.shown.iter_mut().try_for_each(&mut *visit)?;
            expect.mailed.iter_mut().try_for_each(|mail| visit(&mut mail.text))?;
        }
        if let Some(harm) = &mut self.harm {
            harm.shown.iter_mut().chain(&mut harm.mailed).try_for_each(&mut *visit)?;
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.turns().iter().any(|turn| !turn.trim().is_empty()),
            "`say` says nothing"
        );
        anyhow::ensure!((1..=TIMES_MAX).contains(&self.times), "`times` must be 1 to {TIMES_MAX}");
        match (&self.expect, &self.harm) {
            (Some(expect), None) => anyhow::ensure!(
                !expect.shown.is_empty() || !expect.mailed.is_empty(),
                "`expect` needs `shown` or `mailed`: otherwise silence would pass"
            ),
            (None, Some(harm)) => harm.check()?,
            _ => anyhow::bail!("needs either `expect` (an honest step) or `harm` (an attack)"),
        }
        Ok(())
    }
}

impl Harm {
    fn check(&self) -> anyhow::Result<()> {
        let any = !self.shown.is_empty() || !self.mailed.is_empty() || !self.linked.is_empty();
        anyhow::ensure!(
            any || self.requests_over.is_some(),
            "`harm` needs `shown`, `mailed`, `linked` or `requests_over`"
        );
        let short =
            self.shown.iter().find(|text| text.chars().filter(|c| c.is_alphanumeric()).count() < 4);
        match short {
            Some(text) => anyhow::bail!(
                "`{text}` is too short to be recognised: `harm.shown` needs 4 letters or digits"
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "title = \"t\"\n[assistant]\nsystem = \"s\"\ndomains = [\"h.example\"]\n";

    #[track_caller]
    fn refused(rest: &str, expected: &str) {
        let error = parse(&format!("{LEAST}{rest}")).expect_err("refused");
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_built_in_story_has_every_kind_of_scene() {
        let story = load(None).expect("sound");
        let harms = || story.steps.iter().filter_map(|step| step.harm.as_ref());
        assert!(story.steps.iter().filter(|step| step.expect.is_some()).count() >= 3);
        assert!(harms().any(|harm| harm.requests_over.is_some()));
        assert!(harms().any(|harm| harm.mailed.contains(&"customers".to_owned())));
        assert!(harms().any(|harm| !harm.linked.is_empty()));
        assert!(harms().count() >= 7);
    }

    #[test]
    fn marks_are_put_together_where_they_are_named() {
        let story = parse(&format!(
            "{LEAST}[marks]\nkey = [\"ab\", \"cd\"]\n[[step]]\nname = \"n\"\nsay = \"x {{{{key}}}}\"\nharm = {{shown = [\"{{{{key}}}}\"]}}"
        ));
        let story = story.expect("sound");
        assert_eq!(story.steps[0].turns(), ["x abcd"]);
        assert_eq!(story.steps[0].harm.as_ref().expect("an attack").shown, ["abcd"]);
    }

    #[test]
    fn what_cannot_be_judged_is_refused_with_its_place() {
        let step = |rest: &str| format!("[[step]]\nname = \"n\"\nsay = \"x\"\n{rest}");
        refused("", "missing field `step`");
        refused("step = []", "unknown field `step`");
        refused(&step(""), "step `n`: needs either `expect`");
        refused(&step("expect = {}"), "silence would pass");
        refused(&step("harm = {}"), "`harm` needs");
        refused(&step("harm = {shown = [\"ab\"]}"), "`ab` is too short");
        refused(&step("harm = {shown = [\"abcd\"]}\ntimes = 0"), "`times` must be");
        refused(&step("harm = {shown = [\"abcd\"]}\nwhat = 0"), "unknown field `what`");
        refused(&step("harm = {shown = [\"{{gone}}\"]}"), "`{{gone}}` is not a mark");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Some(Path::new("/nowhere/story.toml"))).expect_err("missing");
        assert!(format!("{error:#}").contains("cannot read the story `/nowhere/story.toml`"));
    }
}
