//! Cursors from outside: only the one that the store gave is taken.
#![no_main]

use std::sync::LazyLock;

use bartizan_core::{Id, Tenant, sim};
use bartizan_store::{Class, Cursor, Error, Query, Retention, Store, StoreSettings};

const NOTE: Class = Class { name: "note", facets: &[], retention: Retention::FOREVER };
const CLASSES: &[&Class] = &[&NOTE];

struct House {
    runtime: tokio::runtime::Runtime,
    store: Store,
    given: Cursor,
    _dir: tempfile::TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let (cx, _) = sim::cx(1);
    let settings = StoreSettings::default();
    let (store, given) = runtime.block_on(async {
        let store = Store::open(&settings, dir.path(), CLASSES, &cx).await.expect("opened");
        let (tenant, query) = (Tenant::default(), Query { limit: 1, ..Query::new(&NOTE) });
        for _ in 0..2 {
            let put = store.put(&tenant, &NOTE, Id::new(&cx), Default::default(), None);
            put.await.expect("put");
        }
        let page = store.list(&tenant, &query).await.expect("listed");
        let given = page.next.expect("one more");
        (store, given)
    });
    House { runtime, store, given, _dir: dir }
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let House { runtime, store, given, .. } = &*HOUSE;
    let query = Query { limit: 1, after: Some(Cursor::from(text)), ..Query::new(&NOTE) };
    let page = runtime.block_on(store.list(&Tenant::default(), &query));
    assert_eq!(page.is_ok(), text == given.as_str());
    assert!(matches!(page, Ok(_) | Err(Error::Cursor(_))));
});
