//! Where the client goes, and where it does not.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_net::{Client, Error, Kind, Lookup, Resolve};

use crate::server::{Server, allowing, get};

/// Answers with each of its lists in turn, and with the last from then on.
#[derive(Debug)]
struct Answers {
    lists: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Answers {
    fn new(lists: &[&[&str]]) -> Arc<Self> {
        let read = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { lists: lists.iter().map(read).collect(), asked: AtomicUsize::new(0) })
    }
}

impl Resolve for Answers {
    fn resolve<'a>(&'a self, _host: &'a str) -> Lookup<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let list = self.lists.get(asked).or(self.lists.last()).cloned();
        Box::pin(async move { list.ok_or_else(|| io::Error::other("no such name")) })
    }
}

async fn kind_refused(allow: &[&str], url: &str) -> Option<Kind> {
    match Client::new(&allowing(allow)).unwrap().send(get(url)).await {
        Err(Error::Refused { kind, .. }) => Some(kind),
        _ => None,
    }
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_as_they_stand() {
    for (url, kind) in [
        ("https://127.0.0.1/", Kind::Loopback),
        ("https://[::1]/", Kind::Loopback),
        ("https://[::ffff:127.0.0.1]/", Kind::Loopback),
        ("https://0.0.0.0/", Kind::Loopback),
        ("https://10.0.0.1:8443/", Kind::Private),
        ("https://[fd00::1]/", Kind::Private),
        ("https://169.254.169.254/latest/meta-data/", Kind::Metadata),
        ("https://[fd00:ec2::254]/", Kind::Metadata),
        ("https://[64:ff9b::a9fe:a9fe]/", Kind::Metadata),
        ("https://169.254.1.1/", Kind::LinkLocal),
    ] {
        assert_eq!(kind_refused(&[], url).await, Some(kind), "{url}");
    }
}

#[tokio::test]
async fn other_spellings_of_this_machine_are_refused_too() {
    // Some are refused as server names, some by the system's resolver, and those that
    // it reads as 127.0.0.1 by their address. None gets through.
    let server = Server::sends("HTTP/1.1 200 OK\r\n\r\nsecrets").await;
    for host in ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1."] {
        let client = Client::new(&allowing(&[])).unwrap();
        let url = format!("https://{host}:{}/", server.address.port());
        let problem = client.send(get(&url)).await.unwrap_err();
        assert!(problem.is_unsent(), "{host}: {problem}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    for (list, kind) in [
        (&["10.1.2.3"][..], Kind::Private),
        (&["169.254.169.254"], Kind::Metadata),
        (&["::1", "127.0.0.1"], Kind::Loopback),
    ] {
        let client = Client::with_resolver(&allowing(&[]), Answers::new(&[list])).unwrap();
        let problem = client.send(get("https://innocent.test/")).await.unwrap_err();
        assert!(
            matches!(problem, Error::Refused { kind: found, .. } if found == kind),
            "{problem}"
        );
        assert!(problem.is_unsent());
    }
}

#[tokio::test]
async fn a_listed_name_does_not_lead_to_the_metadata_service() {
    let answers = Answers::new(&[&["169.254.169.254"]]);
    let client = Client::with_resolver(&allowing(&["innocent.test"]), answers).unwrap();
    let problem = client.send(get("http://innocent.test/")).await.unwrap_err();
    assert!(matches!(problem, Error::Refused { kind: Kind::Metadata, .. }), "{problem}");
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_tried() {
    let server = Server::sends("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let answers = Answers::new(&[&["169.254.169.254", "127.0.0.1", "fd00:ec2::254"]]);
    let client = Client::with_resolver(&allowing(&["mixed.test"]), answers.clone()).unwrap();
    let url = format!("http://mixed.test:{}/path", server.address.port());
    assert_eq!(client.send(get(&url)).await.unwrap().body.all().await.unwrap(), "ok");
    assert_eq!(answers.asked.load(Ordering::SeqCst), 1, "resolved once");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_each_time() {
    let server = Server::sends("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let answers = Answers::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let client = Client::with_resolver(&allowing(&["rebinding.test"]), answers.clone()).unwrap();
    let url = format!("http://rebinding.test:{}/path", server.address.port());
    let answer = client.send(get(&url)).await.unwrap();
    assert_eq!(answer.body.all().await.unwrap(), "ok");
    let problem = client.send(get(&url)).await.unwrap_err();
    assert!(matches!(problem, Error::Refused { kind: Kind::Metadata, .. }), "{problem}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_address_that_does_not_answer_makes_way_for_the_next() {
    let server = Server::sends("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    // 192.0.2.1 is for documentation (RFC 5737): nothing answers there.
    let answers = Answers::new(&[&["192.0.2.1", "127.0.0.1"]]);
    let client = Client::with_resolver(&allowing(&["slow.test"]), answers).unwrap();
    let client = client.connect_within(Duration::from_secs(5));
    let url = format!("http://slow.test:{}/path", server.address.port());
    assert_eq!(client.send(get(&url)).await.unwrap().body.all().await.unwrap(), "ok");
}

#[tokio::test]
async fn a_name_without_addresses_cannot_be_resolved() {
    for lists in [&[][..], &[&[][..]]] {
        let client = Client::with_resolver(&allowing(&[]), Answers::new(lists)).unwrap();
        let problem = client.send(get("https://nowhere.test/")).await.unwrap_err();
        assert!(matches!(problem, Error::Resolve { .. }), "{problem}");
    }
}

#[tokio::test]
async fn plain_http_goes_to_listed_hosts_only() {
    let client = Client::new(&allowing(&["10.0.0.0/8"])).unwrap();
    let problem = client.send(get("http://example.com/")).await.unwrap_err();
    assert_eq!(problem, Error::PlainHttp { host: "example.com".to_owned() });
    assert_eq!(client.check(&"http://10.1.2.3/".parse().unwrap()), Ok(()));
    assert_eq!(client.check(&"https://example.com/".parse().unwrap()), Ok(()));
}

#[tokio::test]
async fn urls_that_carry_more_than_an_address_are_refused() {
    let client = Client::new(&allowing(&[])).unwrap();
    for url in ["https://key:secret@example.com/", "/path", "ftp://example.com/", "example.com"] {
        let problem = client.send(get(url)).await.unwrap_err();
        assert!(matches!(problem, Error::Url { .. }), "{url}: {problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
}
