//! The import of an export: any bytes are taken or refused, and what was taken can be read.
#![no_main]

use std::sync::LazyLock;

use bartizan_core::{Tenant, sim};
use bartizan_store::{Class, Query, Retention, Store, StoreSettings};

const NOTE: Class = Class { name: "note", facets: &["color"], retention: Retention::FOREVER };
const CLASSES: &[&Class] = &[&NOTE];

static HOUSE: LazyLock<(tokio::runtime::Runtime, Store, tempfile::TempDir)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let (cx, _) = sim::cx(1);
    let settings = StoreSettings::default();
    let store = runtime.block_on(Store::open(&settings, dir.path(), CLASSES, &cx)).expect("opened");
    (runtime, store, dir)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (runtime, store, _) = &*HOUSE;
    runtime.block_on(async {
        let _taken_or_refused = store.import(&mut &*bytes).await;
        for tenant in store.tenants().await.expect("tenants") {
            store.list(&tenant, &Query::new(&NOTE)).await.expect("what came in can be read");
            store.erase_tenant(&tenant).await.expect("erased");
        }
        assert_eq!(store.tenants().await.expect("tenants"), Vec::<Tenant>::new());
    });
});
