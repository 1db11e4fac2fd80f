//! The unit for systemd: systemd accepts it, its promises fit the server, and the server
//! tells its manager when it is ready and when it stops.

use std::{fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

use crate::{
    common::{Home, Reply, command, get, model::Model},
    has, root, succeeds,
};

fn unit() -> String {
    fs::read_to_string(root().join("packaging/bartizan.service")).unwrap()
}

/// The value of a setting that stands once.
fn setting(name: &str) -> String {
    let unit = unit();
    let start = format!("{name}=");
    let found: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].to_owned()
}

#[test]
fn systemd_accepts_the_unit_and_finds_it_closed() {
    if !has("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bartizan.service");
    // The binary need not be installed here.
    let unit = unit().replace("/usr/local/bin/bartizan", crate::common::BINARY);
    fs::write(&path, unit).unwrap();
    let verify = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success() && !said.contains("bartizan.service"), "{said}");
    let script =
        "systemd-analyze security --no-pager --offline=true --threshold=20 bartizan.service";
    // Versions before 250 know no `--offline`.
    let help = succeeds(dir.path(), "systemd-analyze --help");
    if help.contains("--offline") {
        let table =
            succeeds(dir.path(), &script.replace("bartizan.service", path.to_str().unwrap()));
        println!("{}", table.lines().last().unwrap_or_default());
    }
}

#[test]
fn the_unit_waits_for_the_drain_and_starts_the_server() {
    let home = Home::new("http://127.0.0.1:9", "");
    let output = home.run(&["doctor", "--effective", "--format", "json"]);
    let drain = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|one| one["key"] == "data.drain_ms_max")
        .unwrap()["value"]
        .as_u64()
        .unwrap();
    let stop: u64 = setting("TimeoutStopSec").parse().unwrap();
    assert!(stop * 1000 >= drain + 10_000, "TimeoutStopSec={stop} cuts the drain of {drain} ms");
    assert_eq!(setting("Type"), "notify");
    let line = setting("ExecStart");
    let args: Vec<&str> = line.split(' ').skip(1).collect();
    assert_eq!(args, ["--config", "/etc/bartizan/bartizan.toml", "serve"]);
}

/// What the manager has heard.
fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("the server says nothing");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn the_manager_hears_that_it_serves_and_that_it_stops() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let path = home.dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut child = command(home.dir.path())
        .env("NOTIFY_SOCKET", &path)
        .arg("--config")
        .arg(home.config())
        .arg("serve")
        .spawn()
        .unwrap();
    assert_eq!(heard(&manager), "READY=1");
    // It serves from that moment on: the first try succeeds.
    let ready = get(home.admin_port, "/readyz", &[]);
    assert!(ready.as_ref().is_ok_and(|reply: &Reply| reply.status == 200), "{ready:?}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(heard(&manager), "STOPPING=1");
    assert!(child.wait().unwrap().success());
}
