//! Numbers beside their limits, as they are shown: rounded apart, so that what is below its limit never looks like it.
//! In f64, which a limit of so many decimal digits survives.

/// A value, rounded down to `digits` after the point.
pub fn down(value: f32, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (f64::from(value) * scale).floor() / scale
}

/// A limit of 0 or more, rounded up. A limit that has so few digits stays, though f32 may have made it a hair more.
pub fn up(limit: f32, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (f64::from(limit) * scale - 1e-3).ceil().max(0.0) / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_below_its_limit_is_shown_below_it() {
        assert_eq!((down(20.01, 1), up(20.04, 1)), (20.0, 20.1));
        assert_eq!((down(0.99996, 3), up(1.0, 3)), (0.999, 1.0));
        for tenths in 0..=1000 {
            assert_eq!(up(tenths as f32 / 10.0, 1), f64::from(tenths) / 10.0);
        }
        assert_eq!(up(0.0, 3).to_string(), "0");
    }
}
