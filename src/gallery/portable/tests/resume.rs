use proptest::prelude::*;

use super::*;

/// Interrupts a finished run at `cut` bytes and goes on. Returns how many collections were kept.
fn interrupt(bytes: &[u8], cut: usize, lock: &Lock, key: &Key) -> usize {
    let place = Place::new();
    store(&place.partial(), &bytes[..cut]);
    let kept = write(&place.file(), lock, &samples());
    assert_eq!(
        sorted(read(&place.file(), key).unwrap()),
        samples(),
        "cut at {cut}"
    );
    assert!(!place.partial().exists());
    kept
}

fn sorted(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.sort_by_key(|(head, _)| head.uuid);
    samples
}

fn finished(lock: &Lock) -> Vec<u8> {
    let place = Place::new();
    write(&place.file(), lock, &samples());
    fs::read(place.file()).unwrap()
}

#[test]
fn an_interruption_at_any_border_or_byte_loses_nothing() {
    for (lock, key) in [passphrase(), recipients()] {
        let bytes = finished(&lock);
        let mut border = 0;
        let mut kept = vec![interrupt(&bytes, 0, &lock, &key)];
        for frame in frames(&bytes) {
            for inside in [1, 20, 32, 40, frame.len() - 1] {
                interrupt(&bytes, border + inside, &lock, &key);
            }
            border += frame.len();
            kept.push(interrupt(&bytes, border, &lock, &key));
        }
        assert!(kept.is_sorted(), "{kept:?}");
        assert_eq!(
            kept.last(),
            Some(&3),
            "the end itself was written, the name was not given"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn several_interruptions_and_a_torn_tail_lose_nothing(
        cuts in prop::collection::vec((0.0..1.0_f64, 0..3_usize), 1..5),
        by_passphrase: bool,
    ) {
        let (lock, key) = if by_passphrase { passphrase() } else { recipients() };
        let place = Place::new();
        let (all, mut written) = (samples(), finished(&lock));
        for (cut, tail) in cuts {
            written.truncate((written.len() as f64 * cut) as usize);
            // What a file system may leave behind the last byte that reached the medium.
            if written.len() > 8 {
                let garbage: &[u8] = [&[][..], &[0; 100], b"recoback and then nonsense, longer than a header"][tail];
                written.extend_from_slice(garbage);
            }
            store(&place.partial(), &written);
            let mut writer = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
            for sample in &all[..2] {
                if !writer.has(&sample.0) {
                    add(&mut writer, sample);
                }
            }
            drop(writer);
            written = fs::read(place.partial()).unwrap();
        }
        write(&place.file(), &lock, &all);
        prop_assert_eq!(sorted(read(&place.file(), &key).unwrap()), all);
    }
}

#[test]
fn a_collection_that_changed_meanwhile_is_written_again() {
    for (lock, key) in [passphrase(), recipients()] {
        let place = Place::new();
        store(&place.partial(), &finished(&lock));
        let now = [sample(1, 1, 0), sample(2, 2, 3)];
        // The third was deleted meanwhile.
        assert_eq!(write(&place.file(), &lock, &now), 1);
        assert_eq!(read(&place.file(), &key).unwrap(), now);
    }
}

#[test]
fn nothing_of_an_unfinished_collection_stays_behind() {
    let (lock, key) = passphrase();
    let place = Place::new();
    let unfinished = frames(&finished(&lock))[..4].concat();
    let more = [&unfinished[..], &[0; 5000]].concat();
    store(&place.partial(), &more);
    write(&place.file(), &lock, &[]);
    assert_eq!(read(&place.file(), &key).unwrap(), []);
}

#[test]
fn the_last_of_one_uuid_counts() {
    let (lock, key) = passphrase();
    let place = Place::new();
    let mut writer = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
    add(&mut writer, &sample(2, 1, 2));
    add(&mut writer, &sample(2, 2, 5));
    drop(writer);
    let salvaged = Reader::open_incomplete(&place.partial(), &key).unwrap();
    assert_eq!(contents(&salvaged).unwrap(), [sample(2, 2, 5)]);
    write(&place.file(), &lock, &[sample(2, 2, 5)]);
    assert_eq!(read(&place.file(), &key).unwrap(), [sample(2, 2, 5)]);
}

#[test]
fn another_lock_is_refused_once_there_is_something_to_lose() {
    let others = [
        passphrase().0,
        Lock::Passphrase(Passphrase::weak("wrong horse")),
        recipients().0,
        recipients().0,
    ];
    for (begun, (lock, _)) in [passphrase(), recipients()].into_iter().enumerate() {
        let bytes = finished(&lock);
        for (i, other) in others.iter().enumerate() {
            let place = Place::new();
            store(&place.partial(), &bytes);
            let resumed = Writer::create_or_resume(&place.file(), other, false);
            match begun == 0 && i == 0 {
                true => assert!(resumed.is_ok()),
                false => {
                    assert!(matches!(resumed, Err(PortableError::OtherLock { .. })));
                    assert_eq!(fs::read(place.partial()).unwrap(), bytes);
                }
            }
        }
        // Nothing but a key in it: it is begun anew.
        let place = Place::new();
        store(&place.partial(), &frames(&bytes)[0]);
        assert!(Writer::create_or_resume(&place.file(), &others[1], false).is_ok());
    }
}

#[test]
fn the_order_of_recipients_does_not_matter() {
    let (Lock::Recipients(mut recipients), key) = recipients() else {
        unreachable!()
    };
    let bytes = finished(&Lock::Recipients(recipients.clone()));
    recipients.reverse();
    recipients.push(recipients[0]);
    assert_eq!(
        interrupt(&bytes, bytes.len(), &Lock::Recipients(recipients), &key),
        3
    );
}
