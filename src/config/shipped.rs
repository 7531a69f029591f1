//! The configuration file of the package shows every key with its default.

use super::Config;
use crate::recognition::Gates;

/// What is installed as `/etc/recocomp/recocomp.toml`.
const SHIPPED: &str = include_str!("../../systemd/recocomp.toml");

#[test]
fn the_shipped_file_changes_nothing_and_shows_every_default() {
    assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
    // Sentences keep the blank behind their "#".
    let uncommented: String = (SHIPPED.lines())
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let shown = Config::parse(&uncommented).unwrap();
    let models = shown.models.clone();
    // What has no default that could be shown: the networks are inside the program, other values come from a model or a board.
    let mut defaults = Config {
        models: models.clone(),
        ..Config::default()
    };
    defaults.liveness.threshold = shown.liveness.threshold;
    defaults.door.token_file = shown.door.token_file.clone();
    defaults.door.pulse_ms = shown.door.pulse_ms;
    // Limits that are not set have a default.
    assert_eq!(shown.quality.gates(), Gates::default());
    defaults.quality = shown.quality.clone();
    assert!(defaults.liveness.threshold.is_some() && defaults.door.pulse_ms.is_some());
    assert_eq!(shown, defaults);
    for example in [
        models.table,
        models.detector,
        models.landmarks,
        models.embedder,
        models.liveness,
        shown.door.token_file,
    ] {
        assert!(example.unwrap().starts_with("/etc/recocomp"));
    }
    let table: toml::Table = uncommented.parse().unwrap();
    for key in Config::known_keys() {
        let whole = toml::Value::Table(table.clone());
        let shown = key
            .split('.')
            .try_fold(&whole, |value, part| value.get(part));
        assert!(shown.is_some(), "{key} is not shown");
    }
}
