//! From a JPEG that is whole to its pixels.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg::{Color, Survey};

/// RGB, 8 bits each, rows from the top. `file` is what `survey` was made of.
///
/// # Errors
/// The decoder's own words.
pub fn decode(survey: &Survey, file: &[u8]) -> Result<Vec<u8>, String> {
    let written = survey.rewrite(file);
    let pixels = survey.frame.width as usize * survey.frame.height as usize;
    let rgb = match is_plain(survey) {
        true => quickly(survey, &written),
        false => slowly(&written),
    }?;
    match rgb.len() == pixels * 3 {
        true => Ok(rgb),
        false => Err("the decoder gave another number of pixels".into()),
    }
}

/// What zune-jpeg decodes rightly: scans with all components unless progressive, and the usual samplings. The rest is noise or
/// an error with it.
fn is_plain(survey: &Survey) -> bool {
    let frame = &survey.frame;
    let scans = frame.progressive || survey.scans.len() == 1;
    let (first, others) = match frame.components.split_first() {
        Some((first, others)) => ((first.h, first.v), others),
        None => return false,
    };
    let sampling = match others.len() {
        0 => true,
        // Four inks of one size.
        3 => frame.h_max * frame.v_max == 1,
        _ => {
            matches!(first, (1 | 2, 1 | 2))
                && others.iter().all(|other| (other.h, other.v) == (1, 1))
        }
    };
    scans && sampling
}

fn quickly(survey: &Survey, written: &[u8]) -> Result<Vec<u8>, String> {
    let grey = survey.color == Color::Grey;
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(if grey {
            ColorSpace::Luma
        } else {
            ColorSpace::RGB
        });
    let pixels = JpegDecoder::new_with_options(ZCursor::new(written), options)
        .decode()
        .map_err(|e| e.to_string())?;
    Ok(match grey {
        true => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        false => pixels,
    })
}

fn slowly(written: &[u8]) -> Result<Vec<u8>, String> {
    use jpeg_decoder::PixelFormat;
    let mut decoder = jpeg_decoder::Decoder::new(written);
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::RGB24) => Ok(pixels),
        Some(PixelFormat::L8) => Ok(pixels.iter().flat_map(|&grey| [grey; 3]).collect()),
        Some(PixelFormat::CMYK32) => Ok(pixels
            .chunks_exact(4)
            .flat_map(|inks| {
                let light = |ink: usize| 255 - u32::from(inks[ink]);
                [0, 1, 2].map(|ink| ((light(ink) * light(3) + 127) / 255) as u8)
            })
            .collect()),
        _ => Err("the decoder gave 16 bits a sample".into()),
    }
}
