//! The sample settings are read by the product and show every setting with its default.

use std::path::Path;

const IPBX: &str = include_str!("../../../../packaging/ipbx.toml");
const MANAGER: &str = include_str!("../../../../packaging/manager.toml");

#[test]
fn the_sample_of_a_call_server_has_every_setting_at_its_default() {
    let sample = ipbx::Config::parse(Path::new("ipbx.toml"), IPBX).unwrap();
    assert_eq!(sample, ipbx::Config::with_dir(sample.dir.clone()));
    let missing = not_shown(IPBX, &sample);
    assert!(missing.is_empty(), "packaging/ipbx.toml does not show {missing:?}");
}

#[test]
fn the_sample_of_the_manager_has_every_setting_at_its_default() {
    let sample = manager::Config::parse(Path::new("manager.toml"), MANAGER).unwrap();
    assert_eq!(sample, manager::Config::new(&sample.dir));
    let missing = not_shown(MANAGER, &sample);
    assert!(missing.is_empty(), "packaging/manager.toml does not show {missing:?}");
}

/// The settings, those of tables too, that the sample leaves out.
fn not_shown(sample: &str, config: &impl serde::Serialize) -> Vec<String> {
    let value = serde_json::to_value(config).unwrap();
    let settings = value.as_object().unwrap().iter().flat_map(|(key, value)| match value.as_object() {
        None => vec![format!("{key} = ")],
        Some(table) => {
            let inside = table.keys().map(|key| format!("{key} = "));
            std::iter::once(format!("[{key}]")).chain(inside).collect()
        }
    });
    settings.filter(|line| !sample.contains(line)).collect()
}
