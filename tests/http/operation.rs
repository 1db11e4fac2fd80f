//! Starting, stopping, reloading: nothing dropped, nothing half in force.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::common::{
    self, Home,
    model::{Model, say},
};

#[test]
fn sigterm_lets_running_requests_end() {
    let model = Model::new(|_, body| {
        std::thread::sleep(Duration::from_millis(800));
        say("slow but whole", body)
    });
    let home = Home::new(&model.url(), "");
    let key = home.key("k");
    let mut server = home.serve();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.chat(&key, "hi"));
        while model.seen().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.signal("-TERM");
        let reply = running.join().unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    });
    let status = server.child.wait().unwrap();
    assert!(status.success(), "{status}: {}", home.log());
    assert!(TcpStream::connect(("127.0.0.1", home.data_port)).is_err());
}

#[test]
fn sighup_reloads_whole_or_not_at_all() {
    let (one, two) = (Model::saying("one"), Model::saying("two"));
    let home = Home::new(&one.url(), "");
    let key = home.key("k");
    let server = home.serve();
    assert!(server.chat(&key, "hi").text().contains("one"));
    home.configure(&two.url(), "nonsense = 1\n");
    server.signal("-HUP");
    home.says("nonsense");
    assert!(server.chat(&key, "hi").text().contains("one"), "a wrong configuration took effect");
    home.configure(&two.url(), "");
    server.signal("-HUP");
    let until = Instant::now() + Duration::from_secs(10);
    while !server.chat(&key, "hi").text().contains("two") {
        assert!(Instant::now() < until, "the new configuration never took effect: {}", home.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn people_are_configured_anew_on_sighup_whole_or_not_at_all() {
    let (one, two) = (Model::saying("one"), Model::saying("two"));
    let home = Home::new(&one.url(), "");
    let key = home.key("k");
    let server = home.serve();
    let sign_in = || common::get(home.admin_port, "/sign-in", &[]).unwrap().text();
    assert!(!sign_in().contains("Example"), "{}", sign_in());
    let oidc = |more: &str| {
        format!(
            "[people.oidc]\nissuer = \"https://login.example\"\nclient_id = \"b\"\nlabel = \"Example\"\n{more}"
        )
    };
    let until = Instant::now() + Duration::from_secs(10);
    let wait = |says: &str| {
        while !home.log().contains(says) {
            assert!(Instant::now() < until, "expected `{says}`: {}", home.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Nobody could get in by it: neither that nor the other model is taken.
    home.configure(&two.url(), &oidc(""));
    server.signal("-HUP");
    wait("neither `roles` nor `role_default` is set");
    assert!(!sign_in().contains("Example"), "a wrong configuration took effect");
    assert!(server.chat(&key, "hi").text().contains("one"), "half of a configuration took effect");
    home.configure(&two.url(), &oidc("role_default = \"auditor\"\n"));
    server.signal("-HUP");
    while !sign_in().contains("Example") {
        assert!(Instant::now() < until, "it never took effect: {}", home.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(server.chat(&key, "hi").text().contains("two"));
    assert!(!home.log().contains("count from the next start on"), "{}", home.log());
}

/// Writes a fresh self-signed certificate for this machine over the last one.
fn certify(home: &Home) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(home.dir.path().join("server.pem"), made.cert.pem()).unwrap();
    std::fs::write(home.dir.path().join("server.key"), made.signing_key.serialize_pem()).unwrap();
}

/// Whether the data plane answers over TLS with the certificate that is in the file now.
fn answers_over_tls(home: &Home) -> bool {
    let settings = bartizan_net::Settings {
        allow: vec!["127.0.0.1".to_owned()],
        ca_file: Some(home.dir.path().join("server.pem")),
    };
    let url = format!("https://127.0.0.1:{}/healthz", home.data_port).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = bartizan_net::Client::new(&settings).unwrap();
        let request = bartizan_net::Request::new(http::Method::GET, url);
        client.send(request).await.is_ok_and(|answer| answer.status == 200)
    })
}

#[test]
fn a_new_certificate_is_taken_over_on_sighup_and_a_broken_one_is_not() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    certify(&home);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let tls = "[data.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n[admin]";
    std::fs::write(home.config(), text.replace("[admin]", tls)).unwrap();
    let server = home.serve();
    assert!(answers_over_tls(&home), "{}", home.log());
    let good = std::fs::read(home.dir.path().join("server.pem")).unwrap();
    std::fs::write(home.dir.path().join("server.pem"), "no certificate").unwrap();
    server.signal("-HUP");
    home.says("BEGIN CERTIFICATE");
    std::fs::write(home.dir.path().join("server.pem"), good).unwrap();
    assert!(answers_over_tls(&home), "a broken certificate took effect");
    certify(&home);
    assert!(!answers_over_tls(&home), "the certificate changed before it was asked to");
    server.signal("-HUP");
    let until = Instant::now() + Duration::from_secs(10);
    while !answers_over_tls(&home) {
        assert!(Instant::now() < until, "the new certificate never took effect: {}", home.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_second_server_on_the_same_directory_or_port_is_refused() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let _server = home.serve();
    let second = home.run(&["serve"]);
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("data"), "{said}");
    let other = Home::new(&model.url(), "");
    let text = std::fs::read_to_string(other.config())
        .unwrap()
        .replace(&format!(":{}", other.data_port), &format!(":{}", home.data_port));
    std::fs::write(other.config(), text).unwrap();
    let taken = other.run(&["serve"]);
    assert_eq!(taken.status.code(), Some(2));
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(said.contains(&home.data_port.to_string()), "{said}");
}

#[test]
fn a_client_that_is_slow_with_its_head_is_dropped() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let text = std::fs::read_to_string(home.config())
        .unwrap()
        .replace("[admin]", "header_ms_max = 300\n[admin]");
    std::fs::write(home.config(), text).unwrap();
    let _server = home.serve();
    let mut stream = TcpStream::connect(("127.0.0.1", home.data_port)).unwrap();
    stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Either an answer that says so, or an end; not a connection that stays.
    let _answer = common::read_reply(&stream);
}

#[test]
fn health_and_metrics_are_served() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let key = home.key("k");
    let server = home.serve();
    server.chat(&key, "hi");
    for port in [home.data_port, home.admin_port] {
        assert_eq!(common::get(port, "/healthz", &[]).unwrap().status, 200);
        assert_eq!(common::get(port, "/readyz", &[]).unwrap().status, 200);
    }
    let metrics = common::get(home.admin_port, "/metrics", &[]).unwrap().text();
    assert!(metrics.contains("bartizan_requests_total{route=\"chat\""), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[test]
fn a_collector_gets_a_span_with_the_names_of_the_conventions() {
    let model = Model::saying("hello");
    let collector = Model::saying("");
    let home = Home::new(
        &model.url(),
        &format!("[log]\ntraces_url = \"{}/v1/traces\"\n", collector.url()),
    );
    let key = home.key("k");
    let server = home.serve();
    assert_eq!(server.chat(&key, "hi").status, 200);
    let until = Instant::now() + Duration::from_secs(20);
    while collector.seen().is_empty() {
        assert!(Instant::now() < until, "no span came: {}", home.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (path, body) = collector.seen().remove(0);
    assert_eq!(path, "/v1/traces");
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "chat test-model");
    let attributes = span["attributes"].as_array().unwrap();
    let input = attributes.iter().find(|a| a["key"] == "gen_ai.usage.input_tokens").unwrap();
    assert_eq!(input["value"]["intValue"], "5", "{span}");
}
