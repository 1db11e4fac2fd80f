//! The gateway, through its front door.

mod forgery;
