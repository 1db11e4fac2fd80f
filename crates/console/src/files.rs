//! The pages' style sheet, scripts and icons: within the binary, served with a digest in
//! their address, so that browsers keep them until a new binary brings others.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use ring::digest::{Context, SHA256};

use crate::Failure;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const DRAWING: &str = "image/svg+xml";

/// A file, as it is served.
struct File {
    name: &'static str,
    media: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal $media:ident),* $(,)?) => {
        &[$(File { name: $name, media: $media, text: include_str!(concat!("../assets/", $name)) }),*]
    };
}

/// Every file there is.
const ALL: &[File] = files![
    "app.js" SCRIPT,
    "brush.js" SCRIPT,
    "console.css" STYLE,
    "copy.js" SCRIPT,
    "dom.js" SCRIPT,
    "icons.svg" DRAWING,
    "keyboard.js" SCRIPT,
    "live.js" SCRIPT,
    "mark.svg" DRAWING,
    "palette.js" SCRIPT,
    "swap.js" SCRIPT,
    "time.js" SCRIPT,
    "verify.js" SCRIPT,
];

/// Of all files together: modules name one another without a digest of their own, by standing
/// in one folder.
static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Context::new(&SHA256);
    for file in ALL {
        digest.update(file.text.as_bytes());
    }
    digest.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

/// The address of a file, such as `/assets/0f1e2d3c4b5a6978/console.css`.
pub(crate) fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *DIGEST)
}

/// Serves the files, to anyone: the page to sign in needs them, too.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/{digest}/{name}", get(serve))
}

async fn serve(Path((digest, name)): Path<(String, String)>) -> Result<Response, Failure> {
    let file = ALL.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| {
        let shown = bartizan_core::json::clip(&name, 64);
        Failure::not_found(format!("there is no file `{shown}`"))
    })?;
    // A page of the binary before may still ask for its files: it gets ours, for now.
    let keep = if digest == *DIGEST { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::CONTENT_TYPE, file.media), (header::CACHE_CONTROL, keep)];
    let mut response = (headers, file.text).into_response();
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;

    /// LIMIT: all scripts together, as they are written, in bytes.
    const SCRIPT_BYTES_MAX: usize = 60_000;
    /// LIMIT: the style sheet, as it is written, in bytes.
    const STYLE_BYTES_MAX: usize = 40_000;

    fn bytes_of(media: &str) -> usize {
        ALL.iter().filter(|file| file.media == media).map(|file| file.text.len()).sum()
    }

    #[test]
    fn scripts_and_styles_stay_small() {
        assert!(bytes_of(SCRIPT) <= SCRIPT_BYTES_MAX, "{} bytes of scripts", bytes_of(SCRIPT));
        assert!(bytes_of(STYLE) <= STYLE_BYTES_MAX, "{} bytes of styles", bytes_of(STYLE));
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
            .filter(|name| !name.ends_with(".json"))
            .collect();
        let served: BTreeSet<String> = ALL.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(there, served);
    }

    #[test]
    fn icons_that_pages_name_are_there() {
        let icons = ALL.iter().find(|file| file.name == "icons.svg").expect("icons").text;
        for page in crate::pages::ALL {
            assert!(icons.contains(&format!("id=\"{}\"", page.icon)), "{}", page.icon);
        }
    }
}
