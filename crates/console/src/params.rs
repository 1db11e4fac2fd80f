//! What a page is asked: the names and values of its address, or of a form that was sent.

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use bartizan_core::{Id, Timestamp, json};

use crate::Failure;

/// LIMIT: the largest form, in bytes: some thousand ids.
const FORM_BYTES_MAX: usize = 256 * 1024;
/// LIMIT: fields of a form or an address.
const FIELDS_MAX: usize = 2048;
/// LIMIT: a value in an address, in bytes; a place in a list is some 100.
const VALUE_BYTES_MAX: usize = 512;

/// What an address says was done just now: what, to how many, and by which act.
pub(crate) const SAID: [&str; 3] = ["done", "n", "undo"];

/// Names and values, in their order; a name may stand more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads an address's query, of which these names may be a part.
    ///
    /// # Errors
    /// When there is another name: a filter that is not understood must not be passed over.
    pub(crate) fn of_query(query: Option<&str>, names: &[&str]) -> Result<Self, Failure> {
        let params = Self::read(query.unwrap_or_default().as_bytes())?;
        // What was done just now is said on every page.
        match params
            .0
            .iter()
            .find(|(name, _)| !names.contains(&name.as_str()) && !SAID.contains(&name.as_str()))
        {
            None => params.single(),
            Some((name, _)) => {
                let shown = json::clip(name, 64);
                let known = names.join("`, `");
                Err(Failure::invalid(format!("this page takes no `{shown}`: it takes `{known}`")))
            }
        }
    }

    /// A name stands once in an address, and its value is short: what is passed over or drawn out
    /// would show other records than asked for.
    fn single(self) -> Result<Self, Failure> {
        for (at, (name, value)) in self.0.iter().enumerate() {
            if self.0.iter().skip(at + 1).any(|(other, _)| other == name) {
                return Err(Failure::invalid(format!("`{name}` is given more than once")));
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(Failure::invalid(format!(
                    "`{name}` is longer than {VALUE_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(self)
    }

    /// A value that is one of a few.
    ///
    /// # Errors
    /// When it is another: no record could have it.
    pub(crate) fn one_of(&self, name: &str, known: &[&str]) -> Result<(), Failure> {
        match self.get(name).filter(|value| !known.contains(value)) {
            None => Ok(()),
            Some(value) => Err(Failure::invalid(format!(
                "`{name}` is `{}`: expected one of `{}`",
                json::clip(value, 32),
                known.join("`, `")
            ))),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if pairs.len() >= FIELDS_MAX {
                return Err(Failure::invalid(format!("more than {FIELDS_MAX} fields were sent")));
            }
            // An empty field of a form is one that was not filled.
            if !value.is_empty() {
                pairs.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(Self(pairs))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// Says which is missing.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::invalid(format!("`{name}` is missing")))
    }

    /// # Errors
    /// When the value is no time.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        let read = |text: &str| {
            Timestamp::parse(text).ok_or_else(|| {
                let shown = json::clip(text, 40);
                Failure::invalid(format!(
                    "`{name}` is `{shown}`: expected a time, such as `2026-01-31T12:00:00Z`"
                ))
            })
        };
        self.get(name).map(read).transpose()
    }

    /// # Errors
    /// When the value is no whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let read = |text: &str| {
            text.trim().parse().map_err(|_| {
                let shown = json::clip(text, 40);
                Failure::invalid(format!(
                    "`{name}` is `{shown}`: expected a whole number from 0 to {}",
                    u64::MAX
                ))
            })
        };
        self.get(name).map(read).transpose()
    }

    /// # Errors
    /// When one of the values is no id.
    pub(crate) fn ids(&self, name: &str) -> Result<Vec<Id>, Failure> {
        let read = |text: &str| {
            text.parse().map_err(|e: bartizan_core::InvalidId| Failure::invalid(e.to_string()))
        };
        self.all(name).map(read).collect()
    }

    /// The names that are set, of these, with their values.
    pub(crate) fn of(&self, names: &[&'static str]) -> impl Iterator<Item = (&'static str, &str)> {
        names.iter().filter_map(move |name| Some((*name, self.get(name)?)))
    }

    /// The same with one value set; the place in a list does not hold any more.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut out = self.without(name);
        out.0.push((name.to_owned(), value.to_owned()));
        out
    }

    pub(crate) fn without(&self, name: &str) -> Self {
        let gone = |known: &str| known == name || known == "after" || SAID.contains(&known);
        Self(self.0.iter().filter(|(known, _)| !gone(known)).cloned().collect())
    }

    /// As it stands in an address: with the question mark, or nothing.
    pub(crate) fn query(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut out = form_urlencoded::Serializer::new("?".to_owned());
        out.extend_pairs(self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // Readable where that is harmless: times.
        out.finish().replace("%3A", ":").replacen("?&", "?", 1)
    }

    /// An address of ours with this query.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{path}{}", self.query())
    }
}

/// A path and query of ours that a form says to go back to; anything else is the overview.
pub(crate) fn back(text: Option<&str>) -> String {
    let ours = text.filter(|text| text.starts_with('/') && !text.starts_with("//"));
    let plain =
        ours.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
    plain.map_or_else(|| "/".to_owned(), |text| json::clip(text, 2048).to_owned())
}

/// An address of ours that says what was done, in place of what was done before.
pub(crate) fn said(to: &str, words: &[(&str, &str)]) -> String {
    let (path, query) = to.split_once('?').unwrap_or((to, ""));
    let before = |pair: &&str| {
        pair.split_once('=').is_none_or(|(name, _)| !SAID.contains(&name)) && !pair.is_empty()
    };
    let mut pairs: Vec<String> = query.split('&').filter(before).map(str::to_owned).collect();
    pairs.extend(words.iter().map(|(name, value)| format!("{name}={value}")));
    format!("{path}?{}", pairs.join("&"))
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = to_bytes(request.into_body(), FORM_BYTES_MAX).await.map_err(|_| {
            let message =
                format!("the form cannot be read, or is larger than {FORM_BYTES_MAX} bytes");
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        })?;
        Self::read(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_again() {
        let params = Params::of_query(
            Some("verdict=block&since=2026-01-01T00:00:00Z&empty="),
            &["verdict", "since", "empty"],
        );
        let params = params.expect("known names");
        assert_eq!(params.query(), "?verdict=block&since=2026-01-01T00:00:00Z");
        assert_eq!(
            params.with("model", "a&b <c>").at("/traffic"),
            "/traffic?verdict=block&since=2026-01-01T00:00:00Z&model=a%26b+%3Cc%3E"
        );
        assert_eq!(params.without("since").without("verdict").query(), "");
    }

    #[test]
    fn a_filter_that_is_not_known_is_refused() {
        let refused = Params::of_query(Some("verdikt=block"), &["verdict"]).expect_err("unknown");
        assert_eq!(refused.message, "this page takes no `verdikt`: it takes `verdict`");
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        let refused =
            |query: &str| Params::of_query(Some(query), &["rule"]).expect_err(query).message;
        assert_eq!(refused("rule=GD001&rule=GD002"), "`rule` is given more than once");
        assert_eq!(
            refused(&format!("rule={}", "x".repeat(600))),
            "`rule` is longer than 512 bytes"
        );
        let params = Params::of_query(Some("rule=x"), &["rule"]).expect("known");
        assert!(params.one_of("rule", &["y", "x"]).is_ok());
        let message = params.one_of("rule", &["y", "z"]).expect_err("unknown").message;
        assert_eq!(message, "`rule` is `x`: expected one of `y`, `z`");
    }

    #[test]
    fn what_was_done_before_is_not_said_again() {
        let to = "/findings?state=open&done=assigned&n=2&undo=x";
        assert_eq!(
            said(to, &[("done", "resolved"), ("n", "3"), ("undo", "b")]),
            "/findings?state=open&done=resolved&n=3&undo=b"
        );
        assert_eq!(said("/findings", &[("done", "undone")]), "/findings?done=undone");
    }

    #[test]
    fn one_goes_back_to_a_page_of_ours_only() {
        for (text, to) in [
            ("/findings?state=open", "/findings?state=open"),
            ("//elsewhere.example", "/"),
            ("https://elsewhere.example", "/"),
            ("/\\elsewhere.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("", "/"),
        ] {
            assert_eq!(back(Some(text)), to, "{text}");
        }
        assert_eq!(back(None), "/");
    }
}
