use proptest::prelude::*;

use super::*;

fn random_row(state: &mut u64) -> QuantizedRow {
    QuantizedRow(std::array::from_fn(|_| {
        *state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (*state >> 56) as i8
    }))
}

fn check(rows: &[QuantizedRow], probe: &QuantizedRow) {
    let mut expected = vec![7; rows.len()];
    scalar(rows, probe, &mut expected);
    for kernel in kernels() {
        // A value beyond the end shows a kernel that writes too far.
        let mut out = vec![i32::MIN; rows.len() + 1];
        kernel.dots(rows, probe, &mut out);
        assert_eq!(out.pop(), Some(i32::MIN), "{kernel:?}");
        assert_eq!(out, expected, "{kernel:?}");
    }
}

#[test]
fn the_reference_agrees_with_pencil_and_paper() {
    let mut out = [0; 2];
    let rows = [QuantizedRow([-128; 192]), QuantizedRow([1; 192])];
    scalar(&rows, &QuantizedRow([-128; 192]), &mut out);
    assert_eq!(out, [192 * 16384, -192 * 128]);
    let ramp = QuantizedRow(std::array::from_fn(|i| (i as i32 - 96) as i8));
    scalar(&[ramp], &ramp, &mut out[..1]);
    assert_eq!(out[0], (-96..96).map(|x| x * x).sum::<i32>());
}

#[test]
fn extremes() {
    let mut rows = Vec::new();
    for value in [-128, -127, -1, 0, 1, 127] {
        rows.push(QuantizedRow([value; 192]));
        rows.push(QuantizedRow(std::array::from_fn(|i| {
            if i % 2 == 0 { value } else { -128 }
        })));
        rows.push(QuantizedRow(std::array::from_fn(|i| {
            if i == 191 { value } else { 0 }
        })));
    }
    for probe in &rows {
        check(&rows, probe);
    }
}

#[test]
fn every_length_up_to_seventy() {
    let mut state = 1;
    let rows: Vec<QuantizedRow> = (0..70).map(|_| random_row(&mut state)).collect();
    for length in 0..=70 {
        check(&rows[..length], &random_row(&mut state));
    }
}

#[test]
fn every_place_counts_once() {
    let probe = QuantizedRow(std::array::from_fn(|i| (i % 127) as i8 + 1));
    let rows: Vec<QuantizedRow> = (0..192)
        .map(|place| QuantizedRow(std::array::from_fn(|i| i8::from(i == place))))
        .collect();
    let expected: Vec<i32> = probe.0.iter().map(|&x| i32::from(x)).collect();
    for kernel in kernels() {
        let mut out = vec![0; 192];
        kernel.dots(&rows, &probe, &mut out);
        assert_eq!(out, expected, "{kernel:?}");
    }
}

#[test]
fn the_shorter_slice_counts() {
    let rows = [QuantizedRow([1; 192]); 6];
    for kernel in kernels() {
        let mut out = [0; 5];
        kernel.dots(&rows, &rows[0], &mut out);
        assert_eq!(out, [192; 5]);
        let mut out = [0; 8];
        kernel.dots(&rows, &rows[0], &mut out);
        assert_eq!(out, [192, 192, 192, 192, 192, 192, 0, 0]);
    }
}

fn any_row() -> impl Strategy<Value = QuantizedRow> {
    let extreme = prop_oneof![Just(-128_i8), Just(127), Just(0), Just(-127)];
    let number = prop_oneof![3 => any::<i8>(), 1 => extreme];
    proptest::collection::vec(number, 192).prop_map(|v| QuantizedRow(std::array::from_fn(|i| v[i])))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_kernels_agree(rows in proptest::collection::vec(any_row(), 0..20), probe in any_row()) {
        check(&rows, &probe);
    }
}
