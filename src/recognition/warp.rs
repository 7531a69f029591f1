//! Cutting an upright square out of a picture.

use super::Picture;
use super::geometry::{Point, Similarity};

/// Cuts the `size`x`size` square that `transform` brings the picture to, into `out` (`size * size *
/// 3` bytes RGB). Bilinear; pixels outside the picture are `border`.
///
/// Where the square shrinks the picture to half or less, the part it covers is averaged down by a
/// whole factor first: bilinear alone would skip pixels, and a face in a 12-megapixel photo would
/// be noise. Arithmetic is the same on every processor, so that templates are, too.
pub fn warp(
    picture: &Picture,
    transform: &Similarity,
    size: usize,
    border: [u8; 3],
    out: &mut Vec<u8>,
) {
    out.clear();
    let Some(back) = transform.inverse() else {
        out.extend(border.iter().cycle().take(size * size * 3));
        return;
    };
    let factor = back.scale().floor();
    if factor < 2.0 {
        sample(
            &View::of(picture),
            &back,
            Point::new(0.0, 0.0),
            1.0,
            size,
            border,
            out,
        );
        return;
    }
    // The whole of a huge picture is at most `max_pixels`, so the factor is small enough for u32.
    let factor = factor as u32;
    let reach = size as f32 - 1.0;
    let corners = [(0.0, 0.0), (reach, 0.0), (0.0, reach), (reach, reach)]
        .map(|(x, y)| back.apply(Point::new(x, y)));
    let range = |values: [f32; 4], limit: u32| {
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let margin = factor as f32 * 2.0;
        let low = (low - margin).clamp(0.0, limit as f32) as u32;
        let high = (high + margin).clamp(0.0, limit as f32) as u32;
        (low, (high - low) / factor)
    };
    let (left, width) = range(corners.map(|p| p.x), picture.width);
    let (top, height) = range(corners.map(|p| p.y), picture.height);
    let small = shrink(picture, left, top, width, height, factor);
    // Pixel i of the shrunk part is centred on source pixel left + factor * i + (factor - 1) / 2.
    let middle = (factor as f32 - 1.0) / 2.0;
    let origin = Point::new(left as f32 + middle, top as f32 + middle);
    sample(
        &View::of(&small),
        &back,
        origin,
        1.0 / factor as f32,
        size,
        border,
        out,
    );
}

struct View<'a> {
    width: i32,
    height: i32,
    rgb: &'a [u8],
}

impl<'a> View<'a> {
    fn of(picture: &'a Picture) -> View<'a> {
        View {
            width: i32::try_from(picture.width).unwrap_or(i32::MAX),
            height: i32::try_from(picture.height).unwrap_or(i32::MAX),
            rgb: &picture.rgb,
        }
    }

    fn pixel(&self, x: i32, y: i32, border: [u8; 3]) -> [u8; 3] {
        if x < 0 || y < 0 || x >= self.width || y >= self.height {
            return border;
        }
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

/// Averages `factor`x`factor` blocks of the part that starts at (`left`, `top`) to `width`x`height`.
fn shrink(picture: &Picture, left: u32, top: u32, width: u32, height: u32, factor: u32) -> Picture {
    let stride = picture.width as usize * 3;
    let (factor, columns) = (factor as usize, width as usize);
    let area = (factor * factor) as u32;
    let mut rgb = Vec::with_capacity(columns * height as usize * 3);
    let mut sums = vec![0u32; columns * 3];
    for row in 0..height as usize {
        sums.fill(0);
        for line in 0..factor {
            let y = top as usize + row * factor + line;
            let start = y * stride + left as usize * 3;
            let pixels = &picture.rgb[start..start + columns * factor * 3];
            for (sum, block) in (sums.chunks_exact_mut(3)).zip(pixels.chunks_exact(factor * 3)) {
                for pixel in block.chunks_exact(3) {
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += u32::from(*value);
                    }
                }
            }
        }
        rgb.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
    }
    Picture { width, height, rgb }
}

/// `back` gives the source position of an output pixel; the view holds the source from `origin` on,
/// `scale` pixels for one.
fn sample(
    view: &View<'_>,
    back: &Similarity,
    origin: Point,
    scale: f32,
    size: usize,
    border: [u8; 3],
    out: &mut Vec<u8>,
) {
    for row in 0..size {
        for column in 0..size {
            let p = back.apply(Point::new(column as f32, row as f32));
            let (x, y) = ((p.x - origin.x) * scale, (p.y - origin.y) * scale);
            let (x0, y0) = (x.floor(), y.floor());
            let (fx, fy) = (x - x0, y - y0);
            // Casts saturate: far outside stays outside.
            let (x0, y0) = (x0 as i32, y0 as i32);
            let inside = x0 >= 0 && y0 >= 0 && x0 < view.width - 1 && y0 < view.height - 1;
            let [p00, p10, p01, p11] = if inside {
                let at = (y0 as usize * view.width as usize + x0 as usize) * 3;
                let below = at + view.width as usize * 3;
                let two = |at: usize| -> [u8; 6] {
                    let mut pair = [0; 6];
                    pair.copy_from_slice(&view.rgb[at..at + 6]);
                    pair
                };
                let (upper, lower) = (two(at), two(below));
                [
                    [upper[0], upper[1], upper[2]],
                    [upper[3], upper[4], upper[5]],
                    [lower[0], lower[1], lower[2]],
                    [lower[3], lower[4], lower[5]],
                ]
            } else {
                let (x1, y1) = (x0.saturating_add(1), y0.saturating_add(1));
                [
                    view.pixel(x0, y0, border),
                    view.pixel(x1, y0, border),
                    view.pixel(x0, y1, border),
                    view.pixel(x1, y1, border),
                ]
            };
            for c in 0..3 {
                let upper = f32::from(p00[c]) + fx * (f32::from(p10[c]) - f32::from(p00[c]));
                let lower = f32::from(p01[c]) + fx * (f32::from(p11[c]) - f32::from(p01[c]));
                out.push((upper + fy * (lower - upper) + 0.5) as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: [u8; 3] = [127; 3];

    /// Red rises with x, green with y.
    fn ramp(width: u32, height: u32) -> Picture {
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                rgb.extend([(x % 256) as u8, (y % 256) as u8, 50]);
            }
        }
        Picture { width, height, rgb }
    }

    fn shift(scale: f32, tx: f32, ty: f32) -> Similarity {
        Similarity {
            a: scale,
            b: 0.0,
            tx,
            ty,
        }
    }

    #[test]
    fn the_identity_copies() {
        let picture = ramp(20, 20);
        let mut out = Vec::new();
        warp(&picture, &shift(1.0, 0.0, 0.0), 20, GREY, &mut out);
        assert_eq!(out, picture.rgb);
    }

    #[test]
    fn half_a_pixel_is_the_mean_of_two() {
        let mut out = Vec::new();
        warp(&ramp(20, 20), &shift(1.0, -0.5, 0.0), 10, GREY, &mut out);
        // 0.5 rounds up.
        assert_eq!(&out[..6], &[1, 0, 50, 2, 0, 50]);
    }

    #[test]
    fn outside_is_border() {
        let mut out = Vec::new();
        warp(&ramp(20, 20), &shift(1.0, 100.0, 0.0), 5, GREY, &mut out);
        assert_eq!(out, GREY.repeat(25));
    }

    #[test]
    fn shrinking_averages_what_it_covers() {
        // Stripes one pixel wide: skipping pixels would give 0 or 200, averaging gives 100.
        let (width, height) = (256u32, 256u32);
        let rgb = (0..width * height)
            .flat_map(|i| [if (i % width) % 2 == 0 { 0 } else { 200 }; 3])
            .collect();
        let stripes = Picture { width, height, rgb };
        let mut out = Vec::new();
        warp(&stripes, &shift(0.25, 0.0, 0.0), 60, GREY, &mut out);
        let inner = &out[60 * 3..59 * 60 * 3];
        let spread = inner
            .chunks_exact(60 * 3)
            .flat_map(|row| &row[3..row.len() - 3])
            .fold((255u8, 0u8), |(low, high), &v| (low.min(v), high.max(v)));
        assert_eq!(spread, (100, 100));
    }

    #[test]
    fn shrinking_keeps_the_place() {
        let mut out = Vec::new();
        warp(&ramp(250, 250), &shift(0.25, 0.0, 0.0), 60, GREY, &mut out);
        for (x, y) in [(5usize, 5usize), (30, 20), (50, 55)] {
            let at = (y * 60 + x) * 3;
            assert!((i32::from(out[at]) - 4 * x as i32).abs() <= 1);
            assert!((i32::from(out[at + 1]) - 4 * y as i32).abs() <= 1);
        }
    }

    #[test]
    fn degenerate_transforms_and_tiny_pictures_are_harmless() {
        let mut out = Vec::new();
        for t in [
            shift(0.0, 0.0, 0.0),
            shift(1e-30, 0.0, 0.0),
            shift(f32::NAN, 0.0, 0.0),
            shift(1e-4, 3.0, 3.0),
        ] {
            warp(&ramp(16, 16), &t, 8, GREY, &mut out);
            assert_eq!(out.len(), 8 * 8 * 3);
        }
    }
}
