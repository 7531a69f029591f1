//! What a picture will cost, from its first bytes: asked before it waits for a worker.

use super::encoding::EncodedFile;

/// What the head of a picture says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub width: u32,
    pub height: u32,
    /// Bytes that decoding takes at its worst, for each pixel in hundredths.
    centibytes: u64,
}

impl Header {
    /// Width times height.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Bytes that decoding takes, beside the encoded picture.
    pub fn memory(&self) -> u64 {
        self.pixels().saturating_mul(self.centibytes) / 100
    }
}

/// What can be said about a picture before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    Picture(Header),
    /// It will be refused by its first bytes.
    NoPicture,
    /// A JPEG whose size stands far behind other things.
    Unclear,
}

/// Bytes of a JPEG that are searched for its size: enough for a thumbnail and a colour profile.
const BEGINNINGS: [usize; 3] = [1 << 10, 1 << 16, 1 << 19];

/// RGB, and while it is turned parts of it twice.
const RGB: u64 = 400;
/// What a lossy WebP takes: RGB, and its planes.
const WEBP_LOSSY: u64 = 500;
/// RGBA in place of RGB, and tables of a sixteenth of the pixels.
const WEBP_LOSSLESS: u64 = 600;
/// The canvas and one frame, with and without what is transparent.
const WEBP_ANIMATED: u64 = 1700;
/// A coefficient.
const COEFFICIENT: u64 = 200;
/// Planes of a JPEG that is decoded in them, and four inks before they are RGB.
const PLANES: u64 = 400;

/// Looks at the first bytes of a picture.
pub fn outlook(file: &EncodedFile) -> Outlook {
    let mut bytes = Vec::new();
    for length in BEGINNINGS {
        let Some(more) = file.beginning(length, &mut bytes) else {
            return Outlook::NoPicture;
        };
        match of(&bytes) {
            Ok(Some(header)) => return Outlook::Picture(header),
            Ok(None) => return Outlook::NoPicture,
            Err(TooShort) if !more => return Outlook::NoPicture,
            Err(TooShort) => {}
        }
    }
    Outlook::Unclear
}

struct TooShort;

/// `None` for what is no picture.
fn of(bytes: &[u8]) -> Result<Option<Header>, TooShort> {
    match bytes {
        [0xff, 0xd8, ..] => of_jpeg(bytes),
        [0x89, b'P', b'N', b'G', ..] => of_png(bytes).map(Some),
        [b'B', b'M', ..] => of_bmp(bytes).map(Some),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => of_webp(bytes),
        _ => Ok(None),
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], TooShort> {
    let part = bytes.get(at..at.saturating_add(N)).ok_or(TooShort)?;
    part.try_into().map_err(|_| TooShort)
}

fn of_png(bytes: &[u8]) -> Result<Header, TooShort> {
    let [depth, colour] = part(bytes, 24)?;
    let channels = match colour {
        0 => 1,
        2 => 3,
        4 => 2,
        // RGBA, or a palette that may have transparent colours.
        _ => 4,
    };
    Ok(Header {
        width: u32::from_be_bytes(part(bytes, 16)?),
        height: u32::from_be_bytes(part(bytes, 20)?),
        centibytes: RGB.max(100 * channels * if depth == 16 { 2 } else { 1 }),
    })
}

fn of_bmp(bytes: &[u8]) -> Result<Header, TooShort> {
    const OLD_HEADER: u32 = 12;
    let (width, height) = match u32::from_le_bytes(part(bytes, 14)?) {
        OLD_HEADER => (
            u16::from_le_bytes(part(bytes, 18)?).into(),
            u16::from_le_bytes(part(bytes, 20)?).into(),
        ),
        // A negative height is one from the top.
        _ => (
            i32::from_le_bytes(part(bytes, 18)?).unsigned_abs(),
            i32::from_le_bytes(part(bytes, 22)?).unsigned_abs(),
        ),
    };
    Ok(Header {
        width,
        height,
        centibytes: RGB,
    })
}

fn of_webp(bytes: &[u8]) -> Result<Option<Header>, TooShort> {
    const ANIMATED: u8 = 1 << 1;
    const SIDE: u32 = (1 << 14) - 1;
    let (width, height, centibytes) = match &part(bytes, 12)? {
        b"VP8X" => {
            let [flags] = part(bytes, 20)?;
            let [w0, w1, w2, h0, h1, h2] = part(bytes, 24)?;
            let cost = match &part(bytes, 30)? {
                _ if flags & ANIMATED != 0 => WEBP_ANIMATED,
                b"VP8 " | b"ALPH" => WEBP_LOSSY,
                // A colour profile may stand before either.
                _ => WEBP_LOSSLESS,
            };
            let side = |low, middle, high| u32::from_le_bytes([low, middle, high, 0]) + 1;
            (side(w0, w1, w2), side(h0, h1, h2), cost)
        }
        b"VP8L" => {
            let sides = u32::from_le_bytes(part(bytes, 21)?);
            ((sides & SIDE) + 1, (sides >> 14 & SIDE) + 1, WEBP_LOSSLESS)
        }
        b"VP8 " => {
            let side = |at| part(bytes, at).map(|side| u32::from(u16::from_le_bytes(side)) & SIDE);
            (side(26)?, side(28)?, WEBP_LOSSY)
        }
        _ => return Ok(None),
    };
    Ok(Some(Header {
        width,
        height,
        centibytes,
    }))
}

/// Of the frame header, and whether what follows must be kept whole until the last scan.
fn of_jpeg(bytes: &[u8]) -> Result<Option<Header>, TooShort> {
    const START_OF_SCAN: u8 = 0xda;
    let mut frame: Option<Frame> = None;
    let mut at = 2;
    loop {
        match part(bytes, at)? {
            // Fill bytes may stand before a marker.
            [0xff] => {}
            _ => return Ok(frame.map(|frame| frame.header(true))),
        }
        let [marker] = part(bytes, at + 1)?;
        match marker {
            0xff => {
                at += 1;
                continue;
            }
            0x01 | 0xd0..=0xd7 => {
                at += 2;
                continue;
            }
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(part(bytes, at + 2)?));
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                frame = Some(Frame::read(bytes, at + 4, marker)?);
            }
            START_OF_SCAN => {
                let [in_scan] = part(bytes, at + 4)?;
                return Ok(frame.map(|frame| frame.header(in_scan != frame.components)));
            }
            _ => {}
        }
        at += 2 + length;
    }
}

struct Frame {
    width: u32,
    height: u32,
    components: u8,
    progressive: bool,
    /// Coefficients for a pixel, in hundredths.
    coefficients: u64,
    /// Whether the samples are none of the usual kinds, for which there is a slower decoder.
    unusual: bool,
}

impl Frame {
    fn read(bytes: &[u8], at: usize, marker: u8) -> Result<Frame, TooShort> {
        let [_, h1, h0, w1, w0, components] = part(bytes, at)?;
        let mut sampling = Vec::new();
        for component in 0..usize::from(components.min(4)) {
            let [_, factors, _] = part(bytes, at + 6 + 3 * component)?;
            sampling.push((u64::from(factors >> 4), u64::from(factors & 0xf)));
        }
        let largest = |side: fn(&(u64, u64)) -> u64| sampling.iter().map(side).max().unwrap_or(1);
        let block = (largest(|s| s.0) * largest(|s| s.1)).max(1);
        let samples: u64 = sampling.iter().map(|(h, v)| h * v).sum();
        let usual = match sampling.split_first() {
            Some((first, others)) => {
                matches!(first, (1 | 2, 1 | 2)) && others.iter().all(|other| *other == (1, 1))
            }
            None => false,
        };
        Ok(Frame {
            unusual: components > 1 && !usual,
            width: u16::from_be_bytes([w1, w0]).into(),
            height: u16::from_be_bytes([h1, h0]).into(),
            components,
            progressive: !matches!(marker, 0xc0 | 0xc1),
            coefficients: (100 * samples).div_ceil(block).max(100),
        })
    }

    fn header(&self, scan_by_scan: bool) -> Header {
        let kept = match self.progressive || scan_by_scan {
            true => self.coefficients * COEFFICIENT / 100,
            false => 0,
        };
        let planes = match (self.unusual || scan_by_scan, self.components) {
            (_, 4) => 2 * PLANES,
            (true, _) => PLANES,
            _ => 0,
        };
        Header {
            width: self.width,
            height: self.height,
            centibytes: RGB + kept + planes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    const WIDTH: u32 = 70;
    const HEIGHT: u32 = 40;

    fn outlook_of(bytes: &[u8]) -> Outlook {
        outlook(&EncodedFile::Plain(bytes.to_vec().into()))
    }

    fn encode(encoder: impl ImageEncoder) {
        let pixels = vec![90; (WIDTH * HEIGHT * 3) as usize];
        encoder
            .write_image(&pixels, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
            .unwrap();
    }

    fn every_format() -> Vec<(&'static str, Vec<u8>)> {
        let mut all = vec![
            ("png", vec![]),
            ("jpeg", vec![]),
            ("bmp", vec![]),
            ("webp", vec![]),
        ];
        encode(PngEncoder::new(&mut all[0].1));
        encode(JpegEncoder::new(&mut all[1].1));
        encode(BmpEncoder::new(&mut all[2].1));
        encode(WebPEncoder::new_lossless(&mut all[3].1));
        all
    }

    #[test]
    fn every_format_says_its_size() {
        for (format, bytes) in every_format() {
            let Outlook::Picture(header) = outlook_of(&bytes) else {
                panic!("{format}: {:?}", outlook_of(&bytes));
            };
            assert_eq!((header.width, header.height), (WIDTH, HEIGHT), "{format}");
            let least = u64::from(WIDTH * HEIGHT * 3);
            assert!(
                (least..=3 * least).contains(&header.memory()),
                "{format}: {}",
                header.memory()
            );
        }
    }

    #[test]
    fn text_is_read_as_far_as_needed() {
        use base64::Engine as _;
        let outlook = |text: &str| outlook(&EncodedFile::Base64(text.to_owned().into()));
        for (format, bytes) in every_format() {
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            assert_eq!(outlook(&text), outlook_of(&bytes), "{format}");
            let url = format!("data:image/{format};base64,\n{text}");
            assert_eq!(outlook(&url), outlook_of(&bytes), "{format}");
        }
        for text in ["", "AAAA", "*", "data:,x", "/9j/", "/9j/4AAQ"] {
            assert_eq!(outlook(text), Outlook::NoPicture, "{text}");
        }
    }

    #[test]
    fn a_size_behind_much_else_is_found_or_said_to_be_unclear() {
        let jpeg = &every_format()[1].1;
        let segment = [&[0xff, 0xe2, 0xff, 0xff], &[0; 65533][..]].concat();
        for (segments, found) in [(1, true), (4, true), (20, false)] {
            let mut bytes = jpeg[..2].to_vec();
            bytes.extend(segment.repeat(segments));
            bytes.extend(&jpeg[2..]);
            match outlook_of(&bytes) {
                Outlook::Picture(header) => assert!(found && header.width == WIDTH),
                other => assert!(!found && other == Outlook::Unclear, "{segments}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_jpeg_that_is_kept_until_its_last_scan_takes_more() {
        let plain = every_format().swap_remove(1).1;
        let at = |bytes: &[u8], marker| bytes.windows(2).position(|w| w == [0xff, marker]).unwrap();
        let memory = |bytes: &[u8]| match outlook_of(bytes) {
            Outlook::Picture(header) => header.memory(),
            other => panic!("{other:?}"),
        };
        let mut progressive = plain.clone();
        progressive[at(&plain, 0xc0) + 1] = 0xc2;
        let mut one_by_one = plain.clone();
        one_by_one[at(&plain, 0xda) + 4] = 1;
        // Three components of full size, two bytes a coefficient.
        let more = u64::from(WIDTH * HEIGHT) * 6;
        assert_eq!(memory(&progressive), memory(&plain) + more);
        // And the planes, from which the pixels are put together.
        let planes = u64::from(WIDTH * HEIGHT) * 4;
        assert_eq!(memory(&one_by_one), memory(&plain) + more + planes);
    }
}
