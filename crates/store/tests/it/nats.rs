//! The bus over NATS: several nodes, and servers that die.
