//! What a file is, by its first bytes.

use image::ImageFormat;

use super::Refusal;

/// How the files of a kind begin: bytes at a place, and what the kind is called in a sentence.
type Signature = (usize, &'static [u8], &'static str);

/// What cameras, phones and offices send instead of a picture that is read.
const OTHERS: [Signature; 46] = [
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\xff\xd8\xff\xf7", "JPEG-LS"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"GIF8", "a GIF"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (0, b"FOVb", "a camera's raw file"),
    (0, b"\0MRM", "a camera's raw file"),
    (0, b"IIU\0", "a camera's raw file"),
    (0, b"IIRO", "a camera's raw file"),
    (0, b"IIRS", "a camera's raw file"),
    (0, b"MMOR", "a camera's raw file"),
    (6, b"HEAPCCDR", "a camera's raw file"),
    (8, b"CR\x02", "a camera's raw file"),
    (0, b"II*\0", "a TIFF or a camera's raw file"),
    (0, b"MM\0*", "a TIFF or a camera's raw file"),
    (0, b"II+\0", "a TIFF"),
    (0, b"MM\0+", "a TIFF"),
    (0, b"\0\0\x01\0", "an icon"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"qoif", "QOI"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"DDS ", "DDS"),
    (0, b"P1\n", "a portable bitmap"),
    (0, b"P2\n", "a portable greymap"),
    (0, b"P3\n", "a portable pixmap"),
    (0, b"P4\n", "a portable bitmap"),
    (0, b"P5\n", "a portable greymap"),
    (0, b"P6\n", "a portable pixmap"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (0, b"%PDF-", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
    (0, b"\0\0\x01\xba", "a video"),
    (0, b"\0\0\x01\xb3", "a video"),
    (4, b"moov", "a video"),
    (4, b"mdat", "a video"),
];

/// By the brand of an ISO base media file. What has another one is a video.
const BRANDS: [(&[u8], &str); 10] = [
    (b"avif", "AVIF"),
    (b"avis", "AVIF"),
    (b"jxl ", "JPEG XL"),
    (b"jp2 ", "JPEG 2000"),
    (b"crx ", "a camera's raw file"),
    (b"hei", "HEIC"),
    (b"hev", "HEIC"),
    (b"mif", "HEIC or AVIF"),
    (b"msf", "HEIC or AVIF"),
    (b"mia", "HEIC or AVIF"),
];

/// JPEG, PNG, BMP or WebP.
///
/// # Errors
/// [`Refusal::InvalidImage`] with the name of what it is, as far as that can be seen.
pub fn recognise(file: &[u8]) -> Result<ImageFormat, Refusal> {
    const ACCEPTED: &str = "send JPEG, PNG, BMP or WebP";
    if let Some(name) = other(file) {
        return Err(Refusal::InvalidImage(format!(
            "the picture is {name}, {ACCEPTED}"
        )));
    }
    if file.starts_with(b"\xff\xd8\xff") {
        return Ok(ImageFormat::Jpeg);
    }
    match image::guess_format(file) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Bmp | ImageFormat::WebP)) => Ok(format),
        _ => Err(Refusal::InvalidImage(format!(
            "the bytes are not a picture, {ACCEPTED}"
        ))),
    }
}

fn other(file: &[u8]) -> Option<&'static str> {
    let at = |place: usize, bytes: &[u8]| {
        file.get(place..)
            .is_some_and(|rest| rest.starts_with(bytes))
    };
    if at(4, b"ftyp") {
        // The first brand may be a general one.
        let named = |place: usize| {
            let brand = BRANDS.iter().find(|(brand, _)| at(place, brand));
            brand.map(|(_, name)| *name)
        };
        let length = file
            .first_chunk()
            .map_or(0, |length| u32::from_be_bytes(*length)) as usize;
        let brands: Vec<&str> = std::iter::once(8)
            .chain((16..length.min(128)).step_by(4))
            .filter_map(named)
            .collect();
        let exact = brands.iter().find(|name| !name.contains(" or "));
        return Some(exact.or(brands.first()).unwrap_or(&"a video"));
    }
    if at(0, b"RIFF") && !at(8, b"WEBP") {
        return Some(if at(8, b"AVI ") { "a video" } else { "a sound" });
    }
    if let Some((.., name)) = OTHERS.iter().find(|(place, bytes, _)| at(*place, bytes)) {
        return Some(name);
    }
    let start = file.get(..file.len().min(1024)).unwrap_or_default();
    let text = start
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(start)
        .trim_ascii_start();
    let has = |word: &[u8]| {
        text.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    };
    match text.starts_with(b"<") {
        true if has(b"<svg") => Some("an SVG"),
        true if has(b"<html") || has(b"<!doctype html") => Some("a web page"),
        true => Some("XML"),
        false => None,
    }
}
