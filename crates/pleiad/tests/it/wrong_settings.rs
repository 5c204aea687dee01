//! A settings file that cannot be used is refused with the line and the fix, and nothing is started.

use std::process::{Command, Output};

fn start(role: &str, settings: &str) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, settings).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_pleiad")).args([role, "--config"]).arg(&file).output().unwrap();
    (folder, output)
}

#[test]
fn a_misspelt_setting_names_its_line_and_makes_nothing() {
    for role in ["ipbx", "manager"] {
        let (folder, output) = start(role, "dir = \"state\"\n\nbindd = \"127.0.0.1\"\n");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{role}: {said}");
        assert!(said.contains("line 3") && said.contains("bindd"), "{role}: {said}");
        assert!(!folder.path().join("state").exists(), "{role}: a refused start leaves nothing behind");
    }
}

#[test]
fn a_missing_file_is_named() {
    for role in ["ipbx", "manager"] {
        let output = Command::new(env!("CARGO_BIN_EXE_pleiad"))
            .args([role, "--config", "no-such-file.toml"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{role}: {said}");
        assert!(said.contains("no-such-file.toml"), "{role}: {said}");
    }
}

#[test]
fn ctl_without_a_login_says_how_to_log_in_with_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pleiad"))
        .args(["ctl", "map"])
        .env("XDG_CONFIG_HOME", folder.path())
        .env_remove("PLEIAD_USER")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("pleiad ctl login"), "{said}");
}
