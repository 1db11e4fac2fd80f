//! The OpenAI chat protocol as the built-in model sees it: messages and tools in,
//! text or tool calls out.

use serde_json::{Value, json};

/// What a request asks of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Prompt {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) tokens_max: Option<usize>,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Tool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    /// Of a tool's result: the call that it answers.
    pub(super) answers: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: String,
    /// The names of its parameters, the required ones first.
    pub(super) parameters: Vec<String>,
}

/// A tool call, made or to be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// What the model answers with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Say(String),
    Use(Call),
}

/// What is wrong with a request: the parameter and the complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint(pub(super) &'static str, pub(super) String);

impl Prompt {
    pub(super) fn parse(body: &Value) -> Result<Self, Complaint> {
        let model = body.get("model").and_then(Value::as_str);
        let model = model
            .ok_or_else(|| Complaint("model", "you must provide a model parameter".to_owned()))?;
        let messages =
            body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| {
            Complaint("messages", "`messages` must be a list of at least one message".to_owned())
        })?;
        let flag = |at: &str| body.pointer(at).and_then(Value::as_bool).unwrap_or(false);
        let tokens =
            ["max_completion_tokens", "max_tokens"].iter().find_map(|key| body.get(key)?.as_u64());
        Ok(Self {
            model: model.to_owned(),
            stream: flag("/stream"),
            include_usage: flag("/stream_options/include_usage"),
            tokens_max: tokens.and_then(|tokens| usize::try_from(tokens).ok()),
            messages: messages.iter().map(message).collect::<Result<_, _>>()?,
            tools: body
                .get("tools")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(tool)
                .collect(),
        })
    }

    /// Where the person spoke last.
    pub(super) fn last_user(&self) -> Option<usize> {
        self.messages.iter().rposition(|message| message.role == Role::User)
    }

    /// The tool calls made since the person spoke last, with what came back.
    pub(super) fn done(&self) -> Vec<(&Call, &str)> {
        let since = self.messages.get(self.last_user().unwrap_or(0)..).unwrap_or_default();
        let calls = since.iter().flat_map(|message| &message.calls);
        calls
            .map(|call| {
                let answer = since
                    .iter()
                    .find(|message| message.answers.as_deref() == Some(call.id.as_str()));
                (call, answer.map_or("", |message| message.text.as_str()))
            })
            .collect()
    }

    /// A rough count of the tokens read: four characters make one.
    pub(super) fn tokens(&self) -> usize {
        self.messages.iter().map(|message| message.text.chars().count()).sum::<usize>().div_ceil(4)
    }
}

fn message(message: &Value) -> Result<Message, Complaint> {
    let role = match message.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => Role::Tool,
        other => {
            let other = other.unwrap_or("nothing");
            return Err(Complaint(
                "messages",
                format!(
                    "`{other}` is not a role: expected `system`, `user`, `assistant` or `tool`"
                ),
            ));
        }
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    Ok(Message {
        role,
        text: text(message.get("content")),
        calls: calls.filter_map(call).collect(),
        answers: message.get("tool_call_id").and_then(Value::as_str).map(str::to_owned),
    })
}

/// A string, or the text parts of a list.
fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

fn call(call: &Value) -> Option<Call> {
    let arguments = call.pointer("/function/arguments")?.as_str()?;
    Some(Call {
        id: call.get("id")?.as_str()?.to_owned(),
        name: call.pointer("/function/name")?.as_str()?.to_owned(),
        arguments: serde_json::from_str(arguments).unwrap_or(Value::Null),
    })
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = tool.get("function")?;
    let properties = function.pointer("/parameters/properties").and_then(Value::as_object);
    let required: Vec<&str> = function
        .pointer("/parameters/required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut parameters: Vec<String> =
        properties.into_iter().flat_map(|map| map.keys().cloned()).collect();
    parameters.sort_by_key(|name| !required.contains(&name.as_str()));
    Some(Tool {
        name: function.get("name")?.as_str()?.to_owned(),
        description: function
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        parameters,
    })
}

impl Call {
    /// As it stands in an answer.
    pub(super) fn to_json(&self) -> Value {
        json!({"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments.to_string()}})
    }
}
