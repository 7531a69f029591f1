//! Whether there are pairs enough for a false match rate.

/// Pairs that have to lie above a threshold for it to be one.
pub const ABOVE: f64 = 5.0;

/// What is said of a rate that so many pairs of two people cannot show; `None` if they can.
pub fn shortage(fmr: f64, pairs: u64) -> Option<String> {
    let needed = (ABOVE / fmr).round() as u64;
    (pairs < needed).then(|| {
        format!(
            "{fmr:e}: {} pairs of two people, {} are needed",
            in_thousands(pairs),
            in_thousands(needed)
        )
    })
}

/// With a comma before every three digits.
fn in_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::impostors::Impostors;
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        let spelled = [0, 117, 5000, 500_000, 1_234_567].map(in_thousands);
        assert_eq!(spelled, ["0", "117", "5,000", "500,000", "1,234,567"]);
    }

    #[test]
    fn what_is_short_is_what_has_no_threshold() {
        let said = shortage(1e-5, 117).unwrap();
        assert_eq!(said, "1e-5: 117 pairs of two people, 500,000 are needed");
        for (fmr, needed) in [(1e-2, 500), (1e-3, 5000)] {
            for pairs in [needed - 1, needed] {
                // One picture of the first person, the others of the second.
                let people: Vec<u32> = (0..=pairs).map(|i| u32::from(i > 0)).collect();
                let impostors = Impostors::of(&people, |_, j| j as f32 / 1e4);
                assert_eq!(impostors.pairs, pairs);
                let said = shortage(fmr, pairs);
                assert_eq!(said.is_none(), pairs == needed, "{fmr} {pairs}");
                assert_eq!(said.is_none(), impostors.threshold(fmr).is_some());
            }
        }
    }
}
