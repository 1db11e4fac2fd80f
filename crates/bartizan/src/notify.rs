//! Tells a service manager how the server stands (the protocol of `sd_notify(3)`): one
//! datagram a message, to the socket that `NOTIFY_SOCKET` names. Without one, nothing is said.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Listening, with everything open.
pub(crate) const READY: &str = "READY=1";
/// Told to stop; running requests may end.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Says `state` to the service manager, where there is one. That it does not hear is logged:
/// the server serves all the same.
pub(crate) fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&name, state) {
        tracing::warn!(%error, state, "the service manager could not be told");
    }
}

/// A name that begins with `@` is one of the abstract names, which are no files.
fn send(name: &OsStr, state: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_manager_hears_on_a_file_and_on_an_abstract_name() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        send(path.as_os_str(), READY).expect("sent");
        assert_eq!(heard(&socket), READY);

        let name = format!("bartizan-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("bound");
        send(format!("@{name}").as_ref(), STOPPING).expect("sent");
        assert_eq!(heard(&socket), STOPPING);
    }

    #[test]
    fn a_manager_that_is_gone_is_an_error_and_no_more() {
        send("/nowhere/at/all".as_ref(), READY).expect_err("nobody listens");
        send("".as_ref(), READY).expect_err("an empty name");
    }
}
