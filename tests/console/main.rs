//! The console, black box: people sign in through a real provider of OpenID Connect
//! (npm `oidc-provider`, installed below `target/`). Without Node.js or the packages this
//! says loudly that it was skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use common::{Home, Reply, free_port};

/// Where the packages are, installed once; nothing where they cannot be.
fn packages() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console");
    let there = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-provider");
    std::fs::create_dir_all(&there).unwrap();
    // Tests of several processes may come at once: the first installs, the others wait.
    let lock = std::fs::File::create(there.join("lock")).unwrap();
    lock.lock().unwrap();
    let installed = there.join("node_modules/oidc-provider/package.json").is_file()
        && std::fs::read(there.join("package-lock.json")).ok()
            == std::fs::read(here.join("package-lock.json")).ok();
    for name in ["package.json", "package-lock.json", "provider.mjs"] {
        std::fs::copy(here.join(name), there.join(name)).unwrap();
    }
    if installed {
        return Some(there);
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let npm = Command::new("npm").args(arguments).current_dir(&there).output();
    match npm {
        Ok(output) if output.status.success() => Some(there),
        Ok(output) => skipped(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => skipped(&error.to_string()),
    }
}

fn skipped(why: &str) -> Option<PathBuf> {
    eprintln!("!! SKIPPED: sign-in through a real provider: `npm ci` failed: {why}");
    None
}

/// A provider that runs.
struct Provider {
    child: Child,
    port: u16,
}

impl Provider {
    fn start(packages: &Path, algorithm: &str, redirect: &str) -> Option<Self> {
        let port = free_port();
        let child = Command::new("node")
            .args(["provider.mjs", algorithm, &port.to_string(), redirect])
            .current_dir(packages)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            skipped("there is no `node`");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("http://127.0.0.1:{port}"), "the provider did not start");
        Some(Self { child, port })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A browser: cookies by port, and no JavaScript.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<(u16, String), String>,
}

impl Browser {
    /// One request, to where a URL of this machine leads.
    fn send(&mut self, method: &str, url: &str, form: &str) -> Reply {
        let rest = url.strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{url}"));
        let (port, path) = rest.split_once('/').unwrap();
        let port: u16 = port.parse().unwrap();
        let own = self.cookies.iter().filter(|((at, _), _)| *at == port);
        let cookies: Vec<_> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let host = format!("127.0.0.1:{port}");
        let mut headers =
            vec![("host", host.as_str()), ("accept", "text/html"), ("cookie", cookies.as_str())];
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let reply = common::request(port, method, &format!("/{path}"), &headers, form.as_bytes());
        let reply = reply.unwrap();
        for (name, value) in &reply.headers {
            if name == "set-cookie" {
                let (name, value) = value.split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert((port, name.to_owned()), value.to_owned());
            }
        }
        reply
    }

    /// Follows redirects until there is a page, or something that is wrong.
    fn follow(&mut self, mut url: String) -> (String, Reply) {
        for _ in 0..12 {
            let reply = self.send("GET", &url, "");
            let Some(to) = reply.header("location").filter(|_| (300..400).contains(&reply.status))
            else {
                return (url, reply);
            };
            url = match to.strip_prefix('/') {
                Some(path) => format!("{}/{path}", base(&url)),
                None => to.to_owned(),
            };
        }
        panic!("too many redirects, the last to {url}");
    }

    /// Signs in at the provider as this person, and comes back.
    fn through(&mut self, console: &str, person: &str) -> (String, Reply) {
        let (mut url, mut page) = self.follow(format!("{console}/sign-in/oidc?to=/api/v1/account"));
        for _ in 0..3 {
            let text = page.text();
            let Some(action) =
                text.split("action=\"").nth(1).filter(|_| url.contains("/interaction/"))
            else {
                break;
            };
            let action = action.split('"').next().unwrap().replace("&amp;", "&");
            let target = match action.strip_prefix('/') {
                Some(path) => format!("{}/{path}", base(&url)),
                None => action,
            };
            let prompt = if text.contains("value=\"login\"") { "login" } else { "consent" };
            let form = format!("prompt={prompt}&login={person}&password=any");
            let reply = self.send("POST", &target, &form);
            let to = reply
                .header("location")
                .unwrap_or_else(|| panic!("{}: {}", reply.status, reply.text()));
            let to = match to.strip_prefix('/') {
                Some(path) => format!("{}/{path}", base(&target)),
                None => to.to_owned(),
            };
            (url, page) = self.follow(to);
        }
        (url, page)
    }
}

fn base(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}

fn try_all(algorithm: &str) {
    let Some(packages) = packages() else { return };
    let home = Home::new("http://127.0.0.1:9", "");
    let console = format!("http://127.0.0.1:{}", home.admin_port);
    let redirect = format!("{console}/sign-in/oidc/callback");
    let Some(provider) = Provider::start(&packages, algorithm, &redirect) else { return };
    let secret = home.dir.path().join("client.secret");
    std::fs::write(&secret, "a secret of the test: 100% & more\n").unwrap();
    home.configure(
        "http://127.0.0.1:9",
        &format!(
            "[people.oidc]\nissuer = \"http://127.0.0.1:{}\"\nclient_id = \"bartizan\"\nclient_secret_file = \"{}\"\nlabel = \"the test\"\n[people.oidc.roles]\nsec-admins = \"administrator\"\nsoc = \"analyst\"\n",
            provider.port,
            secret.display()
        ),
    );
    let server = home.serve();
    for (person, role) in [("ada", "administrator"), ("sam", "analyst")] {
        let mut browser = Browser::default();
        let (url, page) = browser.through(&console, person);
        assert_eq!(
            url,
            format!("{console}/api/v1/account"),
            "{}: {}\n{}",
            page.status,
            page.text(),
            home.log()
        );
        let me = page.json();
        assert_eq!(
            (&me["name"], &me["role"], &me["origin"]),
            (&person.into(), &role.into(), &"oidc".into())
        );
    }
    let mut browser = Browser::default();
    let (_, page) = browser.through(&console, "eve");
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("none of the groups"), "{}", page.text());
    let listed = home.run(&["people", "list", "--format", "json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    drop(server);
}

#[test]
fn people_sign_in_through_a_real_provider_by_rs256() {
    try_all("RS256");
}

#[test]
fn people_sign_in_through_a_real_provider_by_es256() {
    try_all("ES256");
}

#[test]
fn people_sign_in_through_a_real_provider_by_eddsa() {
    try_all("EdDSA");
}
