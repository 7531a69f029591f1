//! Decoded pixels as upright RGB, in little more memory than the larger of both takes.

use image::ColorType;
use image::metadata::Orientation;

use super::{Picture, Refusal};

/// Pixels of a decoder as 8-bit RGB, as the crate `image` converts them: what is transparent is taken as opaque.
///
/// # Errors
/// [`Refusal::InvalidImage`] for colours that none of the formats taken has.
pub(super) fn to_rgb(mut pixels: Vec<u8>, colour: ColorType) -> Result<Vec<u8>, Refusal> {
    if matches!(
        colour,
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16
    ) {
        halve(&mut pixels);
    }
    Ok(match colour {
        ColorType::Rgb8 | ColorType::Rgb16 => pixels,
        ColorType::Rgba8 | ColorType::Rgba16 => {
            keep(&mut pixels, 4, 3);
            pixels
        }
        ColorType::L8 | ColorType::L16 => repeat(&pixels),
        ColorType::La8 | ColorType::La16 => {
            keep(&mut pixels, 2, 1);
            repeat(&pixels)
        }
        other => {
            return Err(Refusal::InvalidImage(format!(
                "the picture's colours are of a kind that is not read: {other:?}"
            )));
        }
    })
}

/// 16 bits a channel, in the machine's order, become 8.
fn halve(samples: &mut Vec<u8>) {
    let count = samples.len() / 2;
    for i in 0..count {
        let sample = u16::from_ne_bytes([samples[2 * i], samples[2 * i + 1]]);
        samples[i] = ((u32::from(sample) + 128) / 257) as u8;
    }
    give_back_from(samples, count);
}

/// Of every `of` bytes the first `first` are kept.
fn keep(bytes: &mut Vec<u8>, of: usize, first: usize) {
    let count = bytes.len() / of;
    for i in 0..count {
        bytes.copy_within(of * i..of * i + first, first * i);
    }
    give_back_from(bytes, first * count);
}

fn repeat(grey: &[u8]) -> Vec<u8> {
    grey.iter().flat_map(|&value| [value; 3]).collect()
}

/// Shortens, and gives the memory behind back to the system.
fn give_back_from(bytes: &mut Vec<u8>, length: usize) {
    bytes.truncate(length);
    bytes.shrink_to_fit();
}

/// The picture as it is to be seen.
pub(super) fn turn(mut picture: Picture, orientation: Orientation) -> Picture {
    use Orientation::{
        FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180, Rotate270,
        Rotate270FlipH,
    };
    match orientation {
        NoTransforms => {}
        Rotate180 => {
            flip_vertically(&mut picture);
            flip_horizontally(&mut picture);
        }
        FlipHorizontal => flip_horizontally(&mut picture),
        FlipVertical => flip_vertically(&mut picture),
        // Columns become rows, from the top or from the bottom: the rest is flips in place.
        Rotate90 => {
            picture = transpose(picture);
            flip_horizontally(&mut picture);
        }
        Rotate270 => {
            picture = transpose(picture);
            flip_vertically(&mut picture);
        }
        Rotate90FlipH => picture = transpose(picture),
        Rotate270FlipH => {
            picture = transpose(picture);
            flip_vertically(&mut picture);
            flip_horizontally(&mut picture);
        }
    }
    picture
}

fn flip_horizontally(picture: &mut Picture) {
    let row = picture.width as usize * 3;
    for row in picture.rgb.chunks_exact_mut(row) {
        let pixels = row.as_chunks_mut::<3>().0;
        pixels.reverse();
    }
}

fn flip_vertically(picture: &mut Picture) {
    let row = picture.width as usize * 3;
    let (above, below) = picture.rgb.split_at_mut(picture.height as usize / 2 * row);
    let below = below.rchunks_exact_mut(row);
    for (upper, lower) in above.chunks_exact_mut(row).zip(below) {
        upper.swap_with_slice(lower);
    }
}

/// Rows that are moved at a time.
const BAND: usize = 64;

/// Rows become columns. The memory of the rows that were moved goes back to the system while the new picture takes its own.
fn transpose(picture: Picture) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut rows = picture.rgb;
    // Zeroed by the system: a page is taken when it is written to.
    let mut columns = vec![0; rows.len()];
    let mut end = height;
    while end > 0 {
        let start = end.saturating_sub(BAND);
        let band = &rows[start * width * 3..end * width * 3];
        for x in 0..width {
            let column = &mut columns[(x * height + start) * 3..(x * height + end) * 3];
            for (y, pixel) in column.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let at = (y * width + x) * 3;
                pixel.copy_from_slice(&band[at..at + 3]);
            }
        }
        give_back_from(&mut rows, start * width * 3);
        end = start;
    }
    Picture {
        width: picture.height,
        height: picture.width,
        rgb: columns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageBuffer, RgbImage};

    /// Every value once and again, so that no two pixels near each other are the same.
    fn values<T: From<u8>>(count: u32, from: impl Fn(u32) -> T) -> Vec<T> {
        (0..count).map(from).collect()
    }

    fn every_kind(width: u32, height: u32) -> Vec<DynamicImage> {
        let bytes = |channels| values(width * height * channels, |i| (i * 7 % 251) as u8);
        let words = |channels| values(width * height * channels, |i| (i * 7919 % 65_521) as u16);
        vec![
            DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, bytes(1)).unwrap()),
            DynamicImage::ImageLumaA8(ImageBuffer::from_raw(width, height, bytes(2)).unwrap()),
            DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, bytes(3)).unwrap()),
            DynamicImage::ImageRgba8(ImageBuffer::from_raw(width, height, bytes(4)).unwrap()),
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, words(1)).unwrap()),
            DynamicImage::ImageLumaA16(ImageBuffer::from_raw(width, height, words(2)).unwrap()),
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(width, height, words(3)).unwrap()),
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(width, height, words(4)).unwrap()),
        ]
    }

    #[test]
    fn every_kind_of_colour_is_converted_as_the_library_does() {
        for image in every_kind(90, 70) {
            let colour = image.color();
            let converted = to_rgb(image.as_bytes().to_vec(), colour).unwrap();
            assert!(converted == image.into_rgb8().into_raw(), "{colour:?}");
        }
    }

    #[test]
    fn every_orientation_turns_as_the_library_does() {
        // More than two bands, and a part of one; more high than wide, and more wide than high.
        for (width, height) in [(17, 150), (150, 17), (64, 128)] {
            for exif in 1..=8 {
                let orientation = Orientation::from_exif(exif).unwrap();
                let pixels = values(width * height * 3, |i| (i * 7 % 251) as u8);
                let mut image = DynamicImage::ImageRgb8(
                    RgbImage::from_raw(width, height, pixels.clone()).unwrap(),
                );
                image.apply_orientation(orientation);
                let picture = Picture {
                    width,
                    height,
                    rgb: pixels,
                };
                let turned = turn(picture, orientation);
                assert_eq!(
                    (turned.width, turned.height),
                    (image.width(), image.height())
                );
                assert!(turned.rgb == image.into_rgb8().into_raw(), "{exif}");
            }
        }
    }
}
