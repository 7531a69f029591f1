//! Arbitrary JPEGs: for the reader that tells damage, and what it lets through for the decoders behind it.

use crate::{jpeg, jpeg_pixels};

/// Larger ones only take time.
const MAX_PIXELS: u64 = 1 << 20;

pub fn run(input: &[u8]) {
    let Ok((width, height)) = jpeg::size(input) else {
        return;
    };
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return;
    }
    let Ok(survey) = jpeg::survey(input) else {
        return;
    };
    let anew = survey.rewrite(input);
    match jpeg::survey(&anew) {
        Ok(again) => assert_eq!(again.scans.len(), survey.scans.len()),
        Err(fault) => panic!("whole, and not when written anew: {fault}"),
    }
    let _ = jpeg_pixels::decode(&survey, input);
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../seeds/jpeg/baseline.jpg")[..],
        include_bytes!("../seeds/jpeg/component-scans.jpg"),
        include_bytes!("../seeds/jpeg/grey.jpg"),
        include_bytes!("../seeds/jpeg/progressive.jpg"),
        include_bytes!("../seeds/jpeg/restarts.jpg"),
        include_bytes!("../seeds/jpeg/tall-chroma.jpg"),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}
