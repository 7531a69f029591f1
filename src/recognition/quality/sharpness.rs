//! Focus and motion: fine detail that a slight blur would take away.

use super::region::Region;
use super::sigmoid;

/// Radius of the blur that the face is compared with, in pixels of the aligned face.
const RADIUS: usize = 2;
const WINDOW: u32 = 2 * RADIUS as u32 + 1;
/// The share of lost detail that counts half, and how steeply it counts. On the development pictures the
/// median is 0.32, the least of 200 is 0.18; portraits that even enrolment should refuse lose 0.16.
const MIDDLE: f32 = 0.30;
const WIDTH: f32 = 0.06;

/// What share of the brightness differences between neighbours a blur takes away (Crete et al., "The
/// blur effect", 2007). A blurred face has little to lose. Relative, so that light and skin do not
/// matter.
///
/// OFIQ's component of this name is a random forest over similar features.
pub fn sharpness(region: &Region) -> f32 {
    let share = lost_detail(region, 1).min(lost_detail(region, region.side));
    100.0 * sigmoid(share, MIDDLE, WIDTH)
}

/// Along x with a `step` of 1, along y with one of the region's side.
fn lost_detail(region: &Region, step: usize) -> f32 {
    let side = region.side;
    let across = if step == 1 { side } else { 1 };
    // Sums across the direction, along the edges that count: without them the steps of 8-bit numbers
    // would be the detail of a blurred picture.
    let sum = |at: usize| -> i32 {
        (at - RADIUS * across..=at + RADIUS * across)
            .step_by(across)
            .map(|i| i32::from(region.luma[i]))
            .sum()
    };
    let margin = RADIUS + 1..side.saturating_sub(RADIUS);
    let (mut all, mut lost) = (0u32, 0u32);
    for at in 0..side * side {
        if !(margin.contains(&(at % side)) && margin.contains(&(at / side)) && region.inside[at]) {
            continue;
        }
        let (before, after) = (at - (RADIUS + 1) * step, at + RADIUS * step);
        if !(region.inside[before] && region.inside[after]) {
            continue;
        }
        let here = (sum(at) - sum(at - step)).unsigned_abs();
        // Less than a level a pixel is noise.
        if here < WINDOW {
            continue;
        }
        // Of two neighbouring means of a window only the ends differ.
        let ends = (sum(after) - sum(before)).unsigned_abs();
        all += here * WINDOW;
        lost += (here * WINDOW).saturating_sub(ends);
    }
    // Without any difference there is no detail.
    lost as f32 / all.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::plain;
    use super::*;

    /// Blocks of random brightness, blurred `times` by a mean of three in each direction.
    fn texture(times: usize) -> Region {
        let side = 112;
        let mut state = 1u32;
        let noise: Vec<u8> = (0..40 * 40)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut region = plain(side, |x, y| noise[y / 3 * 40 + x / 3]);
        for _ in 0..times {
            let old = region.luma.clone();
            let at = |x: usize, y: usize| u32::from(old[y.min(side - 1) * side + x.min(side - 1)]);
            for y in 0..side {
                for x in 0..side {
                    let sum: u32 = (0..9)
                        .map(|i| at((x + i % 3).saturating_sub(1), (y + i / 3).saturating_sub(1)))
                        .sum();
                    region.luma[y * side + x] = (sum / 9) as u8;
                }
            }
        }
        region
    }

    #[test]
    fn each_blur_costs_sharpness() {
        let scores: Vec<f32> = [0, 1, 3, 8].map(|times| sharpness(&texture(times))).into();
        assert!(scores.windows(2).all(|w| w[0] > w[1]), "{scores:?}");
        // Harder edges than any face has.
        assert!(scores[0] > 80.0 && scores[3] < 30.0, "{scores:?}");
    }

    #[test]
    fn light_does_not_matter() {
        let mut dark = texture(1);
        let bright = sharpness(&dark);
        for luma in &mut dark.luma {
            *luma /= 3;
        }
        assert!((sharpness(&dark) - bright).abs() < 10.0);
    }

    #[test]
    fn a_motion_in_one_direction_is_seen() {
        let mut moved = texture(0);
        for line in moved.luma.chunks_exact_mut(moved.side) {
            let old = line.to_vec();
            for (x, luma) in line.iter_mut().enumerate() {
                let from = x.saturating_sub(12);
                let sum: u32 = old[from..=x].iter().map(|&v| u32::from(v)).sum();
                *luma = (sum / (x - from + 1) as u32) as u8;
            }
        }
        let (moved, still) = (sharpness(&moved), sharpness(&texture(0)));
        assert!(moved < still - 10.0, "{moved} {still}");
    }

    #[test]
    fn an_even_face_has_no_detail() {
        assert!(sharpness(&plain(112, |_, _| 128)) < 1.0);
    }
}
