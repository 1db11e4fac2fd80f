//! A configuration file: any text ends in settings or a problem, and settings that are
//! written again are the same.
#![no_main]

use bartizan_gateway::config::GatewayConfig;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(config) = toml::from_str::<GatewayConfig>(text) else { return };
    let Ok(written) = toml::to_string(&config) else { return };
    let again: GatewayConfig = toml::from_str(&written).expect("what we write can be read");
    // Numbers that are none are never equal, and no setting is one.
    assert_eq!(again, config);
});
