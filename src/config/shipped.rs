//! The configuration file of the package shows every key with its default.

use super::Config;

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
    let defaults = Config {
        models: models.clone(),
        ..Config::default()
    };
    assert_eq!(shown, defaults);
    // These have no default that could be shown: the networks are inside the program.
    for example in [
        models.table,
        models.detector,
        models.landmarks,
        models.embedder,
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
