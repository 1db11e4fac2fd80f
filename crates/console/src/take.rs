//! What a request brings, read strictly: a key that is not known is refused, not
//! passed over.

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bartizan_core::{Id, json};
use serde::de::DeserializeOwned;

use crate::Failure;

/// LIMIT: the largest body, in bytes. A key with every model and route listed is a
/// tenth of it; a checkpoint with its cosignatures less.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The body, as JSON of this type.
pub(crate) struct Taken<T>(pub(crate) T);

/// The query string, as this type.
pub(crate) struct Asked<T>(pub(crate) T);

/// The id in the path.
pub(crate) struct Of(pub(crate) Id);

/// The index in the path.
pub(crate) struct At(pub(crate) u64);

/// LIMIT: the fields of a form; the longest has a box for each scope.
const FIELDS_MAX: usize = 512;

/// A form's fields, as they were sent. The door of the pages reads them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The fields of a body, where it is a form.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Self::default();
        }
        Self(
            form_urlencoded::parse(body)
                .take(FIELDS_MAX)
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }

    /// The first value of a field.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// A field that must be there.
    pub(crate) fn must(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::invalid(format!("the form has no field `{name}`")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Taken<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = read(request.into_body()).await?;
        // Nothing at all stands for nothing said.
        let bytes = if bytes.is_empty() { b"{}".as_slice().into() } else { bytes };
        let value = json::parse(&bytes, BODY_BYTES_MAX)
            .map_err(|problem| Failure::invalid(format!("the body cannot be read: {problem}")))?;
        serde_path_to_error::deserialize(value).map(Self).map_err(|error| {
            let place = match error.path().to_string().as_str() {
                "." => "the body".to_owned(),
                path => format!("`{path}` in the body"),
            };
            Failure::invalid(format!("{place} cannot be used: {}", error.inner()))
        })
    }
}

async fn read(body: Body) -> Result<axum::body::Bytes, Failure> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        let message = format!("the body cannot be read, or is larger than {BODY_BYTES_MAX} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let Query(asked) = Query::try_from_uri(&parts.uri).map_err(|error| {
            let text = error.body_text();
            let said = text.strip_prefix("Failed to deserialize query string: ");
            Failure::invalid(format!("the query: {}", said.unwrap_or(&text)))
        })?;
        Ok(Self(asked))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Of {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = segment(parts, state).await?;
        let id = text
            .parse()
            .map_err(|error: bartizan_core::InvalidId| Failure::invalid(error.to_string()))?;
        Ok(Self(id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = segment(parts, state).await?;
        let index = text.parse().map_err(|_| {
            let shown = json::clip(&text, 32);
            Failure::invalid(format!("`{shown}` is no index of an entry: expected a number from 0"))
        })?;
        Ok(Self(index))
    }
}

async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Failure> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.map(|Path(text)| text).map_err(|error| Failure::invalid(error.body_text()))
}
