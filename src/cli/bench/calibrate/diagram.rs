//! A reliability diagram as SVG.

use std::fmt::Write;

use super::logistic::Bin;

const SIDE: f64 = 400.0;
const MARGIN: f64 = 50.0;

/// Scores across, the share of pairs of one person upwards; a true score lies on the diagonal. A dot's area grows with its pairs.
pub fn svg(bins: &[Option<Bin>], title: &str) -> String {
    let place = |share: f64| share * SIDE;
    let full = SIDE + 2.0 * MARGIN;
    let title = title
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full}\" height=\"{full}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<g transform=\"translate({MARGIN} {MARGIN})\">\n\
         <text x=\"0\" y=\"-20\" font-size=\"14\">{title}</text>\n\
         <rect width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#888\"/>\n\
         <line x1=\"0\" y1=\"{SIDE}\" x2=\"{SIDE}\" y2=\"0\" stroke=\"#888\" stroke-dasharray=\"4\"/>\n"
    );
    let most = bins
        .iter()
        .flatten()
        .map(|bin| bin.pairs)
        .max()
        .unwrap_or(1) as f64;
    // Writing to a string cannot fail.
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let (x, y) = (place(share), SIDE - place(share));
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{share}</text>\n\
             <text x=\"-8\" y=\"{}\" text-anchor=\"end\">{share}</text>",
            SIDE + 18.0,
            y + 4.0
        );
    }
    for bin in bins.iter().flatten() {
        let radius = 4.0 + 10.0 * (bin.pairs as f64 / most).sqrt();
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\" fill=\"#1f77b4\" fill-opacity=\"0.6\"><title>{} pairs, mean score \
             {:.3}, {:.3} of one person</title></circle>",
            place(bin.score),
            SIDE - place(bin.genuine),
            bin.pairs,
            bin.score,
            bin.genuine
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">score</text>\n\
         <text transform=\"translate(-36 {}) rotate(-90)\" text-anchor=\"middle\">share of pairs of one person</text>\n</g>\n</svg>",
        SIDE / 2.0,
        SIDE + 38.0,
        SIDE / 2.0
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bin_is_a_dot_at_its_place() {
        let bin = |score, genuine| {
            Some(Bin {
                pairs: 10,
                score,
                genuine,
            })
        };
        let svg = svg(&[bin(0.25, 0.5), None, bin(1.0, 1.0)], "a <b>");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(
            svg.contains("cx=\"100.0\" cy=\"200.0\"") && svg.contains("cx=\"400.0\" cy=\"0.0\"")
        );
        assert!(svg.contains("a &lt;b&gt;") && svg.trim_end().ends_with("</svg>"));
    }
}
