//! Export and import.

use bartizan_store::{Error, ExportOptions, Imported, Query, Sealing};
use proptest::prelude::*;
use serde_json::json;

use super::*;

async fn filled() -> House {
    let house = House::new().await;
    for n in 0..7 {
        house.clock.advance_ms(1);
        let id = house
            .note(&tenant("a"), if n % 2 == 0 { "red" } else { "blue" }, &format!("text {n}"))
            .await;
        if n == 3 {
            let text = json!("changed");
            let meta = meta(&[("color", "green")]);
            house
                .store
                .replace(&tenant("a"), &NOTE, id, 1, meta, Some(&text))
                .await
                .expect("replaced");
        }
    }
    house.store.put(&tenant("b"), &BLOB, Id::new(&house.cx), Map::new(), None).await.expect("put");
    house
}

async fn export(house: &House, sealing: Sealing) -> Vec<u8> {
    let mut out = Vec::new();
    let options = ExportOptions { sealing, tenant: None };
    let exported = house.store.export(&mut out, &options).await.expect("exported");
    assert_eq!((exported.tenants, exported.records), (2, 8));
    out
}

async fn import(house: &House, bytes: &[u8]) -> bartizan_store::Result<Imported> {
    house.store.import(&mut &*bytes).await
}

async fn everything(house: &House) -> Vec<bartizan_store::Record> {
    let mut all = Vec::new();
    for (tenant, class) in [("a", &NOTE), ("b", &BLOB)] {
        let query = Query { limit: 500, ..Query::new(class) };
        all.extend(house.store.list(&super::tenant(tenant), &query).await.expect("listed").records);
    }
    all
}

#[tokio::test]
async fn an_export_in_clear_goes_into_any_store() {
    let (from, to) = (filled().await, House::new().await);
    let bytes = export(&from, Sealing::Clear).await;
    assert!(holds(&bytes, b"text 6"));
    let added = Imported { added: 8, ..Imported::default() };
    assert_eq!(import(&to, &bytes).await.expect("imported"), added);
    assert_eq!(everything(&to).await, everything(&from).await);
    let again = import(&to, &bytes).await.expect("imported again");
    assert_eq!(again, Imported { kept: 8, ..Imported::default() });
    assert_eq!(everything(&to).await, everything(&from).await);
    let green = Query { filters: vec![("color", "green".into())], ..Query::new(&NOTE) };
    assert_eq!(to.store.list(&tenant("a"), &green).await.expect("listed").records.len(), 1);
}

#[tokio::test]
async fn an_encrypted_export_goes_into_a_store_with_the_same_master_key_only() {
    let (from, to) = (filled().await, House::new().await);
    let bytes = export(&from, Sealing::Encrypted).await;
    assert!(!holds(&bytes, b"text 6"));
    let stranger = import(&to, &bytes).await.expect_err("another master key").to_string();
    assert!(
        stranger.contains("line 2 of the export") && stranger.contains("is not the one"),
        "{stranger}"
    );
    assert_eq!(everything(&to).await, []);

    let same = tempfile::tempdir().expect("a directory");
    std::fs::copy(from.path().join("master.key"), same.path().join("master.key")).expect("copied");
    let (cx, clock) = sim::cx(rand_seed());
    let store = open(same.path(), &cx).await.expect("opened");
    let to = House { store, settings: StoreSettings::default(), dir: same, cx, clock };
    assert_eq!(import(&to, &bytes).await.expect("imported").added, 8);
    assert_eq!(everything(&to).await, everything(&from).await);
    assert_eq!(import(&to, &bytes).await.expect("again").kept, 8);
    let tag = async |house: &House| house.store.tenant_tag(&tenant("a")).await.expect("a tag");
    assert_eq!(tag(&to).await, tag(&from).await, "digests keep their values");

    to.store.erase_tenant(&tenant("a")).await.expect("erased");
    let after = import(&to, &bytes).await.expect("imported");
    assert_eq!((after.erased, after.kept), (7, 1), "an erased tenant does not come back");
}

#[tokio::test]
async fn a_newer_version_of_a_record_stays_and_an_older_one_goes() {
    let (from, to) = (filled().await, House::new().await);
    let early = export(&from, Sealing::Clear).await;
    import(&to, &early).await.expect("imported");
    let id = everything(&from).await[0].id;
    let change = async |house: &House, version, color| {
        let meta = meta(&[("color", color)]);
        house.store.replace(&tenant("a"), &NOTE, id, version, meta, None).await.expect("replaced");
    };
    change(&from, 1, "black").await;
    change(&to, 1, "white").await;
    change(&to, 2, "grey").await;
    let late = export(&from, Sealing::Clear).await;
    let imported = import(&to, &late).await.expect("imported");
    assert_eq!((imported.updated, imported.kept), (0, 8));
    change(&from, 2, "black").await;
    change(&from, 3, "black").await;
    let later = export(&from, Sealing::Clear).await;
    let imported = import(&to, &later).await.expect("imported");
    assert_eq!((imported.updated, imported.kept), (1, 7));
    assert_eq!(everything(&to).await[0].meta["color"], "black");
}

#[tokio::test]
async fn one_tenant_can_be_exported_alone() {
    let house = filled().await;
    let mut out = Vec::new();
    let options = ExportOptions { sealing: Sealing::Clear, tenant: Some(tenant("b")) };
    let exported = house.store.export(&mut out, &options).await.expect("exported");
    assert_eq!((exported.tenants, exported.records), (1, 1));
    assert!(!holds(&out, b"\"tenant\":\"a\""));
}

#[tokio::test]
async fn a_cut_export_is_noticed_at_every_byte() {
    let (from, to) = (filled().await, House::new().await);
    let bytes = export(&from, Sealing::Clear).await;
    for len in 0..bytes.len() - 1 {
        // A cut line, a missing last line, or no header: never taken for the whole.
        let error = import(&to, &bytes[..len]).await.expect_err("cut");
        assert!(
            matches!(
                error,
                Error::NotAnExport | Error::ExportLine { .. } | Error::ExportCut { .. }
            ),
            "{len}: {error}"
        );
    }
    import(&to, &bytes).await.expect("whole");
    assert_eq!(everything(&to).await, everything(&from).await);
}

#[tokio::test]
async fn what_is_no_export_is_refused_with_its_line() {
    let (from, to) = (filled().await, House::new().await);
    let good = String::from_utf8(export(&from, Sealing::Clear).await).expect("UTF-8");
    let lines: Vec<&str> = good.lines().collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        lines.join("\n")
    };
    let said =
        async |text: String| import(&to, text.as_bytes()).await.expect_err("refused").to_string();
    assert!(said(String::new()).await.contains("is not a header"));
    assert!(said("{\"a\":1}".into()).await.contains("is not a header"));
    let version = said(with(0, "{\"bartizan_export\":2,\"new\":[]}")).await;
    assert!(version.contains("format 2") && version.contains("reads format 1"), "{version}");
    for (at, line, part) in [
        (3, "{", "line 4 of the export: it is no line of an export"),
        (3, "{\"kind\":\"surprise\"}", "unknown variant `surprise`"),
        (3, "{\"kind\":\"end\",\"records\":8}", "it ends an export of 8 records, and 2 were read"),
        (9, "{\"kind\":\"end\",\"records\":9}", "it ends an export of 9 records, and 8 were read"),
    ] {
        let error = said(with(at, line)).await;
        assert!(error.contains(part), "{error}");
    }
    let class = said(with(2, &lines[2].replace("\"note\"", "\"nope\""))).await;
    assert!(class.contains("`nope` is no class of data"), "{class}");
    let field = said(with(2, &lines[2].replace("\"version\"", "\"revision\""))).await;
    assert!(field.contains("unknown field `revision`"), "{field}");
}

#[tokio::test]
async fn an_altered_encrypted_export_is_noticed() {
    let from = filled().await;
    let good = String::from_utf8(export(&from, Sealing::Encrypted).await).expect("UTF-8");
    let changes = [
        ("green", "black"),
        ("\"version\":2", "\"version\":3"),
        ("\"kind\":\"data_key\",\"tenant\":\"a\"", "\"kind\":\"data_key\",\"tenant\":\"c\""),
    ];
    for (part, other) in changes {
        assert!(good.contains(part), "{part}");
        let to = House::new().await;
        std::fs::copy(from.path().join("master.key"), to.path().join("master.key"))
            .expect("copied");
        let to = House { store: open(to.path(), &to.cx).await.expect("opened"), ..to };
        let error = import(&to, good.replace(part, other).as_bytes()).await.expect_err("altered");
        assert!(error.to_string().contains("altered"), "{error}");
    }
}

#[tokio::test]
async fn an_export_does_not_launder_what_was_altered() {
    let house = filled().await;
    house.tamper("UPDATE records SET meta = '{}' WHERE number = 2").await;
    for sealing in [Sealing::Clear, Sealing::Encrypted] {
        let options = ExportOptions { sealing, tenant: None };
        let error = house.store.export(&mut Vec::new(), &options).await.expect_err("altered");
        assert!(matches!(error, Error::Altered { .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_imported_or_refused(lines in proptest::collection::vec(prop_oneof![
        ".{0,60}",
        Just("{\"kind\":\"end\",\"records\":0}".to_owned()),
        (".{0,8}", ".{0,8}", any::<u64>()).prop_map(|(tenant, class, version)| json!({
            "kind": "record", "tenant": tenant, "class": class, "id": "0190c5a4-7b1e-7c3a-9f00-3c1d2e4f5a6b",
            "time": "2026-01-01T00:00:00Z", "version": version, "meta": {},
        }).to_string()),
        any::<u64>().prop_map(|version| json!({
            "kind": "record", "tenant": "a", "class": "note", "id": "0190c5a4-7b1e-7c3a-9f00-3c1d2e4f5a6b",
            "time": "2026-01-01T00:00:00Z", "version": version, "meta": {"color": "red"}, "sealed": [1],
        }).to_string()),
    ], 0..8)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let house = House::new().await;
            let header = "{\"bartizan_export\":1,\"sealing\":\"clear\",\"time\":\"2026-01-01T00:00:00Z\"}";
            let text = format!("{header}\n{}", lines.join("\n"));
            let _imported_or_refused = import(&house, text.as_bytes()).await;
            // Whatever came in can be read.
            house.store.list(&tenant("a"), &Query::new(&NOTE)).await.expect("listed");
        });
    }
}
