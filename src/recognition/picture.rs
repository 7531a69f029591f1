//! Decoding pictures that strangers send.

use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader, Limits};

use super::format::recognise;
use super::jpeg::{self, Fault};
use super::pixels::{to_rgb, turn};
use super::{Refusal, chunks, jpeg_pixels, orientation, webp};

/// Pixels in RGB order, rows from the top, EXIF orientation already obeyed.
#[derive(Clone)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// What a picture may cost. Checked against its header, before any pixel is decoded.
#[derive(Clone, Copy, Debug)]
pub struct PictureLimits {
    /// Bytes of the encoded picture.
    pub max_bytes: usize,
    /// Pixels of the decoded picture, width times height.
    pub max_pixels: u64,
    /// Pixels that memory is set aside for, as the picture's first bytes announced them.
    pub announced_pixels: u64,
}

impl Default for PictureLimits {
    fn default() -> Self {
        PictureLimits {
            max_bytes: 16 << 20,
            max_pixels: 40_000_000,
            announced_pixels: u64::MAX,
        }
    }
}

/// A face needs some pixels; a 1-pixel-wide strip of 40 megapixels would only cost time.
const MIN_SIDE: u32 = 16;

impl Picture {
    /// Decodes a JPEG, PNG, BMP or WebP, told apart by content.
    ///
    /// # Errors
    /// [`Refusal::InvalidImage`] with the reason in a sentence.
    pub fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Picture, Refusal> {
        let format = recognise(bytes)?;
        if format == ImageFormat::Jpeg {
            return decode_jpeg(bytes, limits);
        }
        if format == ImageFormat::WebP && !chunks::webp_is_whole(bytes) {
            return Err(Refusal::InvalidImage(
                "the WebP was cut off: its end is missing".into(),
            ));
        }
        // Before the bytes are changed for their decoder.
        let orientation = orientation::of(format, bytes);
        let damaged = |e: ImageError| match e {
            ImageError::Limits(e) => {
                Refusal::InvalidImage(format!("the picture needs too much memory: {e}"))
            }
            e => Refusal::InvalidImage(format!("the picture cannot be decoded: {e}")),
        };
        let bytes = match format {
            ImageFormat::WebP => webp::prepared(bytes)?,
            _ => bytes.into(),
        };
        let mut reader = ImageReader::with_format(Cursor::new(&*bytes), format);
        let mut caps = Limits::default();
        // 16-bit RGBA is the widest a decoder of ours gives; as much again for its own tables.
        caps.max_alloc = Some(limits.max_pixels.saturating_mul(16).max(64 << 20));
        reader.limits(caps);
        let decoder = reader.into_decoder().map_err(damaged)?;

        let (width, height) = decoder.dimensions();
        limits.admit(width, height)?;
        let bytes_needed = decoder.total_bytes();
        if bytes_needed > limits.max_pixels.saturating_mul(4) {
            return Err(Refusal::InvalidImage(format!(
                "the picture takes {} MB decoded (16 bits a channel?), at most {} MB are allowed",
                bytes_needed / 1_000_000,
                limits.max_pixels * 4 / 1_000_000
            )));
        }
        let colour = decoder.color_type();
        let length = usize::try_from(bytes_needed)
            .map_err(|_| Refusal::InvalidImage("the picture needs too much memory".into()))?;
        let mut pixels = vec![0; length];
        decoder.read_image(&mut pixels).map_err(damaged)?;
        let rgb = to_rgb(pixels, colour)?;
        Ok(turn(Picture { width, height, rgb }, orientation))
    }
}

impl PictureLimits {
    /// Whether a picture of this size is taken.
    fn admit(&self, width: u32, height: u32) -> Result<(), Refusal> {
        let pixels = u64::from(width) * u64::from(height);
        let reason = if pixels > self.max_pixels {
            format!(
                "the picture has {width}x{height} pixels, at most {} megapixels are allowed",
                self.max_pixels as f64 / 1e6
            )
        } else if pixels > self.announced_pixels {
            format!("the picture has {width}x{height} pixels and announces another size before")
        } else if width < MIN_SIDE || height < MIN_SIDE {
            format!(
                "the picture has {width}x{height} pixels, at least {MIN_SIDE}x{MIN_SIDE} are needed"
            )
        } else {
            return Ok(());
        };
        Err(Refusal::InvalidImage(reason))
    }
}

/// A JPEG is read to its end before any pixel is made: decoders fill what is damaged, which must not become a template.
fn decode_jpeg(bytes: &[u8], limits: &PictureLimits) -> Result<Picture, Refusal> {
    let refused = |fault: Fault| Refusal::InvalidImage(fault.to_string());
    let (width, height) = jpeg::size(bytes).map_err(refused)?;
    limits.admit(width, height)?;
    let survey = jpeg::survey(bytes).map_err(refused)?;
    let rgb = jpeg_pixels::decode(&survey, bytes)
        .map_err(|e| Refusal::InvalidImage(format!("the JPEG cannot be decoded: {e}")))?;
    let orientation = survey.exif.and_then(orientation::of_exif);
    let picture = Picture { width, height, rgb };
    Ok(turn(
        picture,
        orientation.unwrap_or(Orientation::NoTransforms),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        PngEncoder::new(&mut out)
            .write_image(
                &vec![90; (width * height) as usize],
                width,
                height,
                ExtendedColorType::L8,
            )
            .unwrap();
        out
    }

    fn refusal(bytes: &[u8], limits: &PictureLimits) -> String {
        match Picture::decode(bytes, limits) {
            Ok(_) => panic!("it was decoded"),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_grey_picture_becomes_rgb() {
        let picture = Picture::decode(&png(40, 20), &PictureLimits::default()).unwrap();
        assert_eq!((picture.width, picture.height), (40, 20));
        assert_eq!(picture.rgb, vec![90; 40 * 20 * 3]);
    }

    #[test]
    fn dimensions_are_capped_before_decoding() {
        let limits = PictureLimits {
            max_pixels: 1000,
            ..PictureLimits::default()
        };
        // Only the header is whole: a decoder that went further would complain of something else.
        let mut bytes = png(40, 40);
        bytes.truncate(45);
        assert!(refusal(&bytes, &limits).contains("40x40 pixels, at most 0.001 megapixels"));
        assert!(refusal(&png(8, 100), &limits).contains("at least 16x16"));
    }

    #[test]
    fn other_formats_are_named() {
        let limits = PictureLimits::default();
        assert!(refusal(b"GIF89a..........", &limits).contains("the picture is a GIF"));
        assert!(refusal(b"\0\0\0\x18ftypheic\0\0\0\0", &limits).contains("HEIC"));
        assert!(refusal(b"hello", &limits).contains("not a picture"));
        assert!(refusal(b"", &limits).contains("not a picture"));
    }

    #[test]
    fn a_truncated_picture_is_refused() {
        let mut bytes = png(400, 400);
        bytes.truncate(bytes.len() / 2);
        assert!(refusal(&bytes, &PictureLimits::default()).contains("cannot be decoded"));
    }
}
