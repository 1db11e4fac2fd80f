//! What the gateway cannot see is named, so that a route must allow it.

use serde_json::{Value, json};

use super::call;

fn kinds(name: &str, body: &Value) -> Vec<String> {
    let named = |one: &crate::protocols::Opaque| format!("{} {}", one.kind, one.location);
    call(name, body).opaque.iter().map(named).collect()
}

fn chat(part: Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": [part]}]})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1});
    body[field] = value;
    body
}

#[test]
fn what_rests_or_runs_at_the_provider_is_named() {
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "openai-chat",
            chat(json!({"type": "file", "file": {"file_id": "f"}})),
            "file_id /messages/0/content/0/file/file_id",
        ),
        (
            "openai-chat",
            chat(json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})),
            "fetched_url /messages/0/content/0/image_url/url",
        ),
        (
            "openai-chat",
            chat(json!({"type": "image_url", "image_url": "https://a.example/b.png"})),
            "fetched_url /messages/0/content/0/image_url",
        ),
        (
            "openai-chat",
            chat(json!({"type": "video_url", "video_url": {"url": "https://a.example/b"}})),
            "fetched_url /messages/0/content/0/video_url/url",
        ),
        (
            "openai-chat",
            json!({"model": "m", "messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}),
            "file_id /messages/0/audio/id",
        ),
        ("openai-chat", with("web_search_options", json!({})), "provider_tool /web_search_options"),
        ("openai-chat", with("tools", json!([{"type": "web_search"}])), "provider_tool /tools/0"),
        ("openai-chat", with("tools", json!([{"type": 5}])), "provider_tool /tools/0"),
        (
            "openai-responses",
            with("previous_response_id", json!("r")),
            "previous_response_id /previous_response_id",
        ),
        (
            "openai-responses",
            with("conversation", json!({"id": "c"})),
            "previous_response_id /conversation",
        ),
        (
            "openai-responses",
            with("prompt", json!({"id": "p", "variables": {}})),
            "previous_response_id /prompt",
        ),
        ("openai-responses", with("background", json!(true)), "batch /background"),
        (
            "openai-responses",
            with("input", json!([{"type": "item_reference", "id": "i"}])),
            "previous_response_id /input/0",
        ),
        (
            "openai-responses",
            with("input", json!([{"type": "compaction", "encrypted_content": "gAAA"}])),
            "previous_response_id /input/0",
        ),
        (
            "openai-responses",
            with(
                "input",
                json!([{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]),
            ),
            "file_id /input/0/content/0/file_id",
        ),
        (
            "openai-responses",
            with(
                "input",
                json!([{"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example/"}]}]),
            ),
            "fetched_url /input/0/content/0/file_url",
        ),
        (
            "openai-responses",
            with("tools", json!([{"type": "mcp", "server_url": "https://a.example/"}])),
            "provider_tool /tools/0",
        ),
        (
            "openai-responses",
            with("tools", json!([{"type": "namespace", "tools": [{"type": "file_search"}]}])),
            "provider_tool /tools/0/tools/0",
        ),
        (
            "openai-responses",
            with("tools", json!([{"type": "code_interpreter"}])),
            "provider_tool /tools/0",
        ),
        ("openai-completions", json!({"model": "m", "prompt": [1, 2, 3]}), "token_ids /prompt"),
        (
            "openai-completions",
            json!({"model": "m", "prompt": ["text", [1, 2]]}),
            "token_ids /prompt",
        ),
        ("openai-embeddings", json!({"model": "m", "input": [[1, 2], [3]]}), "token_ids /input"),
        (
            "openai-moderations",
            with(
                "input",
                json!([{"type": "image_url", "image_url": {"url": "https://a.example/"}}]),
            ),
            "fetched_url /input/0/image_url/url",
        ),
        (
            "anthropic-messages",
            with("mcp_servers", json!([{"type": "url", "url": "https://a.example/", "name": "a"}])),
            "provider_tool /mcp_servers",
        ),
        ("anthropic-messages", with("container", json!("c")), "provider_tool /container"),
        (
            "anthropic-messages",
            with("tools", json!([{"type": "web_search_20250305", "name": "web_search"}])),
            "provider_tool /tools/0",
        ),
        (
            "anthropic-messages",
            with("tools", json!([{"type": "customs", "name": "x"}])),
            "provider_tool /tools/0",
        ),
        (
            "anthropic-messages",
            with(
                "messages",
                json!([{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.example/"}}]}]),
            ),
            "fetched_url /messages/0/content/0/source/url",
        ),
        (
            "anthropic-messages",
            with(
                "messages",
                json!([{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]),
            ),
            "file_id /messages/0/content/0/source/file_id",
        ),
        (
            "anthropic-messages",
            with(
                "messages",
                json!([{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]),
            ),
            "file_id /messages/0/content/0/file_id",
        ),
        (
            "anthropic-messages",
            with(
                "messages",
                json!([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.example/"}}]}]}]),
            ),
            "fetched_url /messages/0/content/0/content/0/source/url",
        ),
        (
            "anthropic-count-tokens",
            with("tools", json!([{"type": "web_fetch_20250910", "name": "web_fetch"}])),
            "provider_tool /tools/0",
        ),
    ];
    for (name, body, expected) in cases {
        assert_eq!(kinds(name, &body), [expected], "{name}: {body}");
    }
}

#[test]
fn what_can_be_seen_is_not_named() {
    for (name, body) in super::fixtures::requests() {
        assert_eq!(kinds(name, &body), Vec::<String>::new(), "{name}");
    }
    for (name, field, value) in [
        ("openai-chat", "web_search_options", Value::Null),
        ("openai-chat", "enable_search", json!(false)),
        ("openai-responses", "previous_response_id", Value::Null),
        ("openai-responses", "background", json!(false)),
        (
            "openai-responses",
            "tools",
            json!([{"type": "local_shell"}, {"type": "custom", "name": "x"}]),
        ),
        ("anthropic-messages", "container", Value::Null),
        (
            "anthropic-messages",
            "tools",
            json!([{"name": "x"}, {"type": "custom", "name": "y"}, {"type": "text_editor_20250728", "name": "z"}]),
        ),
        // A tool may have an argument of this name.
        (
            "openai-chat",
            "tools",
            json!([{"type": "function", "function": {"name": "f", "parameters": {"properties": {"file_id": {"type": "string"}}}}}]),
        ),
    ] {
        assert_eq!(kinds(name, &with(field, value)), Vec::<String>::new(), "{name} {field}");
    }
}
