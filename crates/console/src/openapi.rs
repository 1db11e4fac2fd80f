//! The OpenAPI 3.1 document, from the same catalogue that serves.

use serde_json::{Map, Value, json};

use crate::endpoints::{self, Operation};

/// The whole document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints::ALL {
        let parameters: Vec<Value> = endpoint
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let mut item = Map::new();
        for operation in endpoint.operations {
            item.insert(operation.method.to_owned(), self::operation(operation, &parameters));
        }
        paths.insert(endpoint.path.to_owned(), Value::Object(item));
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Bartizan administration", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "components": {"securitySchemes": {"administrator": {"type": "http", "scheme": "bearer"}}},
        "security": [{"administrator": []}],
        "paths": paths,
    })
}

fn operation(operation: &Operation, parameters: &[Value]) -> Value {
    let body = |schema: Value| json!({"content": {"application/json": {"schema": schema}}});
    let mut parameters = parameters.to_vec();
    parameters.push(json!({"name": "tenant", "in": "query", "required": false, "schema": {"type": "string", "default": "default"}}));
    let mut out = json!({
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": (operation.gives)()}}},
            "default": {"description": "Not done", "content": {"application/json": {"schema": {"type": "object", "required": ["error"], "properties": {
                "error": {"type": "object", "required": ["code", "message"], "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}
            }}}}},
        },
    });
    if let (Some(takes), Some(map)) = (operation.takes, out.as_object_mut()) {
        map.insert("requestBody".to_owned(), body(takes().to_value()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_described() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        assert_eq!(paths.len(), endpoints::ALL.len());
        assert!(paths["/api/v1/keys"]["post"]["requestBody"].is_object());
        assert_eq!(paths["/api/v1/keys/{id}/revoke"]["post"]["parameters"][0]["name"], "id");
    }
}
