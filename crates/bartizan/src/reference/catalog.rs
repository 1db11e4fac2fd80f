//! The list of pages. A new one is a file and a line.

use super::{Page, administration, command_line, configuration, rules};

pub(crate) const ALL: &[Page] = &[
    Page { file: "configuration.md", write: configuration::page },
    Page { file: "command-line.md", write: command_line::page },
    Page { file: "rules.md", write: rules::page },
    Page { file: "administration.md", write: administration::page },
    Page { file: "openapi.json", write: administration::document },
];
