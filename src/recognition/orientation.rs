//! How a picture is to be turned, by its EXIF.

use image::ImageFormat;
use image::metadata::Orientation;

use super::chunks;

/// What JPEGs have before the TIFF file of their EXIF; some writers of other formats put it there as well.
const PREFIX: &[u8] = b"Exif\0\0";

/// Of a file that is no JPEG. Damaged metadata turn nothing.
pub fn of(format: ImageFormat, file: &[u8]) -> Orientation {
    let exif = match format {
        ImageFormat::Png => chunks::png(file, b"eXIf"),
        ImageFormat::WebP => chunks::webp(file, b"EXIF"),
        _ => None,
    };
    exif.and_then(of_exif).unwrap_or(Orientation::NoTransforms)
}

/// Of the TIFF file that EXIF is.
pub fn of_exif(exif: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(exif.strip_prefix(PREFIX).unwrap_or(exif))
}
