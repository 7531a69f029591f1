//! What was done to a chain is told at its place.

use super::*;

fn act(kind: &str) -> Act<'_> {
    Act {
        kind,
        actor: json!({"by": "system"}),
        event: None,
        data: json!({"version": "V1.0.0"}),
    }
}

/// A chain of so many records, closed.
fn with_records(count: usize) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let mut audit = Audit::open(data.path()).unwrap();
    for _ in 0..count {
        audit.append(&act("system.started")).unwrap();
    }
    data
}

fn newest(data: &Path) -> PathBuf {
    series::listed(&folder(data)).unwrap().pop().unwrap().1
}

/// Faults of the chain after its lines were changed: number and sentence.
fn after(change: impl FnOnce(&mut Vec<String>)) -> Vec<(Option<u64>, String)> {
    let data = with_records(6);
    let path = newest(data.path());
    let mut lines: Vec<String> = (std::fs::read_to_string(&path).unwrap().lines())
        .map(str::to_owned)
        .collect();
    change(&mut lines);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let verified = verify(data.path(), None).unwrap();
    (verified.faults.into_iter())
        .map(|fault| (fault.seq, fault.what))
        .collect()
}

#[test]
fn a_chain_goes_on_over_restarts_and_is_whole() {
    let data = with_records(3);
    let mut audit = Audit::open(data.path()).unwrap();
    assert_eq!(audit.append(&act("door.configured")).unwrap(), 4);
    let verified = verify(data.path(), None).unwrap();
    assert_eq!(
        (verified.records, verified.first, &verified.head),
        (4, Some(1), audit.head())
    );
    assert_eq!(verified.faults, []);
    assert_eq!(read(data.path(), 3).unwrap()[0].kind, "door.configured");
}

#[test]
fn the_hash_is_that_of_the_line_before() {
    let data = with_records(2);
    let text = std::fs::read_to_string(newest(data.path())).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let second: Entry = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(second.prev, hash(lines[0].as_bytes()));
    // From another implementation: printf abc | sha256sum.
    assert_eq!(
        hash(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let first: Entry = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(first.prev, NOTHING);
}

#[test]
fn an_edit_is_told_at_the_record_that_follows() {
    let faults = after(|lines| lines[2] = lines[2].replace("V1.0.0", "V1.0.1"));
    assert_eq!(
        faults,
        [(
            Some(4),
            "the record before it was changed, or this one".into()
        )]
    );
    let faults = after(|lines| lines[2] = "rubbish".into());
    assert_eq!(faults[0], (None, "this line is no record".into()));
    let faults =
        after(|lines| lines[5] = lines[5].replace("\"seq\":6", "\"seq\":9007199254740993"));
    assert_eq!(faults[0], (None, "this line is no record".into()));
}

#[test]
fn an_inner_cut_a_swap_and_a_doubled_record_are_told() {
    let faults = after(|lines| {
        lines.drain(2..4);
    });
    assert_eq!(
        faults,
        [(Some(5), "records 3 to 4 are missing before it".into())]
    );
    let faults = after(|lines| lines.swap(2, 3));
    assert_eq!(faults[0].0, Some(4));
    assert!(
        faults
            .iter()
            .any(|(seq, what)| *seq == Some(3) && what.contains("out of order")),
        "{faults:?}"
    );
    let faults = after(|lines| lines.insert(3, lines[2].clone()));
    assert!(faults[0].1.contains("out of order"), "{faults:?}");
    let faults = after(|lines| {
        lines.drain(..2);
    });
    assert_eq!(faults[0].0, Some(3));
    assert!(faults[0].1.contains("the chain begins here"), "{faults:?}");
}

#[test]
fn a_cut_tail_is_found_against_a_head_that_was_kept() {
    let data = with_records(6);
    let head = verify(data.path(), None).unwrap().head;
    assert_eq!(head.seq, 6);
    assert_eq!(verify(data.path(), Some(&head)).unwrap().faults, []);
    let path = newest(data.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let cut: Vec<&str> = text.lines().take(4).collect();
    std::fs::write(&path, cut.join("\n") + "\n").unwrap();
    // By itself a shorter chain is whole.
    assert_eq!(verify(data.path(), None).unwrap().faults, []);
    let found = verify(data.path(), Some(&head)).unwrap().faults;
    assert!(found[0].what.contains("cut off"), "{found:?}");
    // Written anew by somebody who can: another record has its number.
    let mut audit = Audit::open(data.path()).unwrap();
    for _ in 0..2 {
        audit.append(&act("system.stopped")).unwrap();
    }
    let found = verify(data.path(), Some(&head)).unwrap().faults;
    assert!(found[0].what.contains("not the record"), "{found:?}");
}

#[test]
fn a_torn_line_goes_and_that_is_told() {
    let data = with_records(2);
    let mut file = files::append(&newest(data.path())).unwrap();
    file.write_all(b"{\"seq\":3,\"ti").unwrap();
    let audit = Audit::open(data.path()).unwrap();
    assert_eq!(audit.head().seq, 3);
    let verified = verify(data.path(), None).unwrap();
    assert_eq!(verified.faults, []);
    let torn = &read(data.path(), 2).unwrap()[0];
    assert_eq!(
        (torn.kind.as_str(), torn.data["bytes"].as_u64()),
        ("audit.torn", Some(12))
    );
}

/// As if everything so far had been written in another month.
fn age(data: &Path, audit: Audit, month: &str) -> Audit {
    drop(audit);
    let path = newest(data);
    let now = of_month(&Moment::now().time);
    let mut prev = None;
    let mut text = String::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let mut entry: Entry = serde_json::from_str(line).unwrap();
        entry.time = entry.time.replace(&now, month);
        if let Some(prev) = prev.take() {
            entry.prev = prev;
        }
        let line = serde_json::to_string(&entry).unwrap();
        prev = Some(hash(line.as_bytes()));
        text += &(line + "\n");
    }
    std::fs::write(&path, text).unwrap();
    Audit::open(data).unwrap()
}

#[test]
fn months_are_let_go_by_time_and_the_chain_says_so() {
    let data = tempfile::tempdir().unwrap();
    let mut audit = Audit::open(data.path()).unwrap();
    for month in ["2020-01", "2020-03", "2020-05"] {
        for _ in 0..3 {
            audit.append(&act("system.started")).unwrap();
        }
        audit = age(data.path(), audit, month);
    }
    audit.append(&act("system.started")).unwrap();
    assert_eq!(series::listed(&folder(data.path())).unwrap().len(), 4);
    let day = Duration::from_secs(86_400);
    let at = |time: &str| -> Timestamp { time.parse().unwrap() };
    assert_eq!(
        audit.trim(at("2020-05-15T00:00:00Z"), 365 * day).unwrap(),
        0
    );
    // All of January and March, nothing of May.
    assert_eq!(
        audit.trim(at("2021-06-01T00:00:00Z"), 365 * day).unwrap(),
        2
    );
    let verified = verify(data.path(), None).unwrap();
    assert_eq!(
        (verified.first, verified.faults.len()),
        (Some(7), 0),
        "{:?}",
        verified.faults
    );
    let told = &read(data.path(), 10).unwrap()[0];
    assert_eq!(
        (told.kind.as_str(), told.data["before"].as_u64()),
        ("audit.trimmed", Some(7))
    );
    // Somebody else lets the next one go.
    let oldest = &series::listed(&folder(data.path())).unwrap()[0].1;
    std::fs::remove_file(oldest).unwrap();
    let faults = verify(data.path(), None).unwrap().faults;
    assert!(
        faults[0].what.contains("the chain begins here"),
        "{faults:?}"
    );
}

#[test]
fn nothing_that_a_file_holds_ends_the_program() {
    for rubbish in [
        b"\0\0\0\0\n".as_slice(),
        b"{}\n",
        b"[[[[[[[[\n",
        b"\xff\xfe\n",
        b"{\"seq\":18446744073709551615}\n",
    ] {
        let data = with_records(2);
        files::append(&newest(data.path()))
            .unwrap()
            .write_all(rubbish)
            .unwrap();
        let mut audit = Audit::open(data.path()).unwrap();
        assert_eq!(audit.append(&act("system.started")).unwrap(), 4);
        let faults = verify(data.path(), None).unwrap().faults;
        assert_eq!(faults[0].what, "this line is no record");
    }
}
