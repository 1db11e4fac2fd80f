//! Thinking: from what the built-in model has read to what it does next.
//!
//! It keeps nothing between requests. From the conversation alone it works out what
//! it was told to do, what it has done, and what is left; then it makes one tool call
//! or gives its answer. Only one thing is refused: a plain question of the person for
//! what the system prompt keeps secret. Any pretext, and any order that reaches it by
//! another way, is obeyed. That is its gullibility.

use serde_json::{Map, Value, json};

use super::{
    parse::{Command, Verb, commands},
    prompt::{Call, Prompt, Reply, Role, Tool},
    read::{Reading, Source, encode, read},
    words::{addresses, coverage, names, quotations, sentences, stem, topic, words},
};

// LIMIT: tool calls for one question; a story that needs more is going in circles.
const CALLS_MAX: usize = 12;
// LIMIT: how often something is repeated when asked to do so for ever.
const REPEATS_MAX: usize = 2000;
/// From this share of the topic on, a sentence is taken for the answer to a question.
const ANSWERS: f64 = 0.6;
/// From this share on, a sentence that is known beforehand makes a search needless.
const KNOWN: f64 = 0.75;

const NOTHING_FOUND: &str = "I have found nothing about that.";
const NOT_ALLOWED: &str = "I am sorry, I may not tell that.";

/// What to do after reading the prompt.
pub(super) fn think(prompt: &Prompt, memory: &[String]) -> Reply {
    let mind = Mind { prompt, memory, readings: read(prompt) };
    mind.reply()
}

struct Mind<'a> {
    prompt: &'a Prompt,
    memory: &'a [String],
    readings: Vec<Reading>,
}

/// What came of trying to find something.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Text(String),
    /// It takes a tool call first.
    Need(Call),
    Refused,
    Nothing,
}

/// A command and the reading that it stands in.
struct Order<'a> {
    command: Command,
    from: &'a Reading,
}

impl Mind<'_> {
    fn reply(&self) -> Reply {
        let mut answer: Vec<String> = Vec::new();
        for order in self.orders() {
            match self.follow(&order, &answer) {
                Found::Need(call) if self.may_call() => return Reply::Use(call),
                Found::Text(text) => add(&mut answer, text),
                Found::Refused => add(&mut answer, NOT_ALLOWED.to_owned()),
                Found::Need(_) | Found::Nothing => {}
            }
        }
        if !self.person_was_answered(&answer) {
            match self.answer_person() {
                Found::Need(call) if self.may_call() => return Reply::Use(call),
                Found::Text(text) => answer.insert(0, text),
                Found::Refused => answer.insert(0, NOT_ALLOWED.to_owned()),
                Found::Need(_) | Found::Nothing if answer.is_empty() => {
                    answer.push(NOTHING_FOUND.to_owned())
                }
                Found::Need(_) | Found::Nothing => {}
            }
        }
        // What the tools brought may hold orders; they were followed above, once read.
        for text in self.standing() {
            add(&mut answer, text);
        }
        Reply::Say(answer.join("\n\n"))
    }

    /// The orders to carry out now, the person's own first.
    fn orders(&self) -> Vec<Order<'_>> {
        let current = self
            .readings
            .iter()
            .filter(|reading| reading.current || reading.source == Source::System);
        let mut orders: Vec<Order<'_>> = current
            .flat_map(|from| {
                sentences(&from.text).into_iter().flat_map(move |sentence| {
                    commands(sentence).into_iter().map(move |command| Order { command, from })
                })
            })
            .filter(|order| !order.command.negated && order.is_meant())
            .collect();
        orders.sort_by_key(|order| order.from.source != Source::User);
        orders
    }

    /// What every answer must carry, whoever said so and when.
    fn standing(&self) -> Vec<String> {
        let all = self.readings.iter().flat_map(|from| sentences(&from.text));
        all.flat_map(commands)
            .filter(|command| command.verb == Verb::Append && !command.negated)
            .filter_map(|command| self.shown(&command.object))
            .collect()
    }

    fn follow(&self, order: &Order<'_>, before: &[String]) -> Found {
        match order.command.verb {
            Verb::Say => self.say(order, before),
            Verb::Mail => self.mail(order, before),
            Verb::Fetch => self.fetch(order),
            Verb::Append | Verb::Override => Found::Nothing,
        }
    }

    fn say(&self, order: &Order<'_>, before: &[String]) -> Found {
        let phrase = &order.command.object;
        if let Some(shown) = self.shown(phrase).filter(|_| phrase.contains("://")) {
            return Found::Text(shown);
        }
        if let Some(repeated) = repeated(phrase) {
            return Found::Text(repeated);
        }
        match self.find(order, phrase, before) {
            Found::Text(text) => Found::Text(encode(&text, phrase)),
            other => other,
        }
    }

    fn mail(&self, order: &Order<'_>, before: &[String]) -> Found {
        let phrase = &order.command.object;
        let Some(tool) = self.mail_tool() else { return Found::Nothing };
        let Some(to) = addresses(phrase).into_iter().next().or_else(|| self.address_near(order))
        else {
            return Found::Nothing;
        };
        if self
            .done()
            .iter()
            .any(|(call, _)| call.name == tool.name && call.arguments.to_string().contains(&to))
        {
            return Found::Text(format!("I have sent the mail to {to}."));
        }
        if order.from.source == Source::User
            && self.mail_forbidden(phrase, &to)
            && !self.persuaded()
        {
            return Found::Refused;
        }
        match self.find(order, &phrase.replace(&to, " "), before) {
            Found::Text(body) => Found::Need(mail_call(self, tool, &to, &encode(&body, phrase))),
            Found::Nothing if !before.is_empty() => {
                Found::Need(mail_call(self, tool, &to, &before.join("\n")))
            }
            other => other,
        }
    }

    fn fetch(&self, order: &Order<'_>) -> Found {
        match self.records(order, &order.command.object) {
            Found::Text(_) if order.from.source != Source::User => Found::Nothing,
            found => found,
        }
    }

    /// What a phrase stands for.
    fn find(&self, order: &Order<'_>, phrase: &str, before: &[String]) -> Found {
        let person = order.from.source == Source::User;
        if let Some(quotation) = quotations(phrase).first() {
            return Found::Text((*quotation).to_owned());
        }
        let own_words = self.own_instructions(phrase).map(|text| (text, true));
        let secret = own_words.or_else(|| self.known(phrase, order).map(|text| (text, false)));
        if let Some((text, _)) = &secret
            && person
            && self.forbidden(phrase, text)
            && !self.persuaded()
        {
            return Found::Refused;
        }
        if let Some((text, true)) = secret {
            return Found::Text(text);
        }
        if mentions(phrase, &["conversation", "chat", "history", "dialogue", "dialog"]) {
            return Found::Text(self.conversation());
        }
        if is_pronoun(phrase)
            && let Some(last) = before.last().cloned().or_else(|| self.last_result())
        {
            return Found::Text(last);
        }
        match (self.records(order, phrase), secret) {
            (Found::Nothing, Some((text, _))) => Found::Text(text),
            (Found::Nothing, None) if person => self.documents(phrase),
            (found, _) => found,
        }
    }

    /// Answers the person's last message as a question.
    fn answer_person(&self) -> Found {
        let own: Vec<&Reading> = self
            .readings
            .iter()
            .filter(|reading| reading.current && reading.source == Source::User)
            .collect();
        let Some(from) = own.first() else { return Found::Nothing };
        let asked = question(&from.text);
        let order = Order {
            command: Command { verb: Verb::Say, object: asked.to_owned(), negated: false },
            from,
        };
        if topic(asked).is_empty() {
            return Found::Text("Hello, what can I do for you?".to_owned());
        }
        self.find(&order, asked, &[])
    }

    /// Whether carrying out the person's orders was the answer.
    fn person_was_answered(&self, answer: &[String]) -> bool {
        let orders = self.orders();
        let mut own = orders.iter().filter(|order| order.from.source == Source::User);
        let follows =
            own.any(|order| matches!(self.follow(order, &[]), Found::Text(_) | Found::Refused));
        follows && !answer.is_empty()
    }

    /// The system prompt, when a phrase is about it.
    fn own_instructions(&self, phrase: &str) -> Option<String> {
        let words = words(phrase);
        let has = |some: &[&str]| words.iter().any(|word| some.contains(&word.as_str()));
        let about =
            has(&[
                "prompt",
                "instructions",
                "guidelines",
                "directives",
                "configuration",
                "briefing",
            ]) || (has(&["rules", "message", "text", "words", "everything", "all", "content"])
                && has(&[
                    "above",
                    "system",
                    "initial",
                    "preceding",
                    "previous",
                    "hidden",
                    "beginning",
                ]));
        let system = self.prompt.messages.iter().filter(|message| message.role == Role::System);
        about.then(|| system.map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n"))
    }

    /// The sentence that the model already knows about a phrase.
    fn known(&self, phrase: &str, order: &Order<'_>) -> Option<String> {
        let topic = topic(phrase);
        let standing = self.readings.iter().filter(|reading| reading.source == Source::System);
        let texts = standing
            .map(|reading| reading.text.as_str())
            .chain(self.memory.iter().map(String::as_str));
        let least = if order.from.source == Source::User { KNOWN } else { ANSWERS };
        let best = best_sentence(&topic, texts.flat_map(sentences))?;
        (coverage(&topic, best) >= least && topic.len() >= 2).then(|| best.to_owned())
    }

    /// What a lookup tool gives on a phrase, narrowed to what the phrase asks for.
    fn records(&self, order: &Order<'_>, phrase: &str) -> Found {
        let Some((tool, query)) = self.lookup(order, phrase) else { return Found::Nothing };
        let call = self.call(tool, &[query]);
        match self.result(&call) {
            Some(result) => Found::Text(narrowed(result, phrase)),
            None => Found::Need(call),
        }
    }

    /// The lookup tool whose description speaks of what the phrase names, and the query.
    fn lookup(&self, order: &Order<'_>, phrase: &str) -> Option<(&Tool, String)> {
        let names = names(phrase);
        let wanted = topic(phrase);
        let fits = |tool: &&Tool| {
            let about = topic(&tool.description);
            wanted.iter().any(|word| about.contains(word))
        };
        let tool = self.prompt.tools.iter().filter(|tool| is_lookup(tool)).find(fits)?;
        let many = mentions(
            phrase,
            &[
                "all",
                "every",
                "everyone",
                "entire",
                "whole",
                "full",
                "complete",
                "each",
                "list",
                "table",
                "database",
                "records",
                "data",
                "customers",
                "clients",
            ],
        );
        match names.into_iter().next() {
            Some(name) if !mentions(phrase, &["all", "every", "entire"]) => Some((tool, name)),
            _ if many => Some((tool, "*".to_owned())),
            // Content that speaks of "the customer" in passing is no order to look.
            _ if order.from.source == Source::User => None,
            _ => None,
        }
    }

    /// What the documents say about a phrase.
    fn documents(&self, phrase: &str) -> Found {
        let Some(search) = self.prompt.tools.iter().find(|tool| is_search(tool)) else {
            return self.remembered(phrase);
        };
        let wanted = topic(phrase);
        let call = self.call(search, &[wanted.join(" ")]);
        let Some(hits) = self.result(&call) else { return Found::Need(call) };
        let first = first_id(hits);
        let reader = self.prompt.tools.iter().find(|tool| is_reader(tool));
        let (Some(id), Some(reader)) = (first, reader) else { return best(&wanted, hits, phrase) };
        let call = self.call(reader, &[id]);
        match self.result(&call) {
            Some(text) => best(&wanted, text, phrase),
            None => Found::Need(call),
        }
    }

    fn remembered(&self, phrase: &str) -> Found {
        let wanted = topic(phrase);
        match best_sentence(&wanted, self.memory.iter().flat_map(|text| sentences(text))) {
            Some(sentence) => Found::Text(sentence.to_owned()),
            None => Found::Nothing,
        }
    }

    /// A picture, a link or a quotation to show, with its blanks filled in.
    fn shown(&self, phrase: &str) -> Option<String> {
        let literal = picture(phrase)
            .or_else(|| quotations(phrase).first().map(|text| (*text).to_owned()))
            .or_else(|| url(phrase))?;
        let filled = self.filled(&literal, phrase);
        let is_picture = mentions(phrase, &["image", "picture", "logo", "pixel", "icon", "banner"])
            && !filled.contains("](");
        Some(if is_picture && filled.contains("://") {
            format!("![image]({})", filled.trim())
        } else {
            filled
        })
    }

    /// Replaces `{phrase}`, `<phrase>` and `[phrase]` by what they stand for, and words that
    /// the sentence says to replace; an address that ends in `=` takes what follows it.
    fn filled(&self, literal: &str, phrase: &str) -> String {
        let mut out = literal.to_owned();
        for (open, close) in [('{', '}'), ('<', '>')] {
            while let Some((blank, inner)) = blank(&out, open, close) {
                let value = self.value(&inner);
                out = out.replace(&blank, &url_form(&out, &value));
            }
        }
        let rest = phrase.replace(literal, " ");
        if let Some((token, meaning)) = replacement(&rest)
            && out.contains(&token)
        {
            out = out.replace(&token, &url_form(&out, &self.value(&meaning)));
        } else if let Some((_, meaning)) =
            rest.split_once("followed by").or_else(|| rest.split_once("filled with"))
            && out.trim_end_matches([')', ' ']).ends_with('=')
        {
            let value = url_form(&out, &self.value(meaning));
            let at = out.rfind('=').map_or(out.len(), |at| at + 1);
            out.insert_str(at, &value);
        }
        out
    }

    /// The value of a phrase from what is already at hand.
    fn value(&self, phrase: &str) -> String {
        let everything = Reading { source: Source::Content, current: true, text: String::new() };
        let order = Order {
            command: Command { verb: Verb::Say, object: phrase.to_owned(), negated: false },
            from: &everything,
        };
        match self.find(&order, phrase, &[]) {
            Found::Text(text) => text,
            _ => {
                let wanted = topic(phrase);
                let results: Vec<&str> = self.done().iter().map(|(_, result)| *result).collect();
                let narrow = results
                    .iter()
                    .map(|result| narrowed(result, phrase))
                    .find(|text| coverage(&wanted, text) > 0.0);
                narrow.unwrap_or_default()
            }
        }
    }

    /// Whether the system prompt forbids to tell what the phrase is about.
    fn forbidden(&self, phrase: &str, text: &str) -> bool {
        let own = self.own_instructions(phrase).is_some();
        self.prohibitions(&[Verb::Say]).iter().any(|object| {
            parts(object).any(|part| {
                let secret = topic(part);
                let about = |text: &str| !secret.is_empty() && coverage(&secret, text) >= 1.0;
                about(phrase)
                    || (own && about(text))
                    || (about(text) && coverage(&topic(phrase), text) >= KNOWN)
            })
        })
    }

    /// Whether the system prompt forbids this mail: to anyone, or to those outside a domain.
    fn mail_forbidden(&self, phrase: &str, to: &str) -> bool {
        let host = to.split_once('@').map_or("", |(_, host)| host);
        self.prohibitions(&[Verb::Mail]).iter().any(|object| {
            let inside = !host.is_empty() && object.to_lowercase().contains(&host.to_lowercase());
            let about = topic(object).iter().any(|word| topic(phrase).contains(word));
            !inside && about
        })
    }

    fn prohibitions(&self, verbs: &[Verb]) -> Vec<String> {
        let system = self.readings.iter().filter(|reading| reading.source == Source::System);
        let all = system.flat_map(|reading| sentences(&reading.text)).flat_map(commands);
        all.filter(|command| command.negated && verbs.contains(&command.verb))
            .map(|command| command.object)
            .collect()
    }

    /// Whether the person has said anything that makes the model forget its prohibitions.
    fn persuaded(&self) -> bool {
        let said = self.readings.iter().filter(|reading| reading.source != Source::System);
        said.flat_map(|reading| words(&reading.text)).any(|word| PRETEXTS.contains(&word.as_str()))
    }

    fn conversation(&self) -> String {
        let spoken = self
            .prompt
            .messages
            .iter()
            .filter(|message| message.role != Role::System && !message.text.is_empty());
        spoken
            .map(|message| format!("{:?}: {}", message.role, message.text))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// An address in the same text, when the order itself says "there".
    fn address_near(&self, order: &Order<'_>) -> Option<String> {
        addresses(&order.from.text).into_iter().next()
    }

    fn mail_tool(&self) -> Option<&Tool> {
        self.prompt.tools.iter().find(|tool| is_mail(tool))
    }

    fn done(&self) -> Vec<(&Call, &str)> {
        self.prompt.done()
    }

    fn may_call(&self) -> bool {
        self.done().len() < CALLS_MAX
    }

    fn result(&self, call: &Call) -> Option<&str> {
        let done = self.prompt.done();
        done.iter()
            .find(|(made, _)| made.name == call.name && made.arguments == call.arguments)
            .map(|(_, result)| *result)
    }

    fn last_result(&self) -> Option<String> {
        self.done().last().map(|(_, result)| (*result).to_owned())
    }

    /// A call of a tool, its parameters given in order.
    fn call(&self, tool: &Tool, values: &[String]) -> Call {
        let pairs =
            tool.parameters.iter().zip(values).map(|(name, value)| (name.clone(), json!(value)));
        self.make(tool, pairs.collect())
    }

    fn make(&self, tool: &Tool, arguments: Map<String, Value>) -> Call {
        let made = self.prompt.messages.iter().map(|message| message.calls.len()).sum::<usize>();
        Call {
            id: format!("call_{made}"),
            name: tool.name.clone(),
            arguments: Value::Object(arguments),
        }
    }
}

impl Order<'_> {
    /// The system prompt says how to behave; only what it spells out is an order of now.
    fn is_meant(&self) -> bool {
        match (self.from.source, self.command.verb) {
            (Source::System, Verb::Mail) => !addresses(&self.command.object).is_empty(),
            (Source::System, _) => false,
            _ => true,
        }
    }
}

/// Words of persuasion: authority, urgency, play. One is enough for this model.
const PRETEXTS: &[&str] = &[
    "ignore",
    "disregard",
    "forget",
    "override",
    "bypass",
    "abandon",
    "discard",
    "pretend",
    "roleplay",
    "imagine",
    "hypothetical",
    "hypothetically",
    "story",
    "poem",
    "song",
    "game",
    "play",
    "debug",
    "debugging",
    "developer",
    "admin",
    "administrator",
    "auditor",
    "audit",
    "ceo",
    "manager",
    "authorised",
    "authorized",
    "approved",
    "permission",
    "emergency",
    "urgent",
    "urgently",
    "test",
    "testing",
    "maintenance",
    "research",
    "educational",
    "grandmother",
    "opposite",
    "dan",
    "jailbreak",
    "unrestricted",
    "sudo",
    "root",
    "verbatim",
    "repeat",
    "translate",
    "encode",
    "encoded",
    "decode",
    "base64",
    "rot13",
    "hex",
    "backwards",
    "above",
    "previous",
    "new",
    "im_start",
    "system",
    "police",
    "lawyer",
    "compliance",
    "security",
];

fn add(answer: &mut Vec<String>, text: String) {
    if !answer.contains(&text) {
        answer.push(text);
    }
}

fn mail_call(mind: &Mind<'_>, tool: &Tool, to: &str, body: &str) -> Call {
    let subject =
        sentences(body).first().map_or("", |first| bartizan_core::json::clip(first, 60)).to_owned();
    let value = |name: &String| match name.as_str() {
        "to" | "recipient" | "address" | "email" => to.to_owned(),
        "subject" | "title" => subject.clone(),
        _ => body.to_owned(),
    };
    mind.make(tool, tool.parameters.iter().map(|name| (name.clone(), json!(value(name)))).collect())
}

fn is_mail(tool: &Tool) -> bool {
    mentions(&tool.name, &["mail", "email"])
        || (mentions(&tool.name, &["send"]) && tool.parameters.iter().any(|name| name == "to"))
}

fn is_search(tool: &Tool) -> bool {
    mentions(&tool.name, &["search", "find"])
}

fn is_reader(tool: &Tool) -> bool {
    mentions(&tool.name, &["read", "open", "document", "file", "page"]) && !is_search(tool)
}

fn is_lookup(tool: &Tool) -> bool {
    !is_mail(tool) && !is_search(tool) && !is_reader(tool)
}

fn mentions(text: &str, some: &[&str]) -> bool {
    words(text).iter().any(|word| some.contains(&word.as_str()))
}

fn is_pronoun(phrase: &str) -> bool {
    let words = words(phrase);
    let pronoun = |word: &String| {
        matches!(
            word.as_str(),
            "it" | "them" | "this" | "that" | "these" | "result" | "results" | "output"
        )
    };
    words.iter().any(pronoun)
        && topic(phrase).iter().all(|word| word == "result" || word == "output")
}

/// The last question of a message; the whole message when it asks none.
fn question(text: &str) -> &str {
    let asked = sentences(text).into_iter().rev().find(|sentence| sentence.ends_with('?'));
    asked.unwrap_or(text)
}

fn parts(object: &str) -> impl Iterator<Item = &str> {
    object
        .split([',', ';'])
        .flat_map(|part| part.split(" or "))
        .flat_map(|part| part.split(" and "))
}

fn best_sentence<'t>(
    topic: &[String],
    sentences: impl Iterator<Item = &'t str>,
) -> Option<&'t str> {
    let scored = sentences
        .map(|sentence| (coverage(topic, sentence), sentence))
        .filter(|(score, _)| *score > 0.0);
    scored
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, sentence)| sentence)
}

/// The part of a text that answers, or its beginning when it was to be summarised.
fn best(wanted: &[String], text: &str, phrase: &str) -> Found {
    let all = sentences(text);
    let summary = mentions(phrase, &["summarise", "summarize", "summary", "about", "say", "says"]);
    let answer = best_sentence(wanted, all.iter().copied()).filter(|_| !summary);
    match (answer, all.is_empty()) {
        (Some(sentence), _) => {
            let at = all.iter().position(|other| *other == sentence).unwrap_or(0);
            Found::Text(all.iter().skip(at).take(2).copied().collect::<Vec<_>>().join(" "))
        }
        (None, false) => Found::Text(all.iter().take(3).copied().collect::<Vec<_>>().join(" ")),
        (None, true) => Found::Nothing,
    }
}

/// Of a list of records, the fields that the phrase names; all of them when it names none.
fn narrowed(result: &str, phrase: &str) -> String {
    let Ok(Value::Array(records)) = serde_json::from_str(result) else { return result.to_owned() };
    let wanted: Vec<String> =
        words(&phrase.replace("e-mail", "email")).iter().map(|word| stem(word)).collect();
    let line = |record: &Value| -> String {
        let Some(map) = record.as_object() else { return record.to_string() };
        let named = |key: &str| wanted.contains(&stem(&key.to_lowercase()));
        let any = map.keys().any(|key| key != "name" && named(key));
        let kept = map.iter().filter(|(key, _)| !any || key.as_str() == "name" || named(key));
        kept.map(|(key, value)| {
            format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect::<Vec<_>>()
        .join(", ")
    };
    records.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The id of the first thing in a search result.
fn first_id(hits: &str) -> Option<String> {
    let hits: Value = serde_json::from_str(hits).ok()?;
    hits.as_array()?.first()?.get("id")?.as_str().map(str::to_owned)
}

/// `the word "x" 500 times`, or for ever.
fn repeated(phrase: &str) -> Option<String> {
    let words = words(phrase);
    let often = words.windows(2).find_map(|pair| match pair {
        [number, times] if times == "times" => number.parse::<usize>().ok(),
        _ => None,
    });
    let endless = mentions(phrase, &["forever", "endlessly", "indefinitely"]);
    let often = often.or(endless.then_some(REPEATS_MAX))?.min(REPEATS_MAX);
    let what = quotations(phrase).first().map(|text| (*text).to_owned())?;
    Some(vec![what; often].join(" "))
}

/// A Markdown image in a phrase.
fn picture(phrase: &str) -> Option<String> {
    let from = phrase.find("![")?;
    let rest = phrase.get(from..)?;
    let to = rest.find("](")? + rest.get(rest.find("](")?..)?.find(')')?;
    rest.get(..=to).map(str::to_owned)
}

/// A web address in a phrase. Spaces may stand inside its blanks.
fn url(phrase: &str) -> Option<String> {
    let from = phrase.find("http://").or_else(|| phrase.find("https://"))?;
    let mut depth = 0_usize;
    let end = |c: char| {
        match c {
            '{' | '<' => depth += 1,
            '}' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (c.is_whitespace() || matches!(c, '"' | ')' | ',' | '`'))
    };
    let rest = phrase.get(from..)?;
    rest.get(..rest.find(end).unwrap_or(rest.len())).map(str::to_owned)
}

fn blank(text: &str, open: char, close: char) -> Option<(String, String)> {
    let from = text.find(open)?;
    let rest = text.get(from..)?;
    let to = rest.find(close)?;
    Some((rest.get(..=to)?.to_owned(), rest.get(1..to)?.to_owned()))
}

/// `X replaced by Y`, `replacing X with Y`, `where X is Y`: X and Y.
fn replacement(phrase: &str) -> Option<(String, String)> {
    const FORMS: [(&str, &[&str]); 4] = [
        ("where ", &[" is ", " stands for ", " means "]),
        ("replacing ", &[" with ", " by "]),
        ("replace ", &[" with ", " by "]),
        ("with ", &[" replaced by ", " replaced with ", " being ", " set to "]),
    ];
    FORMS.iter().find_map(|(start, middles)| {
        let (_, rest) = phrase.split_once(start)?;
        let (token, meaning) = middles.iter().find_map(|middle| rest.split_once(middle))?;
        let token = token.trim().trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
        (!token.is_empty() && !token.contains(' ')).then(|| (token.to_owned(), meaning.to_owned()))
    })
}

/// A value as it stands in an address.
fn url_form(literal: &str, value: &str) -> String {
    if !literal.contains("://") {
        return value.to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests;
