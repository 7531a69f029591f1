//! What the configuration takes and refuses.

use super::*;

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn a_key_is_read() {
    let config = Config::parse("[server]\nlisten = \"127.0.0.1:9\"\n[limits]\nqueue = 0").unwrap();
    assert_eq!(config.server.listen.port(), 9);
    assert_eq!(config.limits.queue, 0);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    for (text, meant) in [
        ("[server]\nlisen = \"x\"", "server.listen"),
        ("[sever]\nlisten = \"x\"", "server"),
        ("listen = \"x\"", "server.listen"),
        ("[limits]\nworkers = 2", "recognition.workers"),
        ("[models]\nembeder = \"x\"", "models.embedder"),
        ("[quality.search]\nsharpnes = 1", "quality.search.sharpness"),
    ] {
        let said = Config::parse(text).unwrap_err();
        assert!(
            said.contains(&format!("did you mean `{meant}`")),
            "{text}: {said}"
        );
    }
    assert!(
        !Config::parse("zzzz = 1")
            .unwrap_err()
            .contains("did you mean")
    );
}

#[test]
fn wrong_values_name_the_key() {
    for (text, key) in [
        ("[limits]\nmax_batch = 0", "limits.max_batch"),
        ("[server]\nheader_timeout_s = 0", "header_timeout_s"),
        ("[recognition]\nworkers = 1000", "recognition.workers"),
        (
            "[recognition]\nmin_detection_score = 2.0",
            "min_detection_score",
        ),
        ("[limits]\nqueue = -1", "queue"),
        ("[liveness]\nthreshold = 1.5", "liveness.threshold"),
        (
            "[quality.search]\nsharpness = 101",
            "quality.search.sharpness",
        ),
        ("[liveness]\nmode = \"strict\"", "mode"),
        (
            "[enrolment]\nduplicate_fpir = 1.0",
            "enrolment.duplicate_fpir",
        ),
        ("[enrolment]\nduplicates = \"never\"", "duplicates"),
        ("[recognition]\nfusion = \"max\"", "fusion"),
        ("[server]\nlisten = \"somewhere\"", "listen"),
    ] {
        let said = Config::parse(text).unwrap_err();
        assert!(said.contains(key), "{text}: {said}");
    }
}

#[test]
fn wrong_types_are_told_in_words_of_the_file() {
    for (text, expected) in [
        (
            "[quality]\nsearch = 5",
            "integer `5`, a table with keys of its own is expected\n",
        ),
        ("limits = true", "a table with keys of its own is expected"),
        (
            "[enrolment]\nduplicates = true",
            "one of the words that docs/ref/config.md lists is expected, in quotes",
        ),
        ("[recognition]\nfusion = 2", "one of the words"),
    ] {
        let said = Config::parse(text).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
        assert!(
            !said.contains("struct") && !said.contains("wanted"),
            "{said}"
        );
    }
}

#[test]
fn the_reference_describes_every_key() {
    let reference = include_str!("../../docs/ref/config.md");
    for key in Config::known_keys() {
        let name = key.rsplit('.').next().unwrap();
        assert!(
            reference.contains(&format!("`{name}`")) || reference.contains(&format!("[{name}]")),
            "{key}"
        );
    }
}

#[test]
fn a_data_folder_is_found_in_a_file_with_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recocomp.toml");
    let default = Config::default().storage.data;
    for (text, data) in [
        (
            "[storage]\ndata = \"/srv/faces\"\n[dor]\n",
            Some("/srv/faces"),
        ),
        (
            "[storage]\ndata = \"/srv/faces\"\n[door\nboard = \n",
            Some("/srv/faces"),
        ),
        (
            "[door]\nenabled = yes\n[storage]\ndata = \"/srv/faces\"\n",
            Some("/srv/faces"),
        ),
        ("[storage]\ndata = 5\n", None),
        ("\u{0}\u{0}", None),
    ] {
        std::fs::write(&path, text).unwrap();
        assert!(Config::load(Some(&path)).is_err(), "{text}");
        let found = Config::data_folder_despite_mistakes(Some(&path));
        assert_eq!(found, data.map_or(default.clone(), PathBuf::from), "{text}");
    }
}
