//! A request and an answer of each protocol that use every field there is, and a
//! stream of each that streams.

use serde_json::{Value, json};

/// The first bytes of a PNG file, in base64.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";

pub(super) fn requests() -> Vec<(&'static str, Value)> {
    let tool = json!({"type": "function", "function": {"name": "look_up", "description": "Looks a word up.", "strict": true,
        "parameters": {"type": "object", "properties": {"word": {"type": "string", "description": "The word.", "enum": ["oak", "elm"]}}, "required": ["word"]}}});
    let chat = json!({
        "model": "gpt-4o", "temperature": 0.5, "n": 2, "max_tokens": 100, "stop": ["END", "STOP"], "user": "u-1", "safety_identifier": "s-1",
        "metadata": {"team": "garden"}, "tools": [tool, {"type": "custom", "custom": {"name": "sh", "description": "Runs."}}],
        "tool_choice": {"type": "function", "function": {"name": "look_up"}}, "logit_bias": {"50256": -100},
        "response_format": {"type": "json_schema", "json_schema": {"name": "word", "schema": {"type": "object", "title": "Word"}}},
        "prediction": {"type": "content", "content": [{"type": "text", "text": "An oak."}]},
        "messages": [
            {"role": "system", "content": "Be kind.", "name": "house"},
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF", "format": "wav"}},
                {"type": "file", "file": {"filename": "oak.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjcKJeLjz9MK"}},
                {"type": "text", "text": "Tell me."}]},
            {"role": "assistant", "content": null, "refusal": "No.", "reasoning_content": "Let me see.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{\"word\":\"oak\",\"times\":[1,{\"deep\":\"yes\"}]}"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "{\"meaning\": \"a tree\"}"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "total 0"}]},
            {"role": "assistant", "content": "Old style.", "function_call": {"name": "f", "arguments": "{\"a\": \"b\"}"}},
            {"role": "function", "name": "f", "content": "done"},
            {"role": "assistant", "content": [{"type": "text", "text": "A part."}, {"type": "refusal", "refusal": "Not this."}]}],
    });
    let responses = json!({
        "model": "gpt-4o", "instructions": "Be kind.", "max_output_tokens": 100, "metadata": {"team": "garden"}, "user": "u-1",
        "tools": [{"type": "function", "name": "look_up", "description": "Looks up.", "parameters": {"type": "object"}},
            {"type": "namespace", "name": "n", "description": "Names.", "tools": [{"type": "function", "name": "inner"}]}],
        "text": {"format": {"type": "json_schema", "name": "word", "schema": {"title": "Word"}}},
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "input": [
            {"type": "message", "role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "JVBERi0xLjcKJeLjz9MK"}, {"type": "input_text", "text": "Tell me."}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I thought."}], "content": [{"type": "reasoning_text", "text": "Hm."}],
                "encrypted_content": "gAAAAABo8Tq5fEJxY2l0eQ=="},
            {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{\"word\": \"oak\"}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a tree"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "a tall tree"}]},
            {"type": "custom_tool_call", "call_id": "c2", "name": "sh", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "total 0"},
            {"type": "computer_call_output", "call_id": "c3", "output": {"type": "computer_screenshot", "image_url": format!("data:image/png;base64,{PNG}")}},
            {"type": "local_shell_call", "id": "l1", "call_id": "c4", "action": {"type": "exec", "command": ["ls", "-l"], "env": {"HOME": "/root"}}, "status": "completed"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "An oak.", "annotations": []}, {"type": "refusal", "refusal": "No."}]}],
    });
    let completions = json!({"model": "davinci", "prompt": ["Once upon", "a time"], "suffix": "The end.", "stop": "END", "user": "u-1", "max_tokens": 10});
    let embeddings = json!({"model": "embed", "input": ["an oak", "an elm"], "encoding_format": "float", "dimensions": 4, "user": "u-1"});
    let moderations = json!({"model": "mod", "input": [{"type": "text", "text": "an oak"}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}}]});
    let messages = json!({
        "model": "claude", "max_tokens": 100, "metadata": {"user_id": "u-1"}, "stop_sequences": ["END"], "temperature": 1.0,
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Be brief."}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "look_up", "description": "Looks up.", "input_schema": {"type": "object", "properties": {"word": {"type": "string", "description": "The word."}}}},
            {"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "tool", "name": "look_up"},
        "messages": [
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCkYIBxgCKkDm"}, {"type": "redacted_thinking", "data": "EmwKAhgBEgwxxQ=="},
                {"type": "text", "text": "Yes.", "citations": [{"type": "char_location", "cited_text": "an oak", "document_index": 0, "document_title": "Trees"}]},
                {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"word": "oak", "deep": [{"er": "yes"}]}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": false, "content": [{"type": "text", "text": "a tree"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "search_result", "source": "trees.txt", "title": "Trees", "content": [{"type": "text", "text": "Oaks are tall."}]}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "a bush"},
                {"type": "document", "title": "Trees", "context": "From a book.", "source": {"type": "text", "media_type": "text/plain", "data": "Oaks grow."}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Elms grow."}]}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjcKJeLjz9MK"}},
                {"type": "text", "text": "What is this?"}, {"type": "text", "text": "Tell me."}]}],
    });
    let mut count = messages.clone();
    count.as_object_mut().expect("an object").remove("max_tokens");
    vec![
        ("openai-chat", chat),
        ("openai-responses", responses),
        ("openai-completions", completions),
        ("openai-embeddings", embeddings),
        ("openai-moderations", moderations),
        ("anthropic-messages", messages),
        ("anthropic-count-tokens", count),
    ]
}

pub(super) fn replies() -> Vec<(&'static str, Value)> {
    let chat = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o", "system_fingerprint": "fp_1", "service_tier": "default",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is.", "refusal": null, "reasoning_content": "Hm.", "annotations": [
                    {"type": "url_citation", "url_citation": {"title": "Oaks", "url": "https://oaks.example/", "start_index": 0, "end_index": 2}}],
                "audio": {"id": "audio_1", "data": "UklGRiQAAABXQVZF", "transcript": "It is.", "expires_at": 1_700_000_000}},
                "logprobs": {"content": [{"token": "It", "logprob": -0.1, "bytes": [73, 116], "top_logprobs": [{"token": "It", "logprob": -0.1, "bytes": [73, 116]}]},
                    {"token": " is.", "logprob": -0.2, "bytes": null, "top_logprobs": []}], "refusal": null}},
            {"index": 1, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{\"word\":\"oak\",\"n\":[1,{\"deep\":\"yes\"}]}"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}}], "function_call": {"name": "f", "arguments": "{}"}}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 0}},
    });
    let responses = json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "error": null, "model": "gpt-4o", "instructions": "Be kind.",
        "tools": [{"type": "function", "name": "look_up", "description": "Looks up."}], "text": {"format": {"type": "text"}}, "metadata": {"team": "garden"},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I thought."}], "content": [{"type": "reasoning_text", "text": "Hm."}], "encrypted_content": "gAAAAABo8Tq5fEJxY2l0eQ=="},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "It is.", "annotations": [{"type": "url_citation", "title": "Oaks", "url": "https://oaks.example/"}],
                    "logprobs": [{"token": "It", "logprob": -0.1, "bytes": [73, 116], "top_logprobs": []}, {"token": " is.", "logprob": -0.1, "bytes": [], "top_logprobs": []}]},
                {"type": "refusal", "refusal": "No."}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look_up", "arguments": "{\"word\":\"oak\"}", "status": "completed"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "oaks"}},
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG},
            {"type": "code_interpreter_call", "id": "ci_1", "code": "print(1)", "outputs": [{"type": "logs", "logs": "1"}], "container_id": "c_1"}],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    });
    let completions = json!({"id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000, "model": "davinci", "choices": [
        {"index": 0, "text": "It is.", "finish_reason": "stop", "logprobs": {"tokens": ["It", " is."], "token_logprobs": [-0.1, -0.2], "top_logprobs": [{"It": -0.1}, {" is.": -0.2}], "text_offset": [0, 2]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    let embeddings = json!({"object": "list", "model": "embed", "data": [{"object": "embedding", "index": 0, "embedding": [0.002_306_425_5, -0.009_327_292, 1e-7]},
        {"object": "embedding", "index": 1, "embedding": "pQAAvADLgL8="}], "usage": {"prompt_tokens": 8, "total_tokens": 8}});
    let moderations = json!({"id": "modr-1", "model": "mod", "results": [{"flagged": false, "categories": {"violence": false, "self-harm/intent": false},
        "category_scores": {"violence": 0.001}, "category_applied_input_types": {"violence": ["text"]}}]});
    let messages = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCkYIBxgCKkDm"}, {"type": "redacted_thinking", "data": "EmwKAhgBEgwxxQ=="},
            {"type": "text", "text": "It is.", "citations": [{"type": "char_location", "cited_text": "an oak", "document_title": "Trees", "document_index": 0}]},
            {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"word": "oak", "deep": [{"er": "yes"}]}},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "oaks"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "title": "Oaks", "url": "https://oaks.example/", "encrypted_content": "EqgfCioIARgBIiQ3YTAwMjY1", "page_age": "old"}]}],
        "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3},
    });
    vec![
        ("openai-chat", chat),
        ("openai-responses", responses),
        ("openai-completions", completions),
        ("openai-embeddings", embeddings),
        ("openai-moderations", moderations),
        ("anthropic-messages", messages),
        ("anthropic-count-tokens", json!({"input_tokens": 42})),
    ]
}

/// The events of a stream, as JSON; the reader's `[DONE]` comes by itself.
pub(super) fn streams() -> Vec<(&'static str, Vec<Value>)> {
    let chunk = |choices: Value| json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o", "system_fingerprint": "fp_1", "choices": choices});
    let delta = |index: u64, delta: Value| {
        chunk(json!([{"index": index, "delta": delta, "finish_reason": null}]))
    };
    let mut usage = chunk(json!([]));
    usage["usage"] = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let token = json!({"token": "It", "logprob": -0.1, "bytes": [73, 116], "top_logprobs": []});
    let chat = vec![
        delta(0, json!({"role": "assistant", "content": ""})),
        delta(0, json!({"reasoning_content": "Let me"})),
        delta(0, json!({"reasoning_content": " see."})),
        chunk(
            json!([{"index": 0, "delta": {"content": "It"}, "logprobs": {"content": [token]}, "finish_reason": null}]),
        ),
        delta(0, json!({"content": " is an oak."})),
        delta(1, json!({"role": "assistant", "content": "I'd say so."})),
        delta(
            0,
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ""}}]}),
        ),
        delta(0, json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"word\":"}}]})),
        delta(0, json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"oak\"}"}}]})),
        delta(
            0,
            json!({"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "stop", "arguments": "{}"}}]}),
        ),
        delta(
            0,
            json!({"note": "by the way", "details": [{"index": 0, "type": "detail.text", "text": "so"}]}),
        ),
        chunk(
            json!([{"index": 0, "delta": {}, "finish_reason": "tool_calls", "stop_reason": "eos"}]),
        ),
        chunk(json!([{"index": 1, "delta": {"refusal": "No."}, "finish_reason": "stop"}])),
        usage,
    ];
    let text = |text: &str, reason: Value| {
        let choice = json!({"index": 0, "text": text, "logprobs": {"tokens": [text]}, "finish_reason": reason});
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000, "model": "davinci", "choices": [choice]})
    };
    let completions =
        vec![text("It", Value::Null), text(" is", Value::Null), text(" so.", json!("stop"))];
    vec![
        ("openai-chat", chat),
        ("openai-completions", completions),
        ("openai-responses", responses_stream()),
        ("anthropic-messages", messages_stream()),
    ]
}

fn responses_stream() -> Vec<Value> {
    let answer = "It is an oak.";
    let part = json!({"type": "output_text", "text": answer, "annotations": [], "logprobs": [{"token": answer, "logprob": -0.1}]});
    let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I thought."}], "encrypted_content": "gAAAAABo8Tq5fEJxY2l0eQ=="});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look_up", "arguments": "{\"word\":\"oak\"}", "status": "completed"});
    let shell = json!({"output_index": 3, "item_id": "sh_1", "command_index": 0});
    let response = |status: &str, output: Value, usage: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status, "model": "gpt-4o",
        "instructions": "Be kind.", "output": output, "usage": usage, "metadata": {"team": "garden"}})
    };
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
    let mut events = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "delta": "I"}),
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "delta": " thought."}),
        json!({"type": "response.reasoning_summary_text.done", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "text": "I thought."}),
        json!({"type": "response.reasoning_summary_part.done", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": "I thought."}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}}),
        json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 1, "content_index": 0, "part": empty}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "content_index": 0, "delta": "It is", "logprobs": [{"token": "It is", "logprob": -0.1}], "obfuscation": "x8Kq"}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "content_index": 0, "delta": " an oak.", "logprobs": []}),
        json!({"type": "response.output_text.annotation.added", "item_id": "msg_1", "output_index": 1, "content_index": 0, "annotation_index": 0, "annotation": {"type": "url_citation", "title": "Oaks", "url": "https://oaks.example/"}}),
        json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 1, "content_index": 0, "text": answer, "logprobs": [{"token": answer, "logprob": -0.1}]}),
        json!({"type": "response.content_part.done", "item_id": "msg_1", "output_index": 1, "content_index": 0, "part": part}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": message}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look_up", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 2, "delta": "{\"word\":"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 2, "delta": "\"oak\"}"}),
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 2, "name": "look_up", "arguments": "{\"word\":\"oak\"}"}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": call}),
    ];
    for said in ["so", "me"] {
        let mut event = shell.clone();
        event["type"] = "response.shell_call_output_content.delta".into();
        event["delta"] = json!({"stdout": said, "stderr": ""});
        events.push(event);
    }
    let mut done = shell;
    done["type"] = "response.shell_call_output_content.done".into();
    done["output"] = json!([{"stdout": "some", "stderr": ""}]);
    events.push(done);
    events.push(json!({"type": "response.completed", "response": response("completed", json!([reasoning, message, call]), usage)}));
    for (event, number) in events.iter_mut().zip(0_u64..) {
        event["sequence_number"] = number.into();
    }
    events
}

fn messages_stream() -> Vec<Value> {
    let start = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 1}}}),
        json!({"type": "ping"}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Let me"})),
        delta(0, json!({"type": "thinking_delta", "thinking": " see."})),
        delta(0, json!({"type": "signature_delta", "signature": "EqQBCkYI"})),
        delta(0, json!({"type": "signature_delta", "signature": "BxgCKkDm"})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "It is"})),
        delta(1, json!({"type": "text_delta", "text": " an oak."})),
        delta(
            1,
            json!({"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "an oak", "document_title": "Trees", "document_index": 0}}),
        ),
        delta(1, json!({"type": "novel_delta", "novelty": "a new"})),
        delta(1, json!({"type": "novel_delta", "novelty": " thing"})),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"word\":"})),
        delta(2, json!({"type": "input_json_delta", "partial_json": " \"oak\"}"})),
        stop(2),
        start(
            3,
            json!({"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "title": "Oaks", "url": "https://oaks.example/", "encrypted_content": "EqgfCioIARgBIiQ3YTAwMjY1"}]}),
        ),
        stop(3),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 25}}),
        json!({"type": "message_stop"}),
    ]
}
