//! The gateway, through its front door.

mod clock;
mod forgery;
