//! The sample settings are read by the product and show every setting with its default.

use std::path::Path;

const IPBX: &str = include_str!("../../../../packaging/ipbx.toml");
const MANAGER: &str = include_str!("../../../../packaging/manager.toml");

#[test]
fn the_sample_of_a_call_server_has_every_setting_at_its_default() {
    let sample = ipbx::Config::parse(Path::new("ipbx.toml"), IPBX).unwrap();
    assert_eq!(sample, ipbx::Config::with_dir(sample.dir.clone()));
    for key in keys(&sample) {
        assert!(IPBX.contains(&format!("{key} = ")), "packaging/ipbx.toml does not show '{key}'");
    }
}

#[test]
fn the_sample_of_the_manager_has_every_setting_at_its_default() {
    let sample = manager::Config::parse(Path::new("manager.toml"), MANAGER).unwrap();
    assert_eq!(sample, manager::Config::new(&sample.dir));
    for key in keys(&sample) {
        assert!(MANAGER.contains(&format!("{key} = ")), "packaging/manager.toml does not show '{key}'");
    }
}

fn keys(config: &impl serde::Serialize) -> Vec<String> {
    let value = serde_json::to_value(config).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}
