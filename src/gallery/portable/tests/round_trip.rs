use std::io;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn what_was_written_is_read() {
    for (lock, key) in [passphrase(), recipients()] {
        let place = Place::new();
        write(&place.file(), &lock, &samples());
        assert_eq!(read(&place.file(), &key).unwrap(), samples());
        assert!(!place.partial().exists());
        let mode = fs::metadata(place.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn the_sums_are_those_of_the_collections() {
    let place = Place::new();
    let (lock, key) = passphrase();
    let mut writer = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
    let mut told = Vec::new();
    for (head, people) in samples() {
        let people = people.into_iter().map(Ok::<_, Infallible>);
        writer
            .collection(&head, people, |progress| told.push(progress))
            .unwrap();
    }
    let written = writer.finish().unwrap();
    let reader = Reader::open(&place.file(), &key).unwrap();
    assert_eq!(reader.summary(), written);
    assert_eq!(
        (written.collections, written.people, written.features),
        (3, 10, 18)
    );
    assert_eq!(written.bytes, fs::metadata(place.file()).unwrap().len());
    assert_eq!(told.last().unwrap().people, 8);
    let mut people = 0;
    assert_eq!(reader.verify(|done| people = done).unwrap(), written);
    assert_eq!(people, 10);
    assert!(reader.is_complete());
}

#[test]
fn a_file_without_collections_is_a_file() {
    let place = Place::new();
    let (lock, key) = recipients();
    write(&place.file(), &lock, &[]);
    assert_eq!(read(&place.file(), &key).unwrap(), []);
}

#[test]
fn nothing_is_legible() {
    let place = Place::new();
    write(&place.file(), &passphrase().0, &samples());
    let bytes = fs::read(place.file()).unwrap();
    for text in ["door", "space 1", "person"] {
        assert!(!bytes.windows(text.len()).any(|w| w == text.as_bytes()));
    }
    assert!(
        !bytes
            .windows(16)
            .any(|w| w == Uuid::from_u128(3).as_bytes())
    );
}

#[test]
fn a_mark_that_once_counted_as_part_of_the_passphrase_still_opens() {
    let place = Place::new();
    let once = Lock::Passphrase(Passphrase::weak("\u{feff}five words"));
    write(&place.file(), &once, &samples());
    let now = Passphrase::weak("five words");
    let refused = Reader::open(&place.file(), &Key::Passphrase(now.clone())).unwrap_err();
    assert!(
        matches!(refused, PortableError::WrongPassphrase { .. }),
        "{refused}"
    );
    let marked = Key::Passphrase(now.after_a_mark());
    assert_eq!(read(&place.file(), &marked).unwrap().len(), samples().len());
    // What is sealed from now on has no mark.
    let plain = Lock::Passphrase(Passphrase::weak("five words"));
    let second = place.file().with_extension("second");
    write(&second, &plain, &samples());
    assert_eq!(read(&second, &marked).unwrap().len(), samples().len());
}

#[test]
fn the_wrong_key_is_named() {
    let place = Place::new();
    let wrong = Key::Passphrase(Passphrase::weak("wrong horse"));
    let (by_passphrase, _) = passphrase();
    write(&place.file(), &by_passphrase, &samples());
    let refused = Reader::open(&place.file(), &wrong).unwrap_err();
    assert!(
        matches!(refused, PortableError::WrongPassphrase { .. }),
        "{refused}"
    );
    let stranger = Key::Identity(Identity::generate().unwrap());
    let refused = Reader::open(&place.file(), &stranger).unwrap_err();
    assert!(
        matches!(refused, PortableError::NeedsPassphrase { .. }),
        "{refused}"
    );
    write(&place.file(), &recipients().0, &samples());
    let refused = Reader::open(&place.file(), &stranger).unwrap_err();
    assert!(
        matches!(refused, PortableError::WrongIdentity { .. }),
        "{refused}"
    );
    let refused = Reader::open(&place.file(), &wrong).unwrap_err();
    assert!(
        matches!(refused, PortableError::NeedsIdentity { .. }),
        "{refused}"
    );
}

#[test]
fn an_existing_file_is_not_replaced_unasked() {
    let place = Place::new();
    let (lock, key) = passphrase();
    store(&place.file(), b"precious");
    let refused = Writer::create_or_resume(&place.file(), &lock, false).unwrap_err();
    assert!(matches!(refused, PortableError::Exists { .. }));
    assert!(!place.partial().exists());
    write(&place.file(), &lock, &samples());
    assert_eq!(read(&place.file(), &key).unwrap(), samples());
    // It comes up while we write.
    fs::remove_file(place.file()).unwrap();
    let writer = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
    store(&place.file(), b"precious");
    assert!(matches!(writer.finish(), Err(PortableError::Exists { .. })));
    assert_eq!(fs::read(place.file()).unwrap(), b"precious");
}

#[test]
fn two_do_not_write_one_file() {
    let place = Place::new();
    let (lock, _) = passphrase();
    let _first = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
    let refused = Writer::create_or_resume(&place.file(), &lock, false).unwrap_err();
    assert!(matches!(refused, PortableError::Busy { .. }), "{refused}");
}

#[test]
fn a_foreign_or_linked_partial_is_left_alone() {
    let place = Place::new();
    let (lock, _) = passphrase();
    store(
        &place.partial(),
        b"a file of someone else's that is longer than a header",
    );
    let refused = Writer::create_or_resume(&place.file(), &lock, false).unwrap_err();
    assert!(
        matches!(refused, PortableError::NotOurs { .. }),
        "{refused}"
    );
    assert!(fs::read(place.partial()).unwrap().starts_with(b"a file"));
    fs::remove_file(place.partial()).unwrap();
    let target = place.directory.path().join("target");
    store(&target, b"");
    std::os::unix::fs::symlink(&target, place.partial()).unwrap();
    assert!(Writer::create_or_resume(&place.file(), &lock, false).is_err());
    assert_eq!(fs::read(&target).unwrap(), b"");
}

#[test]
fn what_cannot_be_read_again_is_not_written_and_the_rest_goes_on() {
    let place = Place::new();
    let (lock, key) = passphrase();
    let mut writer = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
    let (head, people) = sample(9, 1, 8);
    let mut try_with = |head: &CollectionHead, people: Vec<io::Result<Person>>| {
        writer
            .collection(head, people.into_iter(), |_| {})
            .unwrap_err()
    };
    let fine = || people.iter().cloned().map(Ok).collect::<Vec<_>>();

    let fewer = fine().split_off(1);
    assert!(matches!(
        try_with(&head, fewer),
        PortableError::Changed { .. }
    ));
    for bits in [0x7c00, 0xfc00, 0x7e00, 0xffff] {
        let mut not_finite = fine();
        not_finite[6].as_mut().unwrap().1[0][191] = bits;
        assert!(matches!(
            try_with(&head, not_finite),
            PortableError::NotFinite { .. }
        ));
    }
    let mut failing = fine();
    failing.push(Err(io::Error::other("the card failed")));
    let failed = try_with(&head, failing);
    assert!(failed.to_string().contains("the card failed"), "{failed}");
    let mut long = fine();
    long[3].as_mut().unwrap().0 = "x".repeat(4097);
    assert!(matches!(
        try_with(&head, long),
        PortableError::TooLarge { .. }
    ));
    let mut long = head.clone();
    long.name = "x".repeat(4097);
    assert!(matches!(
        try_with(&long, fine()),
        PortableError::TooLarge { .. }
    ));

    for sample in &samples() {
        add(&mut writer, sample);
    }
    writer.finish().unwrap();
    assert_eq!(read(&place.file(), &key).unwrap(), samples());
}

#[test]
fn a_person_may_fill_more_than_a_part() {
    let place = Place::new();
    let (lock, key) = passphrase();
    let (mut head, mut people) = sample(1, 1, 3);
    people[1].1 = vec![[0x3c00; FEATURE_DIMENSIONS]; 50];
    people[2].1.clear();
    head.features = 51;
    write(&place.file(), &lock, &[(head.clone(), people.clone())]);
    assert_eq!(read(&place.file(), &key).unwrap(), [(head, people)]);
}

/// The real cost once, so that it is known to work.
#[test]
fn a_passphrase_of_full_cost() {
    let place = Place::new();
    let passphrase = || Passphrase::new("correct horse".to_owned()).unwrap();
    write(&place.file(), &Lock::Passphrase(passphrase()), &samples());
    assert_eq!(
        read(&place.file(), &Key::Passphrase(passphrase())).unwrap(),
        samples()
    );
    assert!(Passphrase::new(String::new()).is_err());
    assert_eq!(format!("{:?}", passphrase()), "Passphrase");
}

#[test]
fn recipients_are_counted() {
    let place = Place::new();
    for found in [0, 65] {
        let recipients = (0..found)
            .map(|_| Identity::generate().unwrap().recipient())
            .collect();
        let refused = Writer::create_or_resume(&place.file(), &Lock::Recipients(recipients), false);
        assert!(matches!(refused, Err(PortableError::RecipientCount { .. })));
    }
}

/// Files that release 1.0 wrote, at full cost: every later release reads them.
#[test]
fn files_of_format_1_stay_readable() {
    let identity = "AGE-SECRET-KEY-1L7QYZQ9PDAATHMAN08AMVXC8MQ033ACCHMWZR2H4H95MA96RXQ8QDRY78N";
    let place = Place::new();
    let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
    store(&place.file(), include_bytes!("format-1-passphrase.backup"));
    let found = read(&place.file(), &Key::Passphrase(passphrase)).unwrap();
    store(&place.file(), include_bytes!("format-1-recipient.backup"));
    let key = Key::Identity(identity.parse().unwrap());
    assert_eq!(read(&place.file(), &key).unwrap(), found);
    let [(head, people)] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        (head.name.as_str(), head.template_space.as_str()),
        ("door", "space 1")
    );
    assert_eq!((head.created, head.updated, head.version), (1, 2, [3; 32]));
    assert_eq!(
        head.uuid,
        Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)
    );
    let feature: FeatureBits = std::array::from_fn(|d| 0x3800 + d as u16);
    assert_eq!(people[..], [("Jörg".to_owned(), vec![feature])]);
}
