//! Light: brightness, contrast and their extremes on the face.

use super::region::Region;
use super::sigmoid;

/// Luma up to which a pixel is nearly black, and from which nearly white (OFIQ's).
const DARK: u8 = 25;
const LIGHT: u8 = 247;

/// Mean linear luminance (sRGB), 100 between a fifth and four fifths; OFIQ's mapping.
pub fn luminance_mean(region: &Region) -> f32 {
    let (mean, _) = moments(region);
    100.0 * sigmoid(mean, 0.2, 0.05) * (1.0 - sigmoid(mean, 0.8, 0.05))
}

/// Variance of linear luminance; OFIQ's mapping, best at 1/60.
pub fn luminance_variance(region: &Region) -> f32 {
    let (_, variance) = moments(region);
    let share = 60.0 * variance / (60.0 * variance + 1.0);
    100.0 * (std::f32::consts::PI * share).sin()
}

/// Share of pixels that are not nearly black: 100 while less than a fifth are, 0 when all are.
pub fn under_exposure_prevention(region: &Region) -> f32 {
    let dark = share(region, |luma| luma <= DARK);
    100.0 * ((1.0 - dark) / 0.8).min(1.0)
}

/// Pixels that are nearly white; OFIQ's mapping.
pub fn over_exposure_prevention(region: &Region) -> f32 {
    let light = share(region, |luma| luma >= LIGHT);
    (1.0 / (light + 0.01)).min(100.0)
}

/// Entropy of the brightness in bits, of the eight possible; OFIQ's mapping.
pub fn dynamic_range(region: &Region) -> f32 {
    let histogram = histogram(region.face());
    let entropy: f32 = (histogram.iter())
        .filter(|&&share| share > 0.0)
        .map(|share| -share * share.log2())
        .sum();
    12.5 * entropy
}

/// How far the brightness of both halves of the face is distributed alike; OFIQ's mapping, on the
/// whole half instead of a patch of the cheek.
pub fn illumination_uniformity(region: &Region) -> f32 {
    let half = |right: bool| {
        let pixels = region.luma.iter().zip(&region.inside).enumerate();
        pixels.filter_map(move |(i, (luma, inside))| {
            let is_right = i % region.side >= region.side / 2;
            // Steps of 8 levels: noise does not tell halves apart.
            (*inside && is_right == right).then_some(*luma & !7)
        })
    };
    let (left, right) = (histogram(half(false)), histogram(half(true)));
    let shared: f32 = left.iter().zip(&right).map(|(a, b)| a.min(*b)).sum();
    100.0 * shared.powf(0.3)
}

/// Mean and variance of linear luminance, 0..1.
fn moments(region: &Region) -> (f32, f32) {
    let histogram = histogram(region.face());
    let linear = |level: usize| {
        let v = level as f32 / 255.0;
        match v <= 0.04045 {
            true => v / 12.92,
            false => ((v + 0.055) / 1.055).powf(2.4),
        }
    };
    let mean: f32 = (histogram.iter().enumerate())
        .map(|(level, share)| share * linear(level))
        .sum();
    let variance = (histogram.iter().enumerate())
        .map(|(level, share)| share * (linear(level) - mean).powi(2))
        .sum();
    (mean, variance)
}

/// The share of the face's pixels that `is` true of; 1 where there is no face to see.
fn share(region: &Region, is: impl Fn(u8) -> bool) -> f32 {
    let (mut count, mut hits) = (0u32, 0u32);
    for luma in region.face() {
        count += 1;
        hits += u32::from(is(luma));
    }
    match count {
        0 => 1.0,
        count => hits as f32 / count as f32,
    }
}

/// Shares by level; all 0 without pixels.
fn histogram(pixels: impl Iterator<Item = u8>) -> [f32; 256] {
    let (mut counts, mut total) = ([0u32; 256], 0u32);
    for luma in pixels {
        counts[usize::from(luma)] += 1;
        total += 1;
    }
    counts.map(|count| count as f32 / total.max(1) as f32)
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::plain;
    use super::*;

    fn ramp(from: usize, to: usize) -> Region {
        plain(64, move |x, y| {
            // Both halves run through the same levels.
            (from + (x * 2 + y * 7) % 64 * (to - from) / 64) as u8
        })
    }

    #[test]
    fn darkness_costs_brightness_and_exposure() {
        let (good, dim, black) = (ramp(60, 220), ramp(10, 60), ramp(0, 20));
        assert!(luminance_mean(&good) > 60.0, "{}", luminance_mean(&good));
        assert!(luminance_mean(&dim) < luminance_mean(&good) / 2.0);
        assert!(luminance_mean(&black) < 10.0);
        assert_eq!(under_exposure_prevention(&good), 100.0);
        assert_eq!(under_exposure_prevention(&black), 0.0);
    }

    #[test]
    fn white_pixels_are_overexposed() {
        assert_eq!(over_exposure_prevention(&ramp(60, 220)), 100.0);
        assert!(over_exposure_prevention(&plain(64, |_, _| 255)) < 1.0);
        let tenth = plain(100, |x, _| if x < 10 { 255 } else { 128 });
        assert!((over_exposure_prevention(&tenth) - 9.09).abs() < 0.1);
        assert!(luminance_mean(&plain(64, |_, _| 255)) < 5.0);
    }

    #[test]
    fn the_range_is_the_entropy() {
        assert_eq!(dynamic_range(&plain(64, |_, _| 128)), 0.0);
        let two = plain(64, |x, _| if x % 2 == 0 { 50 } else { 200 });
        assert!((dynamic_range(&two) - 12.5).abs() < 1e-3);
        assert!(dynamic_range(&ramp(0, 250)) > 70.0);
    }

    #[test]
    fn contrast_is_best_in_the_middle() {
        let flat = luminance_variance(&plain(64, |_, _| 128));
        let natural = luminance_variance(&ramp(60, 220));
        let stark = luminance_variance(&plain(64, |x, _| if x < 32 { 0 } else { 255 }));
        assert!(
            flat < 1.0 && natural > 60.0 && stark < 30.0,
            "{flat} {natural} {stark}"
        );
    }

    #[test]
    fn light_from_one_side_is_uneven() {
        assert!(illumination_uniformity(&ramp(60, 220)) > 95.0);
        let lamp = plain(64, |x, y| if x < 32 { 40 } else { 180 } + (y % 16) as u8);
        assert_eq!(illumination_uniformity(&lamp), 0.0);
    }

    #[test]
    fn no_pixels_are_no_quality() {
        let mut nothing = ramp(60, 220);
        nothing.inside.fill(false);
        assert_eq!(under_exposure_prevention(&nothing), 0.0);
        assert_eq!(dynamic_range(&nothing), 0.0);
        assert!(over_exposure_prevention(&nothing) < 1.0);
        assert!(luminance_mean(&nothing) < 3.0);
    }
}
