//! What comes from outside, in a form that can be logged, printed and answered.
//!
//! Names of files, methods and paths of requests, names of people: each may hold escape sequences that a terminal obeys, line breaks that
//! forge a line, marks that turn the order of writing around, or millions of characters. Every such text goes through this file on its way
//! to a person. What can be read stays as it is, in every script.

use std::fmt::{self, Write};
use std::path::Path;

/// Characters of a text that are shown, where nothing else is said.
pub const MOST: usize = 4096;

/// Characters of one value in a line of the log.
pub const MOST_LOGGED: usize = 2048;

/// One line of at most [`MOST`] characters.
pub trait Shown {
    fn shown(&self) -> String;
}

impl Shown for str {
    fn shown(&self) -> String {
        line(self, MOST)
    }
}

/// Bytes of a name that are no UTF-8 become `\xff`.
impl Shown for Path {
    fn shown(&self) -> String {
        let mut text = String::new();
        for chunk in self.as_os_str().as_encoded_bytes().utf8_chunks() {
            text += chunk.valid();
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        line(&text, MOST)
    }
}

/// The first `most` characters of `text` in one line. What a terminal would obey, or nobody could see, is written as in `\n` or `\u{202e}`;
/// what was cut off is counted.
pub fn line(text: &str, most: usize) -> String {
    display(text, most)
}

/// [`line()`] of something that is to be formatted yet; of a long one no more than the beginning is kept in memory.
pub fn display(value: impl fmt::Display, most: usize) -> String {
    let mut cut = Cut::new(most);
    // It never refuses.
    let _ = write!(cut, "{value}");
    cut.finish()
}

/// A text of several lines whose line breaks are meant; everything else as in [`line()`].
pub fn lines(text: &str) -> String {
    let shown: Vec<String> = text.split('\n').map(Shown::shown).collect();
    shown.join("\n")
}

/// A JSON text that says the same and can be printed: what is not plain stands in strings alone and is escaped there.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        match c == '\n' || is_plain(c) {
            true => shown.push(c),
            false => {
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

/// Takes a text in pieces and keeps what is shown of it.
struct Cut {
    shown: String,
    left: usize,
    /// Bytes so far.
    bytes: usize,
    is_cut: bool,
}

impl Cut {
    fn new(most: usize) -> Cut {
        Cut {
            shown: String::new(),
            left: most,
            bytes: 0,
            is_cut: false,
        }
    }

    fn finish(mut self) -> String {
        if self.is_cut {
            let _ = write!(self.shown, "... ({} bytes)", self.bytes);
        }
        self.shown
    }
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes += text.len();
        for c in text.chars() {
            if self.left == 0 {
                self.is_cut = true;
                break;
            }
            self.left -= 1;
            match is_plain(c) {
                true => self.shown.push(c),
                false => self.shown.extend(c.escape_default()),
            }
        }
        Ok(())
    }
}

/// Whether a character shows itself and does nothing else.
fn is_plain(c: char) -> bool {
    // Letters and marks that show nothing, and the blank of Chinese and Japanese, which separates names.
    const INVISIBLE: [(char, char); 10] = [
        ('\u{34f}', '\u{34f}'),
        ('\u{115f}', '\u{1160}'),
        ('\u{17b4}', '\u{17b5}'),
        ('\u{180b}', '\u{180f}'),
        ('\u{2065}', '\u{2065}'),
        ('\u{3164}', '\u{3164}'),
        ('\u{fe00}', '\u{fe0f}'),
        ('\u{ffa0}', '\u{ffa0}'),
        ('\u{1d173}', '\u{1d17a}'),
        ('\u{e0000}', '\u{e0fff}'),
    ];
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    if c == '\u{3000}' {
        return true;
    }
    if INVISIBLE
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&c))
    {
        return false;
    }
    // The standard library knows what can be printed. Behind a letter it lets combining marks be.
    let mut buffer = [b'x'; 5];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    let text = str::from_utf8(&buffer[..=length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_can_be_read_stays_as_it_is() {
        for text in [
            "",
            "Ada Lovelace",
            "José", // in one character and in two
            "Jose\u{301}",
            "山田\u{3000}太郎",
            "Ольга",
            "محمد",
            "สมชาย",
            "नेहा",
            "C:\\faces \"x\" 'y'",
            "😀",
        ] {
            assert_eq!(text.shown(), text);
        }
    }

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_written_out() {
        for (text, shown) in [
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31m\u{7}", "\\u{1b}[31m\\u{7}"),
            ("\u{9b}2J\u{7f}\0", "\\u{9b}2J\\u{7f}\\u{0}"),
            ("a\u{202e}gpj.b", "a\\u{202e}gpj.b"),
            (
                "\u{200b}\u{feff}ada\u{200f}",
                "\\u{200b}\\u{feff}ada\\u{200f}",
            ),
            (
                "\u{2066}\u{2069}\u{2028}\u{2029}",
                "\\u{2066}\\u{2069}\\u{2028}\\u{2029}",
            ),
            (
                "a\u{ad}\u{3164}\u{e0041}\u{a0}b",
                "a\\u{ad}\\u{3164}\\u{e0041}\\u{a0}b",
            ),
        ] {
            assert_eq!(text.shown(), shown);
            assert_eq!(shown.shown(), shown, "shown twice is shown once");
        }
    }

    #[test]
    fn no_character_that_is_let_through_moves_a_terminal() {
        let unsafe_ones = ('\0'..=char::MAX).filter(|c| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
        });
        for c in unsafe_ones {
            assert!(!is_plain(c), "{c:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_its_length_told() {
        assert_eq!(line("abcd", 4), "abcd");
        assert_eq!(line("abcde", 4), "abcd... (5 bytes)");
        assert_eq!(line(&"é".repeat(200_000), 2), "éé... (400000 bytes)");
        assert!("A".repeat(390_000).shown().len() < MOST + 30);
    }

    #[test]
    fn several_lines_stay_several() {
        assert_eq!(lines("a\u{1b}\nb\n"), "a\\u{1b}\nb\n");
    }

    #[test]
    fn a_file_name_that_is_no_text_shows_its_bytes() {
        let path = Path::new(OsStr::from_bytes(b"/faces/\xff\x1b[2Jada\xc3\xa9.jpg"));
        assert_eq!(path.shown(), "/faces/\\xff\\u{1b}[2Jadaé.jpg");
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({"name": "\u{202e}\u{9b}\u{7f}\u{e0041}ada\n\"é"});
        let text = json(&value.to_string());
        assert!(text.chars().all(is_plain), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
