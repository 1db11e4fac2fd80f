//! The data directory: there, a folder, private, writable.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
};

use super::{Found, Site, private};
use crate::lock::LOCK_FILE;

const WHAT: &str = "data directory";
const ELSEWHERE: &str = "make it a folder that you may write to, or name another with `data_dir`";

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    let dir = &site.loaded.config.data_dir;
    let shown = dir.display();
    vec![match fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Found::note(WHAT, format!("`{shown}` is not there yet; the first start makes it"))
        }
        Err(error) => Found::bad(WHAT, format!("`{shown}`: {error}"), ELSEWHERE),
        Ok(meta) if !meta.is_dir() => {
            Found::bad(WHAT, format!("`{shown}` is no folder"), ELSEWHERE)
        }
        // Opening a file that is there already, to write to it, changes nothing.
        Ok(meta) => match OpenOptions::new().write(true).open(dir.join(LOCK_FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Found::bad(WHAT, format!("`{shown}` cannot be written to: {error}"), ELSEWHERE)
            }
            _ if meta.permissions().readonly() => {
                Found::bad(WHAT, format!("`{shown}` is read-only"), ELSEWHERE)
            }
            _ => private(WHAT, dir),
        },
    }]
}
