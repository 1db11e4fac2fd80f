//! A disk that is full, and a database that another process holds.
