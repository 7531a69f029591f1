//! Parts of a picture at another size.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{ResizeOptions, Resizer};

pub use fast_image_resize::{FilterType, ResizeAlg};

use super::{Picture, Rect};

/// A resizer with its buffers. Fixed point: the same answer on every processor.
#[derive(Default)]
pub struct Scaler(Resizer);

impl Scaler {
    /// `part` of `picture` (in its pixels) as RGB of `size` (width, height).
    ///
    /// # Errors
    /// A part that is not inside the picture.
    pub fn scale(
        &mut self,
        picture: &Picture,
        part: &Rect,
        size: (u32, u32),
        algorithm: ResizeAlg,
    ) -> Result<Vec<u8>, String> {
        let options = ResizeOptions::new().resize_alg(algorithm).crop(
            part.x.into(),
            part.y.into(),
            part.width.into(),
            part.height.into(),
        );
        let mut scaled = vec![0; 3 * size.0 as usize * size.1 as usize];
        // Typed: the library's code for every other kind of pixel (2 MB) stays out of the program.
        let source =
            TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, &picture.rgb)
                .map_err(|e| e.to_string())?;
        let mut target = TypedImage::<U8x3>::from_buffer(size.0, size.1, &mut scaled)
            .map_err(|e| e.to_string())?;
        (self.0.resize_typed(&source, &mut target, &options)).map_err(|e| e.to_string())?;
        Ok(scaled)
    }
}
