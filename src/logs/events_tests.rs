//! Numbers over ends of every kind, damage, and the log of an earlier version.

use super::*;

fn open(data: &Path) -> Log {
    Log::open(data, Medium::default()).unwrap()
}

fn append(log: &mut Log, kind: &str) -> u64 {
    log.append(kind, &Map::new(), &Moment::now()).unwrap()
}

/// A log of so many records, closed.
fn with_records(count: usize) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let mut log = open(data.path());
    for _ in 0..count {
        append(&mut log, "door.forced");
    }
    data
}

fn all(data: &Path) -> Page {
    read(data, 0, usize::MAX).unwrap()
}

fn numbers_of(page: &Page) -> Vec<u64> {
    page.records.iter().map(|record| record.seq).collect()
}

fn newest(data: &Path) -> PathBuf {
    listed(&folder(data)).unwrap().pop().unwrap().1
}

/// The end without notice: nothing is closed.
fn kill(log: Log) {
    let log = std::mem::ManuallyDrop::new(log);
    // What the kernel does: the lock is given back.
    log._lock.unlock().unwrap();
}

/// A line as version 1.0.0 wrote it.
fn earlier_line(seq: u64) -> String {
    format!(
        "{{\"seq\":{seq},\"time\":\"2026-01-02T03:04:05.678Z\",\"uptime\":12.34,\"simulated\":true,\"event\":\"opened\",\"by\":\"face\",\"person\":\"ada\"}}\n"
    )
}

/// Five files of a door of version 1.0.0, full ones and the newest; the last number.
fn with_earlier(data: &Path, lines: u64) -> u64 {
    std::fs::create_dir_all(data.join("door")).unwrap();
    let mut seq = 0;
    for name in [
        "events.4.jsonl",
        "events.3.jsonl",
        "events.2.jsonl",
        "events.1.jsonl",
        "events.jsonl",
    ] {
        let text: String = (0..lines)
            .map(|_| {
                seq += 1;
                earlier_line(seq)
            })
            .collect();
        std::fs::write(data.join("door").join(name), text).unwrap();
    }
    seq
}

#[test]
fn numbers_go_on_after_an_orderly_end() {
    let data = with_records(3);
    let mut log = open(data.path());
    assert_eq!(append(&mut log, "door.forced"), 4);
    drop(log);
    assert_eq!(numbers_of(&all(data.path())), [1, 2, 3, 4]);
    assert_eq!(listed(&folder(data.path())).unwrap().len(), 1);
}

#[test]
fn an_end_without_notice_is_a_gap_that_is_told() {
    let data = with_records(3);
    let mut log = open(data.path());
    append(&mut log, "door.opened");
    kill(log);
    let mut log = open(data.path());
    let after = append(&mut log, "door.started");
    drop(log);
    let page = all(data.path());
    let gap = &page.records[4];
    assert_eq!((gap.kind.as_str(), gap.seq), ("log.gap", after - 1));
    let (from, to) = (
        gap.data["from"].as_u64().unwrap(),
        gap.data["to"].as_u64().unwrap(),
    );
    assert_eq!((from, to), (5, gap.seq - 1));
    assert!(to - from < BLOCK);
    // Nobody was given a number twice, and after an orderly end there is none.
    assert_eq!(append(&mut open(data.path()), "door.started"), after + 1);
}

#[test]
fn numbers_are_reserved_before_they_are_given() {
    let data = tempfile::tempdir().unwrap();
    let mut log = open(data.path());
    for _ in 0..3 * BLOCK {
        let given = append(&mut log, "door.forced");
        let Found::Reserved(reserved) = numbers::found(&folder(data.path())).unwrap() else {
            panic!("nothing is reserved");
        };
        assert!(reserved >= given);
    }
}

#[test]
fn lost_numbers_file_costs_numbers_and_gives_none_twice() {
    for damage in [
        "",
        "{\"reserved\": -1}",
        "{\"reserved\": 18446744073709551615}",
        "\0\0\0\0",
    ] {
        let data = with_records(3);
        let path = numbers::path(&folder(data.path()));
        match damage {
            "" => std::fs::remove_file(path).unwrap(),
            text => std::fs::write(path, text).unwrap(),
        }
        let next = append(&mut open(data.path()), "door.forced");
        assert_eq!(next, 3 + BLOCK + 2, "{damage}");
    }
    // One of an older day, too.
    let data = with_records(300);
    std::fs::write(numbers::path(&folder(data.path())), "{\"reserved\": 2}").unwrap();
    assert_eq!(append(&mut open(data.path()), "door.forced"), 301);
}

#[test]
fn a_torn_line_and_zeros_stay_on_lines_of_their_own() {
    for tail in [b"{\"seq\": 4, \"ti".as_slice(), &[0; 4096], b"\xff\xfe"] {
        let data = with_records(3);
        let mut file = files::append(&newest(data.path())).unwrap();
        file.write_all(tail).unwrap();
        let mut log = open(data.path());
        assert_eq!(append(&mut log, "door.forced"), 4);
        let page = all(data.path());
        assert_eq!((numbers_of(&page), page.damaged), (vec![1, 2, 3, 4], 1));
        assert_eq!(listed(&folder(data.path())).unwrap().len(), 1);
    }
}

#[test]
fn a_changed_number_is_damage_and_its_file_is_kept_aside() {
    for number in [
        "0",
        "-1",
        "1",
        "9007199254740991",
        "9007199254740992",
        "18446744073709551615",
        "1e300",
        "99999999999999999999999",
    ] {
        let data = with_records(5);
        let file = newest(data.path());
        let text = std::fs::read_to_string(&file).unwrap();
        for line in ["\"seq\":3,", "\"seq\":5,"] {
            let changed = text.replace(line, &format!("\"seq\":{number},"));
            std::fs::write(&file, &changed).unwrap();
            let page = all(data.path());
            assert_eq!((page.records.len(), page.damaged), (4, 1), "{number}");
            let mut log = open(data.path());
            let next = append(&mut log, "door.forced");
            assert!((6..1000).contains(&next), "{number}: {next}");
            drop(log);
            assert_eq!(
                std::fs::read_to_string(&file).unwrap(),
                changed,
                "it stays as it is"
            );
            let page = all(data.path());
            assert_eq!(page.damaged, 1);
            assert!(numbers_of(&page).is_sorted_by(|a, b| a < b));
            // As it was.
            std::fs::remove_file(newest(data.path())).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
    }
}

#[test]
fn the_log_is_bounded_and_its_newest_records_stay() {
    let data = tempfile::tempdir().unwrap();
    let mut log = open(data.path());
    let mut data_of_record = Map::new();
    data_of_record.insert("what".into(), "x".repeat(60_000).into());
    let mut last = 0;
    for _ in 0..420 {
        last = log
            .append("door.fault", &data_of_record, &Moment::now())
            .unwrap();
        log.prepare().unwrap();
    }
    drop(log);
    let files = listed(&folder(data.path())).unwrap();
    let bytes: u64 = files
        .iter()
        .map(|(_, path)| path.metadata().unwrap().len())
        .sum();
    assert!(bytes <= LOG_BYTES, "{bytes}");
    let page = all(data.path());
    let (first, count) = (page.records[0].seq, page.records.len() as u64);
    assert_eq!((page.damaged, page.records.last().unwrap().seq), (0, last));
    assert_eq!(last + 1 - first, count, "without a gap");
    assert!((300..420).contains(&count), "{count}");
}

#[test]
fn a_reader_goes_on_after_the_last_number_it_has_seen() {
    let data = with_records(10);
    let mut log = open(data.path());
    log.newest = Some(log.begin_file().unwrap());
    for _ in 0..10 {
        append(&mut log, "door.tamper");
    }
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = read(data.path(), after, 3).unwrap();
        assert!(page.records.len() <= 3);
        let Some(last) = page.records.last() else {
            break;
        };
        after = last.seq;
        seen.extend(numbers_of(&page));
    }
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    assert!(read(data.path(), u64::MAX, 3).unwrap().records.is_empty());
}

#[test]
fn the_log_of_version_1_0_0_is_read_and_gone_on_from() {
    let data = tempfile::tempdir().unwrap();
    let last = with_earlier(data.path(), 10);
    assert_eq!(
        numbers_of(&all(data.path())),
        (1..=last).collect::<Vec<_>>()
    );
    let mut log = open(data.path());
    assert_eq!(append(&mut log, "door.started"), last + 1);
    let page = all(data.path());
    assert_eq!(numbers_of(&page), (1..=last + 1).collect::<Vec<_>>());
    let opened = &page.records[0];
    assert_eq!(
        (opened.kind.as_str(), opened.time.as_str()),
        ("door.opened", "2026-01-02T03:04:05.678Z")
    );
    let expected = json!({"by": "face", "person": "ada", "simulated": true});
    assert_eq!(Value::Object(opened.data.clone()), expected);
    // The earlier version was put back in between: its numbers are given already.
    let mut file = files::append(&data.path().join("door/events.jsonl")).unwrap();
    file.write_all(earlier_line(last + 1).as_bytes()).unwrap();
    let page = all(data.path());
    assert_eq!(
        (numbers_of(&page).last(), page.damaged),
        (Some(&(last + 1)), 1)
    );
    assert_eq!(page.records.last().unwrap().kind, "door.started");
}

#[test]
fn a_number_changed_in_the_log_of_version_1_0_0_wraps_nothing() {
    for number in [
        "18446744073709551615",
        "18446744073709551616",
        "9007199254740991",
        "0",
        "-7",
        "1e999",
    ] {
        let data = tempfile::tempdir().unwrap();
        let last = with_earlier(data.path(), 3);
        let newest = data.path().join("door/events.jsonl");
        let text = std::fs::read_to_string(&newest).unwrap();
        let text = text.replace(&format!("\"seq\":{last},"), &format!("\"seq\":{number},"));
        std::fs::write(&newest, text).unwrap();
        let page = all(data.path());
        assert_eq!(
            (page.records.len() as u64, page.damaged),
            (last - 1, 1),
            "{number}"
        );
        assert_eq!(
            append(&mut open(data.path()), "door.started"),
            last,
            "{number}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_at_all_ends_no_log() {
    // A folder and a pipe where files should be.
    let data = tempfile::tempdir().unwrap();
    let last = with_earlier(data.path(), 3);
    let newest_of_all = data.path().join("door/events.jsonl");
    std::fs::remove_file(&newest_of_all).unwrap();
    std::fs::create_dir(&newest_of_all).unwrap();
    let mut log = open(data.path());
    assert!(
        append(&mut log, "door.started") > last,
        "what it may have held is left out"
    );
    drop(log);
    assert_eq!(all(data.path()).damaged, 1);
    let data = with_records(3);
    let file = newest(data.path());
    std::fs::remove_file(&file).unwrap();
    make_pipe(&file);
    let mut log = open(data.path());
    assert!(append(&mut log, "door.started") > 3);
    drop(log);
    let page = all(data.path());
    assert_eq!(
        (page.damaged, page.records.last().unwrap().kind.as_str()),
        (1, "door.started")
    );
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo")
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

#[test]
fn what_else_lies_in_the_folder_is_none_of_its_files() {
    let data = with_records(2);
    for name in [
        "1.jsonl",
        "99999999999999999999.jsonl",
        "00000000000000000000.jsonl",
        "0000000000000000001x.jsonl",
        "+0000000000000000005.jsonl",
    ] {
        std::fs::write(folder(data.path()).join(name), "{}\n").unwrap();
    }
    let page = all(data.path());
    assert_eq!((numbers_of(&page), page.damaged), (vec![1, 2], 0));
    assert_eq!(append(&mut open(data.path()), "door.forced"), 3);
}

#[test]
fn one_program_writes() {
    let data = with_records(1);
    let _log = open(data.path());
    let refused = Log::open(data.path(), Medium::default()).err().unwrap();
    assert!(
        refused.to_string().contains("another recocomp"),
        "{refused}"
    );
}

#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let data = with_records(1);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder(data.path())), 0o700);
    for entry in std::fs::read_dir(folder(data.path())).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}
