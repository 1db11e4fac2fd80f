//! The list of what the doctor looks at. A new subject is a file and a line.

use super::{Look, configuration, database, directory, keys, ledger, listeners, routes, server};

pub(super) const ALL: &[Look] = &[
    |site| Box::pin(configuration::look(site)),
    |site| Box::pin(directory::look(site)),
    |site| Box::pin(server::look(site)),
    |site| Box::pin(keys::look(site)),
    |site| Box::pin(database::look(site)),
    |site| Box::pin(ledger::look(site)),
    |site| Box::pin(listeners::look(site)),
    |site| Box::pin(routes::look(site)),
];
