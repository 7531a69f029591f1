//! WebP files in the form in which their decoder takes the least memory for the same colours.

use std::borrow::Cow;

use super::Refusal;

const FLAGS: usize = 20;
const ALPHA: u8 = 1 << 4;
/// The byte of a lossless picture's header that holds [`ALPHA`], too.
const LOSSLESS_FLAGS: usize = 24;
const EXTENDED_CHUNK: usize = 30;
/// What precedes the chunks of a frame of an animation, its own head included.
const FRAME_HEAD: usize = 24;

/// Has the decoder leave out what is transparent where that is a plane of its own, which takes as much memory again as all colours, and
/// keep it where the colours come with it, which would be copied.
///
/// # Errors
/// [`Refusal::InvalidImage`] for a picture inside that is larger than the file says: the decoder takes memory for it before it looks.
pub(super) fn prepared(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    match bytes.get(12..16) {
        Some(b"VP8L") if bytes.len() > LOSSLESS_FLAGS => {
            Ok(with(bytes, LOSSLESS_FLAGS, |flags| flags | ALPHA))
        }
        Some(b"VP8X") if bytes.len() >= EXTENDED_CHUNK => extended(bytes),
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

fn with(bytes: &[u8], at: usize, change: fn(u8) -> u8) -> Cow<'_, [u8]> {
    let changed = change(bytes[at]);
    if changed == bytes[at] {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_vec();
    bytes[at] = changed;
    Cow::Owned(bytes)
}

fn extended(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let side = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]) + 1;
    let canvas = u64::from(side(24)) * u64::from(side(27));
    let mut kind = None;
    for chunk in chunks(bytes, EXTENDED_CHUNK) {
        match chunk.name {
            b"ANMF" => {
                // The decoder looks at the first frame alone.
                let frame = bytes.get(..chunk.end).unwrap_or(bytes);
                for inner in chunks(frame, chunk.start + FRAME_HEAD - 8) {
                    inner.check(bytes, canvas)?;
                }
                return Ok(Cow::Borrowed(bytes));
            }
            b"VP8 " | b"VP8L" if kind.is_none() => {
                chunk.check(bytes, canvas)?;
                kind = Some(chunk.name);
            }
            _ => {}
        }
    }
    Ok(match kind {
        Some(b"VP8 ") => with(bytes, FLAGS, |flags| flags & !ALPHA),
        Some(b"VP8L") => with(bytes, FLAGS, |flags| flags | ALPHA),
        _ => Cow::Borrowed(bytes),
    })
}

struct Chunk<'a> {
    name: &'a [u8; 4],
    /// Where its data begin and end.
    start: usize,
    end: usize,
}

impl Chunk<'_> {
    /// Whether a lossy picture in here has no more pixels than the file.
    fn check(&self, bytes: &[u8], canvas: u64) -> Result<(), Refusal> {
        const SIDE: u16 = (1 << 14) - 1;
        let &[w0, w1, h0, h1] = match bytes.get(self.start + 6..self.start + 10) {
            Some(sides) if self.name == b"VP8 " => sides.as_array().unwrap_or(&[0; 4]),
            _ => return Ok(()),
        };
        let [width, height] = [[w0, w1], [h0, h1]].map(|side| u16::from_le_bytes(side) & SIDE);
        match u64::from(width) * u64::from(height) > canvas {
            true => Err(Refusal::InvalidImage(format!(
                "the picture cannot be decoded: the file holds one of {width}x{height} pixels and says that it is smaller"
            ))),
            false => Ok(()),
        }
    }
}

fn chunks(bytes: &[u8], from: usize) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = from;
    std::iter::from_fn(move || {
        let (name, length) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length.first_chunk()?) as usize;
        let start = at + 8;
        at = start.checked_add(length)?.checked_add(length % 2)?;
        Some(Chunk {
            name,
            start,
            end: start + length,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::webp::WebPDecoder;
    use image::{DynamicImage, ExtendedColorType, ImageEncoder, codecs::webp::WebPEncoder};
    use std::io::Cursor;

    const WIDTH: u32 = 48;
    const HEIGHT: u32 = 32;

    fn lossless(colour: ExtendedColorType, channels: u32) -> Vec<u8> {
        let pixels: Vec<u8> = (0..WIDTH * HEIGHT * channels)
            .map(|i| (i * 7 % 251) as u8)
            .collect();
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes)
            .write_image(&pixels, WIDTH, HEIGHT, colour)
            .unwrap();
        bytes
    }

    fn rgb(bytes: &[u8]) -> Vec<u8> {
        let decoder = WebPDecoder::new(Cursor::new(bytes)).unwrap();
        DynamicImage::from_decoder(decoder)
            .unwrap()
            .into_rgb8()
            .into_raw()
    }

    /// The picture chunk of a file, in an extended one.
    fn in_extended(bytes: &[u8], flags: u8, width: u32, height: u32) -> Vec<u8> {
        let [w, h] = [width - 1, height - 1].map(u32::to_le_bytes);
        let mut chunks = b"WEBPVP8X\x0a\0\0\0".to_vec();
        chunks.extend([flags, 0, 0, 0, w[0], w[1], w[2], h[0], h[1], h[2]]);
        chunks.extend(&bytes[12..]);
        let mut file = b"RIFF".to_vec();
        file.extend((chunks.len() as u32).to_le_bytes());
        file.extend(chunks);
        file
    }

    #[test]
    fn colours_stay_the_same() {
        let opaque = lossless(ExtendedColorType::Rgb8, 3);
        let transparent = lossless(ExtendedColorType::Rgba8, 4);
        for bytes in [
            in_extended(&opaque, 0, WIDTH, HEIGHT),
            in_extended(&transparent, ALPHA, WIDTH, HEIGHT),
            opaque,
            transparent,
        ] {
            assert!(rgb(&prepared(&bytes).unwrap()) == rgb(&bytes));
        }
    }

    #[test]
    fn a_picture_larger_than_its_file_says_is_refused() {
        let mut lossy = b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\x30\0\0\x9d\x01\x2a".to_vec();
        lossy.extend(16_383u16.to_le_bytes());
        lossy.extend(16_383u16.to_le_bytes());
        let said = prepared(&in_extended(&lossy, 0, WIDTH, HEIGHT))
            .err()
            .unwrap();
        assert!(said.to_string().contains("16383x16383"), "{said}");
        assert!(prepared(&in_extended(&lossy, 0, 16_383, 16_383)).is_ok());
    }

    #[test]
    fn nothing_is_too_short() {
        let whole = in_extended(&lossless(ExtendedColorType::Rgb8, 3), 0, WIDTH, HEIGHT);
        for length in 0..whole.len().min(200) {
            let _ = prepared(&whole[..length]);
        }
    }
}
