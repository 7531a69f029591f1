//! Worse copies of a picture: what cameras at doors do to faces.

use crate::recognition::{Picture, Point, Similarity, warp};

/// How a copy is made worse; `None` of them is the picture itself.
pub const DEGRADATIONS: [&str; 4] = ["blur", "dark", "small", "turned"];

/// The copy of `picture` that is degraded in the way called `name`, `strength` times (1 is hard but not
/// hopeless).
pub fn degraded(picture: &Picture, name: &str, strength: f32) -> Picture {
    match name {
        "blur" => blur(picture, strength),
        "dark" => dark(picture, strength),
        "small" => small(picture, strength),
        _ => turned(picture, strength),
    }
}

/// Three means in both directions, near to a Gaussian: out of focus.
fn blur(picture: &Picture, strength: f32) -> Picture {
    let longer = picture.width.max(picture.height) as f32;
    let radius = (longer / 100.0 * strength).round().max(1.0) as usize;
    let mut copy = picture.clone();
    for _ in 0..3 {
        for channel in 0..3 {
            let (width, height) = (copy.width as usize, copy.height as usize);
            for y in 0..height {
                mean(&mut copy.rgb, y * width * 3 + channel, 3, width, radius);
            }
            for x in 0..width {
                mean(&mut copy.rgb, x * 3 + channel, width * 3, height, radius);
            }
        }
    }
    copy
}

/// Each of `count` values, `step` apart from `start`, becomes the mean of those within `radius`.
fn mean(values: &mut [u8], start: usize, step: usize, count: usize, radius: usize) {
    let line: Vec<u32> = (0..count)
        .map(|i| u32::from(values[start + i * step]))
        .collect();
    let mut sums = vec![0u32; count + 1];
    for (i, value) in line.iter().enumerate() {
        sums[i + 1] = sums[i] + value;
    }
    for i in 0..count {
        let (from, to) = (i.saturating_sub(radius), (i + radius + 1).min(count));
        values[start + i * step] = ((sums[to] - sums[from]) / (to - from) as u32) as u8;
    }
}

/// A tenth of the light and the noise of a sensor that sees little.
fn dark(picture: &Picture, strength: f32) -> Picture {
    let light = 0.1 / strength;
    let mut random = Random(1);
    let mut copy = picture.clone();
    for value in &mut copy.rgb {
        let noise = (random.next() % 13) as f32 - 6.0;
        *value = (f32::from(*value) * light + noise * 0.5).clamp(0.0, 255.0) as u8;
    }
    copy
}

/// Far away: few pixels, and the frame still full.
fn small(picture: &Picture, strength: f32) -> Picture {
    let factor = (4.0 * strength).max(1.0);
    let (width, height) = (picture.width, picture.height);
    let side = width.max(height);
    let little = ((side as f32 / factor).round() as usize).max(16);
    let scale = little as f32 / side as f32;
    let (mut shrunk, mut grown) = (Vec::new(), Vec::new());
    warp(picture, &scaling(scale), little, [127; 3], &mut shrunk);
    let shrunk = Picture {
        width: little as u32,
        height: little as u32,
        rgb: shrunk,
    };
    let size = side as usize;
    warp(&shrunk, &scaling(1.0 / scale), size, [127; 3], &mut grown);
    cut(&grown, size, width, height)
}

/// A head on its side, by 35 degrees at a strength of 1.
fn turned(picture: &Picture, strength: f32) -> Picture {
    let (sin, cos) = (35.0 * strength).to_radians().sin_cos();
    let side = picture.width.max(picture.height);
    let centre = Point::new(picture.width as f32 / 2.0, picture.height as f32 / 2.0);
    let around = Similarity::upright_crop(centre, side as f32, cos, sin, side as f32);
    let mut out = Vec::new();
    warp(picture, &around, side as usize, [127; 3], &mut out);
    cut(&out, side as usize, side, side)
}

fn scaling(scale: f32) -> Similarity {
    Similarity {
        a: scale,
        b: 0.0,
        tx: 0.0,
        ty: 0.0,
    }
}

/// The top left `width`x`height` of a square.
fn cut(square: &[u8], side: usize, width: u32, height: u32) -> Picture {
    let lines = square.chunks_exact(side * 3).take(height as usize);
    Picture {
        width,
        height,
        rgb: lines
            .flat_map(|line| &line[..width as usize * 3])
            .copied()
            .collect(),
    }
}

/// Numbers that are random enough for a bench and the same in every run (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A white square on black.
    fn square() -> Picture {
        let rgb = (0..100 * 80)
            .flat_map(|i| {
                [if (30..60).contains(&(i % 100)) && (20..50).contains(&(i / 100)) {
                    255
                } else {
                    0
                }; 3]
            })
            .collect();
        Picture {
            width: 100,
            height: 80,
            rgb,
        }
    }

    fn brightness(picture: &Picture) -> f64 {
        picture.rgb.iter().map(|&v| f64::from(v)).sum::<f64>() / picture.rgb.len() as f64
    }

    #[test]
    fn every_copy_is_a_whole_picture_and_another() {
        for name in DEGRADATIONS {
            let copy = degraded(&square(), name, 1.0);
            assert_eq!(
                copy.rgb.len(),
                (copy.width * copy.height * 3) as usize,
                "{name}"
            );
            assert_ne!(copy.rgb, square().rgb, "{name}");
        }
    }

    #[test]
    fn blur_keeps_the_light_and_dark_does_not() {
        let before = brightness(&square());
        assert!((brightness(&degraded(&square(), "blur", 1.0)) - before).abs() < 2.0);
        assert!(brightness(&degraded(&square(), "dark", 1.0)) < before / 5.0);
        // The far edges mix with the grey around the picture.
        assert!((brightness(&degraded(&square(), "small", 1.0)) - before).abs() < 12.0);
    }
}
