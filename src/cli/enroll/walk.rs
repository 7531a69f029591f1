//! Which files of a folder are pictures of people, and which are what cameras, telephones, photo libraries and network drives leave beside
//! them. These are passed over, and counted so that nobody misses them.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::shown::Shown;

/// Folders that systems and programs keep for themselves: deleted files, thumbnails, catalogues. In lower case.
const KEPT: &[&str] = &[
    // Deleted files: Windows of all ages, netatalk, Samba, network drives, Android, cloud servers.
    "$recycle.bin",
    "recycler",
    "recycled",
    "recycle bin",
    "network trash folder",
    "#recycle",
    "@recycle",
    "recycle",
    "trashbox",
    "_nas_recycle_",
    "trash",
    "papierkorb",
    "corbeille",
    "files_trashbin",
    "files_versions",
    "lost.dir",
    // What a repair of the file system found.
    "lost+found",
    // Earlier states.
    "#snapshot",
    "~snapshot",
    "@snapshots",
    "@recently-snapshot",
    "backups.backupdb",
    // Thumbnails and indexes.
    "@eadir",
    "@tmp",
    "@sharebin",
    "captureone",
    "thumbnails",
    // What packing on a Mac, and volumes of Mac and Windows, bring with them.
    "__macosx",
    "temporary items",
    "thevolumesettingsfolder",
    "system volume information",
    "$winreagent",
    "$extend",
];

/// Ends of the names of folders that are one document of a program: photo libraries, whose pictures are thumbnails and edits, too.
const DOCUMENTS: &[&str] = &[
    "photoslibrary",
    "photolibrary",
    "migratedphotolibrary",
    "aplibrary",
    "lrdata",
    "lrlibrary",
    "lrcat-data",
    "cocatalog",
    "photoboothlibrary",
];

/// Ends of the names of pictures. What has another one and does not begin as a picture does is none.
const PICTURES: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "mpo", "png", "apng", "bmp", "dib", "webp",
    "gif", "tif", "tiff", "heic", "heif", "hif", "avif", "jp2", "j2k", "jpf", "jpx", "jxl", "jxr",
    "svg", "psd", "tga", "ppm", "pgm", "pnm", "exr", "qoi", "raw", "dng", "cr2", "cr3", "crw",
    "nef", "nrw", "arw", "sr2", "orf", "rw2", "raf", "pef", "srw", "x3f", "3fr", "rwl", "iiq",
];

/// Ends of the names of pictures that stand for something else: films, folders, programs.
const STAND_INS: &[&str] = &["thm", "ithmb", "lrprev", "ico", "cur", "icns"];

/// Bytes at the beginning of a file by which a picture is known.
const HEAD: usize = 32;

/// Why something was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Hidden,
    Kept,
    NoPicture,
    LeadsOut,
    Circle,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Why::Hidden => "hidden",
            Why::Kept => "trash, thumbnails and other folders that are no person",
            Why::NoPicture => "no pictures",
            Why::LeadsOut => "links to folders elsewhere (--follow-links takes them)",
            Why::Circle => "links that lead back to where they are",
        }
    }
}

/// Names that are listed for each reason.
const LISTED: usize = 5;

/// What was passed over.
#[derive(Debug, Default)]
pub(super) struct Passed(BTreeMap<Why, (usize, Vec<String>)>);

impl Passed {
    fn add(&mut self, why: Why, root: &Path, path: &Path) {
        let (count, names) = self.0.entry(why).or_default();
        *count += 1;
        if names.len() < LISTED {
            names.push(path.strip_prefix(root).unwrap_or(path).shown());
        }
    }

    pub fn count(&self) -> usize {
        self.0.values().map(|(count, _)| count).sum()
    }

    /// A line for each reason.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(why, (count, names))| {
            let more = match count.saturating_sub(names.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "passed over: {count} ({}): {}{more}",
                why.name(),
                names.join(", ")
            )
        })
    }
}

/// What there is in a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Pictures, by name.
    pub pictures: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub unreadable: Vec<(PathBuf, String)>,
    pub passed: Passed,
}

/// Looks through `root`. Links to folders outside are followed if `follow` says so: a stick is not to have the device's folders enrolled. A
/// link to a single picture is that picture.
pub(super) fn look_through(root: &Path, follow: bool) -> Found {
    let mut found = Found::default();
    let inside = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let mut walk = WalkDir::new(root)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                let path = e.path().unwrap_or(root).to_owned();
                match e.loop_ancestor() {
                    // A folder of the trash that leads in a circle is trash all the same.
                    Some(_) => found.passed.add(Why::Circle, root, &path),
                    None => match because_of_names(root, &path) {
                        Some(why) => found.passed.add(why, root, &path),
                        None => found.unreadable.push((path, reason(&e))),
                    },
                }
                continue;
            }
        };
        let is_folder = entry.file_type().is_dir();
        if entry.depth() == 0 {
            continue;
        }
        let why = because_of_name(entry.file_name().to_string_lossy().as_ref(), is_folder)
            .or_else(|| because_of_link(&entry, &inside, follow));
        if let Some(why) = why {
            found.passed.add(why, root, entry.path());
            if is_folder {
                walk.skip_current_dir();
            }
            continue;
        }
        if !entry.file_type().is_file() {
            if !is_folder {
                found.passed.add(Why::NoPicture, root, entry.path());
            }
            continue;
        }
        match is_picture(entry.path()) {
            Ok(true) => found.pictures.push(entry.into_path()),
            Ok(false) => found.passed.add(Why::NoPicture, root, entry.path()),
            Err(e) => found.unreadable.push((entry.into_path(), e.to_string())),
        }
    }
    found
}

/// Without the path, which the report says.
fn reason(error: &walkdir::Error) -> String {
    (error.io_error()).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether a name says that this is nobody's picture.
fn because_of_name(name: &str, is_folder: bool) -> Option<Why> {
    if name.starts_with('.') {
        return Some(Why::Hidden);
    }
    let name = name.to_lowercase();
    let kept = || {
        KEPT.contains(&name.as_str())
            || DOCUMENTS.iter().any(|end| has_end(&name, end))
            // FOUND.000, after a repair under Windows.
            || (name.strip_prefix("found.")).is_some_and(|n| n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    (is_folder && kept()).then_some(Why::Kept)
}

/// The same of any part of a path below `root`.
fn because_of_names(root: &Path, path: &Path) -> Option<Why> {
    let below = path.strip_prefix(root).ok()?;
    let last = below.components().count().saturating_sub(1);
    (below.components().enumerate())
        .find_map(|(at, part)| because_of_name(&part.as_os_str().to_string_lossy(), at < last))
}

fn has_end(name: &str, end: &str) -> bool {
    (name.strip_suffix(end)).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a link leads to a folder outside `inside`, or to something in it that is passed over.
fn because_of_link(entry: &DirEntry, inside: &Path, follow: bool) -> Option<Why> {
    if !entry.path_is_symlink() {
        return None;
    }
    let target = entry.path().canonicalize().ok()?;
    if !target.starts_with(inside) {
        return (!follow && entry.file_type().is_dir()).then_some(Why::LeadsOut);
    }
    because_of_names(inside, &target)
}

/// Whether the file's name or its first bytes are those of a picture, be it of a kind that cannot be read.
fn is_picture(path: &Path) -> io::Result<bool> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    if STAND_INS.contains(&end) {
        return Ok(false);
    }
    if PICTURES.contains(&end) {
        return Ok(true);
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(begins_as_picture(&head))
}

fn begins_as_picture(head: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] = &[
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF87a",
        b"GIF89a",
        b"II*\0",
        b"MM\0*",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\xff\x4f\xff\x51",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"8BPS",
        b"qoif",
    ];
    const BRANDS: &[&[u8]] = &[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis",
    ];
    let at = |from: usize, to: usize| head.get(from..to).unwrap_or_default();
    BEGINNINGS.iter().any(|bytes| head.starts_with(bytes))
        || (at(0, 4) == b"RIFF" && at(8, 12) == b"WEBP")
        || (at(4, 8) == b"ftyp" && BRANDS.contains(&at(8, 12)))
        // Reserved fields behind the two letters, which alone are those of many a text.
        || (at(0, 2) == b"BM" && at(6, 10) == [0; 4] && head.len() == HEAD)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0";

    /// Files below a folder, each with its first bytes.
    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    fn names(root: &Path, found: &Found) -> Vec<String> {
        let below = |path: &PathBuf| path.strip_prefix(root).unwrap().shown();
        found.pictures.iter().map(below).collect()
    }

    #[test]
    fn what_a_system_keeps_for_itself_is_nobody() {
        for folder in [
            ".Trash-1000/files/mallory",
            ".Trashes/501/mallory",
            ".Trash/mallory",
            "#recycle/mallory",
            "@Recycle/mallory",
            "$RECYCLE.BIN/S-1-5-21/mallory",
            "$Recycle.Bin/mallory",
            "RECYCLER/mallory",
            "Recycled",
            "Network Trash Folder",
            "ada/@eaDir/1.jpg",
            "ada/.@__thumb",
            "ada/.thumbnails",
            "ada/@EADIR",
            "__MACOSX/ada",
            "lost+found/ada",
            "LOST.DIR",
            "FOUND.000",
            "System Volume Information",
            "ada/.git/objects",
            ".stversions/mallory",
            ".stfolder",
            ".dropbox.cache",
            ".sync/Archive/mallory",
            "ada/.picasaoriginals",
            "ada/.AppleDouble",
            "Fotos.photoslibrary/resources/derivatives",
            "Previews.lrdata/0",
            "ada/CaptureOne/Cache/Thumbnails",
            "#snapshot/daily",
            "~snapshot/daily",
            ".snapshots/1",
            ".zfs/snapshot",
            "Trash/mallory",
            "files_trashbin/files",
        ] {
            let root = tree(&[(&format!("{folder}/x.jpg"), JPEG), ("ada/1.jpg", JPEG)]);
            let found = look_through(root.path(), false);
            assert_eq!(names(root.path(), &found), ["ada/1.jpg"], "{folder}");
            assert_eq!(found.passed.count(), 1, "{folder}");
            assert!(found.unreadable.is_empty(), "{folder}");
        }
    }

    #[test]
    fn people_may_be_called_nearly_so() {
        let people = [
            "@ada",
            "#1",
            "$am",
            "trashman",
            "lost",
            "found.me",
            "bin",
            "recycle_ada",
            "photoslibrary",
        ];
        let files: Vec<_> = people
            .iter()
            .map(|name| (format!("{name}/1.jpg"), JPEG))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), *bytes))
            .collect();
        let root = tree(&files);
        let found = look_through(root.path(), false);
        assert_eq!(found.pictures.len(), people.len(), "{found:?}");
    }

    #[test]
    fn what_lies_beside_pictures_is_no_picture() {
        let text: &[u8] = b"nothing to see here, and that at some length";
        let root = tree(&[
            ("ada/1.jpg", JPEG),
            ("ada/Thumbs.db", b"\xd0\xcf\x11\xe0"),
            ("ada/ehthumbs.db", b"\xd0\xcf\x11\xe0"),
            ("ada/desktop.ini", text),
            ("ada/1.xmp", b"<x:xmpmeta"),
            ("ada/1.jpg.json", b"{\"title\": \"1.jpg\"}"),
            ("ada/IMG_1.AAE", b"<?xml"),
            ("ada/notes.txt", text),
            (
                "ada/BMW.txt",
                b"BMW and other cars, with a text of some length",
            ),
            ("ada/clip.mov", b"\0\0\0\x14ftypqt  "),
            ("ada/clip.THM", JPEG),
            ("ada/favicon.ico", JPEG),
            ("ada/Icon\r", b""),
            ("ada/.DS_Store", b""),
            ("ada/._1.jpg", b"\0\x05\x16\x07"),
        ]);
        let found = look_through(root.path(), false);
        assert_eq!(names(root.path(), &found), ["ada/1.jpg"]);
        assert_eq!(found.passed.count(), 14);
        let told: Vec<_> = found.passed.lines().collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].starts_with("passed over: 2 (hidden): ada/.DS_Store, ada/._1.jpg"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("passed over: 12 (no pictures)") && told[1].ends_with("and 7 more"),
            "{told:?}"
        );
    }

    #[test]
    fn pictures_are_told_whether_they_can_be_read_or_not() {
        let heic: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0";
        let mut bitmap = [1; 40];
        bitmap[..10].copy_from_slice(b"BM\x40\0\0\0\0\0\0\0");
        let root = tree(&[
            ("ada/1.JPG", JPEG),
            ("ada/broken.jpeg", b"not at all"),
            ("ada/empty.png", b""),
            ("ada/phone.HEIC", heic),
            ("ada/phone", heic),
            ("ada/without an end", JPEG),
            ("ada/bitmap", &bitmap),
            ("ada/misnamed.txt", JPEG),
            ("ada/raw.CR2", b"II*\0"),
        ]);
        let found = look_through(root.path(), false);
        assert_eq!(
            (found.pictures.len(), found.passed.count()),
            (9, 0),
            "{found:?}"
        );
    }

    #[test]
    fn links_stay_in_the_folder_and_never_lead_in_circles() {
        let outside = tree(&[("ceo/1.jpg", JPEG)]);
        let root = tree(&[("ada/1.jpg", JPEG), ("#recycle/mallory/1.jpg", JPEG)]);
        let at = |name: &str| root.path().join(name);
        symlink(outside.path().join("ceo"), at("mallory")).unwrap();
        symlink(outside.path().join("ceo/1.jpg"), at("ada/out.jpg")).unwrap();
        symlink("../ada", at("ada/round")).unwrap();
        symlink("1.jpg", at("ada/again.jpg")).unwrap();
        symlink("#recycle/mallory", at("eve")).unwrap();
        symlink("nowhere.jpg", at("ada/gone.jpg")).unwrap();
        symlink("nowhere", at(".gone")).unwrap();
        let found = look_through(root.path(), false);
        assert_eq!(
            names(root.path(), &found),
            ["ada/1.jpg", "ada/again.jpg", "ada/out.jpg"]
        );
        let (gone, _) = &found.unreadable[0];
        assert_eq!((found.unreadable.len(), gone), (1, &at("ada/gone.jpg")));
        let told: Vec<_> = found.passed.lines().collect();
        for expected in [
            "passed over: 1 (hidden): .gone",
            "passed over: 2 (trash, thumbnails and other folders that are no person): #recycle, eve",
            "passed over: 1 (links to folders elsewhere (--follow-links takes them)): mallory",
            "passed over: 1 (links that lead back to where they are): ada/round",
        ] {
            assert!(
                told.iter().any(|line| line == expected),
                "{expected}: {told:?}"
            );
        }
        let found = look_through(root.path(), true);
        assert_eq!(
            names(root.path(), &found),
            ["ada/1.jpg", "ada/again.jpg", "ada/out.jpg", "mallory/1.jpg"]
        );
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let root = tree(&[("ada/1.jpg", JPEG)]);
        let rights = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = root.path().join("ada/2.jpg");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rights,
            0,
        )
        .unwrap();
        let found = look_through(root.path(), false);
        assert_eq!((found.pictures.len(), found.passed.count()), (1, 1));
    }

    #[test]
    fn the_folder_itself_may_be_called_anything() {
        let root = tree(&[(".Trash-1000/ada/1.jpg", JPEG)]);
        let found = look_through(&root.path().join(".Trash-1000"), false);
        assert_eq!(found.pictures.len(), 1);
    }
}
