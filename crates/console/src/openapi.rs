//! The OpenAPI 3.1 document, from the same catalogue that serves.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    endpoints::{self, Endpoint, Needs, Operation},
    error::Wire,
};

/// Where the document is served, to anyone.
pub(crate) const PATH: &str = "/api/v1/openapi.json";

/// The whole document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in endpoints::ALL {
        let item = endpoint.operations.iter().map(|operation| {
            (operation.method.to_owned(), describe(endpoint, operation, &mut schemas))
        });
        paths.insert(endpoint.path.to_owned(), Value::Object(item.collect()));
    }
    let failure = schemas.subschema_for::<Wire>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bartizan administration",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Served by `bartizan serve` on `admin.listen`, and on the Unix socket `admin.sock` in the data directory, which needs no token.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"administrator": []}, {"person": []}, {"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "administrator": {"type": "http", "scheme": "bearer", "description": "The administrator's token, `bza_...`."},
                "person": {"type": "http", "scheme": "bearer", "description": "A person's API token, `bzp_...`: it may do what its scopes say, and never more than its person may."},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-bartizan", "description": "The cookie of a session (`bartizan_session` without TLS). What changes something needs the header `x-csrf-token`, too."},
            },
            "responses": {"failure": {
                "description": "Not done",
                "content": {"application/json": {"schema": failure}},
            }},
            "schemas": schemas.take_definitions(true),
        },
    })
}

fn describe(endpoint: &Endpoint, operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut parameters = in_path(endpoint.path);
    parameters.push(json!({
        "name": "tenant", "in": "query", "required": false, "description": "Whose records.",
        "schema": {"type": "string", "default": "default"},
    }));
    if let Some(asks) = operation.asks {
        parameters.extend(in_query(&asks(schemas)));
    }
    let needs = match operation.needs {
        Needs::Read(area) => format!("Needs to read {}.", area.as_str()),
        Needs::Manage(area) => format!("Needs to manage {}.", area.as_str()),
    };
    let mut out = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": needs,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done", "content": {operation.form: {"schema": (operation.gives)(schemas)}}},
            "default": {"$ref": "#/components/responses/failure"},
        },
    });
    if let (Some(takes), Some(map)) = (operation.takes, out.as_object_mut()) {
        let content = json!({"application/json": {"schema": takes(schemas)}});
        map.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    out
}

fn in_path(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let schema = |name: &str| match name {
        "id" => json!({"type": "string", "format": "uuid"}),
        _ => json!({"type": "integer", "minimum": 0}),
    };
    names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": schema(name)}))
        .collect()
}

/// The fields of a type, each as a parameter.
fn in_query(schema: &Schema) -> Vec<Value> {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|map| map.remove("description"));
        json!({
            "name": name, "in": "query", "required": required.contains(&name.as_str().into()),
            "description": description, "schema": schema,
        })
    };
    properties.into_iter().flatten().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every `$ref` in a document.
    fn references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, into));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, into)),
            _ => {}
        }
    }

    #[test]
    fn every_endpoint_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        assert_eq!(document["paths"].as_object().expect("paths").len(), endpoints::ALL.len());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "only {} references", found.len());
        for reference in found {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "`{reference}` leads nowhere");
        }
    }

    #[test]
    fn operations_have_names_of_their_own_and_methods_that_are_served() {
        let mut seen = BTreeSet::new();
        for endpoint in endpoints::ALL {
            for operation in endpoint.operations {
                assert!(seen.insert(operation.id), "`{}` stands twice", operation.id);
                assert!(["get", "post"].contains(&operation.method), "{}", operation.method);
            }
        }
    }

    #[test]
    fn parameters_are_described() {
        let document = document();
        let parameters = &document["paths"]["/api/v1/decisions"]["get"]["parameters"];
        let parameters = parameters.as_array().expect("a list");
        let limit = parameters.iter().find(|p| p["name"] == "limit").expect("is listed");
        assert!(limit["description"].as_str().is_some_and(|text| !text.is_empty()), "{limit}");
        let revoke = &document["paths"]["/api/v1/keys/{id}/revoke"]["post"];
        assert_eq!(revoke["parameters"][0]["schema"]["format"], "uuid");
    }
}
