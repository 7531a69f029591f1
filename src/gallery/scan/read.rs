//! The yardstick of the scan's speed: reading rows and doing next to nothing with them.

use super::row::QuantizedRow;

/// All bytes of `rows` XORed together in 64-bit words, as fast as one thread can read them.
pub fn read_all(rows: &[QuantizedRow]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx512(rows) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { avx2(rows) };
        }
    }
    fold(rows)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(rows: &[QuantizedRow]) -> u64 {
    use std::arch::x86_64::*;
    use zerocopy::IntoBytes;

    let mut sums = [_mm512_setzero_si512(); 6];
    let (pairs, rest) = rows.as_chunks::<2>();
    for pair in pairs {
        let (lines, _) = pair.as_bytes().as_chunks::<64>();
        for i in 0..6 {
            // SAFETY: a line is the 64 bytes that the load reads; it needs no alignment.
            let line = unsafe { _mm512_loadu_si512(lines[i].as_ptr().cast()) };
            sums[i] = _mm512_xor_si512(sums[i], line);
        }
    }
    let mut all = sums[0];
    for sum in &sums[1..] {
        all = _mm512_xor_si512(all, *sum);
    }
    let mut words = [0_u64; 8];
    // SAFETY: the array has the 64 bytes that the store writes; it needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), all) };
    words.iter().fold(fold(rest), |all, word| all ^ word)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(rows: &[QuantizedRow]) -> u64 {
    fold(rows)
}

/// The compiler makes vector instructions of it.
#[inline(always)]
fn fold(rows: &[QuantizedRow]) -> u64 {
    let mut lanes = [0_u64; 24];
    for row in rows {
        let words: &[[u8; 8]; 24] = zerocopy::transmute_ref!(&row.0);
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane ^= u64::from_ne_bytes(*word);
        }
    }
    lanes.iter().fold(0, |all, lane| all ^ lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read() {
        for length in 0..8 {
            let mut rows = vec![QuantizedRow([0; 192]); length];
            assert_eq!(read_all(&rows), 0);
            for place in 0..length * 192 {
                rows[place / 192].0[place % 192] = 0x5a;
                assert_eq!(read_all(&rows), 0x5a << (8 * (place % 8)), "{place}");
                rows[place / 192].0[place % 192] = 0;
            }
        }
    }
}
