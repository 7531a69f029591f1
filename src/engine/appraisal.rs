//! What a picture will cost, before it waits for a worker.

use super::{EncodedPicture, Item};
use crate::inference::{Cost, Size};
use crate::recognition::{EncodedFile, Outlook, Recognizer, Refusal, outlook};

/// Memory of each worker for a small picture; it is not counted for each.
pub const SMALL_BYTES: u64 = 12 << 20;
/// Pixels of a picture that is recognised about as fast as any smaller one.
const SMALL_PIXELS: u64 = 2_500_000;
/// Bytes of a file, as they were sent, that take no time to speak of.
const SMALL_FILE: usize = 8 << 20;
/// Pictures of more pixels are worked on one at a time.
const HUGE_PIXELS: u64 = 6_000_000;
/// Bytes a pixel of the costliest JPEG.
const UNCLEAR_BYTES: u64 = 20;
/// Pixels of the pictures of one batch, for each picture that it may have: what a telephone takes.
const BATCH_PIXELS: u64 = 16_000_000;
/// So many of the largest may come in one batch in any case.
const SOME_PICTURES: u64 = 10;

/// Says what pictures cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appraiser {
    pub max_pixels: u64,
    /// Bytes for large pictures.
    pub memory: usize,
}

/// A picture that was looked at as far as its size.
pub(super) struct Appraised {
    picture: EncodedPicture,
    /// The pixels that are set aside for, or why there are none.
    pixels: Result<u64, String>,
}

impl Appraised {
    /// The picture's file, for a recognizer that will not decode more than was announced.
    ///
    /// # Errors
    /// [`Refusal::InvalidImage`] for a picture that the memory does not suffice for.
    pub fn on(&self, recognizer: &mut Recognizer) -> Result<&EncodedFile, Refusal> {
        let pixels = self.pixels.clone().map_err(Refusal::InvalidImage)?;
        recognizer.allow_pixels(pixels);
        Ok(&self.picture.file)
    }

    pub fn far(&self) -> bool {
        self.picture.far
    }
}

impl Appraiser {
    pub fn appraise(&self, picture: EncodedPicture) -> (Cost, Appraised) {
        let (cost, pixels) = self.cost(outlook(&picture.file), &picture);
        (cost, Appraised { picture, pixels })
    }

    fn cost(&self, outlook: Outlook, picture: &EncodedPicture) -> (Cost, Result<u64, String>) {
        let (pixels, memory) = match outlook {
            // Refused at once.
            Outlook::NoPicture => return (Cost::SMALL, Ok(0)),
            Outlook::Picture(header) if header.pixels() > self.max_pixels => {
                return (Cost::SMALL, Ok(header.pixels()));
            }
            Outlook::Picture(header) => (header.pixels(), header.memory()),
            Outlook::Unclear => {
                let pixels = (self.memory as u64 / UNCLEAR_BYTES).min(self.max_pixels);
                (pixels, pixels * UNCLEAR_BYTES)
            }
        };
        let long = picture.file.length() > SMALL_FILE;
        let small = pixels <= SMALL_PIXELS && memory <= SMALL_BYTES && !long && !picture.far;
        if small {
            return (Cost::SMALL, Ok(pixels));
        }
        // Out of base64, and once more in the form that its decoder reads.
        let memory = memory + 2 * picture.file.length() as u64;
        match usize::try_from(memory) {
            Ok(memory) if memory <= self.memory => {
                let size = match pixels > HUGE_PIXELS {
                    true => Size::Huge,
                    false => Size::Large,
                };
                (Cost { size, memory }, Ok(pixels))
            }
            _ => {
                let why = format!(
                    "decoding the picture takes {} MB of memory, at most {} MB are set aside for that (limits.max_picture_memory)",
                    memory.div_ceil(1_000_000),
                    self.memory / 1_000_000
                );
                (Cost::SMALL, Err(why))
            }
        }
    }

    /// What is wrong with a batch as a whole, of which each picture may be good.
    pub fn objection(&self, items: &[Item], max_batch: usize) -> Option<String> {
        let most = (BATCH_PIXELS * max_batch as u64).max(SOME_PICTURES * self.max_pixels);
        let pixels = items.iter().map(|item| match outlook(&item.picture.file) {
            Outlook::Picture(header) if header.pixels() <= self.max_pixels => header.pixels(),
            _ => 0,
        });
        let pixels: u64 = pixels.sum();
        (pixels > most).then(|| {
            format!(
                "face_image: the pictures have {} megapixels together, at most {} are allowed: send them smaller, or fewer at a time",
                pixels / 1_000_000,
                most / 1_000_000
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPRAISER: Appraiser = Appraiser {
        max_pixels: 40_000_000,
        memory: 100_000_000,
    };

    /// The first bytes of a PNG with so many pixels of 8-bit grey, as a picture.
    fn picture(width: u32, height: u32) -> EncodedPicture {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend(width.to_be_bytes());
        png.extend(height.to_be_bytes());
        png.extend([8, 0, 0, 0, 0, 0, 0, 0, 0]);
        EncodedPicture {
            file: EncodedFile::Plain(png.into()),
            far: false,
        }
    }

    fn cost(width: u32, height: u32) -> (Cost, Result<u64, String>) {
        let (cost, appraised) = APPRAISER.appraise(picture(width, height));
        (cost, appraised.pixels)
    }

    #[test]
    fn the_larger_the_picture_the_fewer_may_work_on_it() {
        assert_eq!(cost(1920, 1080), (Cost::SMALL, Ok(1920 * 1080)));
        assert_eq!(cost(2560, 1920).0.size, Size::Large);
        let (huge, _) = cost(4000, 3000);
        assert_eq!(huge.size, Size::Huge);
        assert!(huge.memory >= 4000 * 3000 * 4);
    }

    #[test]
    fn what_the_memory_does_not_suffice_for_is_refused_with_the_limit() {
        let (cost, why) = cost(6000, 6000);
        assert_eq!(cost, Cost::SMALL);
        let why = why.unwrap_err();
        assert!(
            why.contains("100 MB") && why.contains("max_picture_memory"),
            "{why}"
        );
    }

    #[test]
    fn what_will_be_refused_anyway_waits_for_nothing() {
        assert_eq!(cost(50_000, 50_000).0, Cost::SMALL);
        let nothing = EncodedPicture {
            file: EncodedFile::Base64("aGFsbG8=".into()),
            far: true,
        };
        assert_eq!(APPRAISER.appraise(nothing).0, Cost::SMALL);
    }

    #[test]
    fn the_pixels_of_a_batch_are_bounded() {
        let item = |width, height| Item {
            target: "ada".into(),
            picture: picture(width, height),
        };
        let telephone = vec![item(4000, 3000); 10];
        assert_eq!(APPRAISER.objection(&telephone, 10), None);
        let bombs = vec![item(6324, 6324); 500];
        assert_eq!(APPRAISER.objection(&bombs[..10], 10), None);
        let said = APPRAISER.objection(&bombs, 500).unwrap();
        assert!(
            said.contains("19996 megapixels") && said.contains("at most 8000"),
            "{said}"
        );
    }
}
