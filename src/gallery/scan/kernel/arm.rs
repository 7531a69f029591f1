//! Kernels of 64-bit ARM.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::{Kernel, by_fours};
use crate::gallery::scan::row::QuantizedRow;

pub(super) fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    if is_aarch64_feature_detected!("dotprod") {
        kernels.push(Kernel {
            name: "neon-dotprod",
            run: dotprod,
        });
    }
    if is_aarch64_feature_detected!("neon") {
        kernels.push(Kernel {
            name: "neon",
            run: neon,
        });
    }
    kernels
}

/// Cortex-A55 and newer: `sdot` sums four products into 32 bits.
#[target_feature(enable = "neon,dotprod")]
fn dotprod(rows: &[QuantizedRow], probe: &QuantizedRow, out: &mut [i32]) {
    let probe = load(probe);
    by_fours(rows, out, |rows| {
        let [a, b, c, d] = rows;
        let (a, b) = (products_dotprod(a, &probe), products_dotprod(b, &probe));
        let (c, d) = (products_dotprod(c, &probe), products_dotprod(d, &probe));
        sums(a, b, c, d)
    });
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn products_dotprod(row: &QuantizedRow, probe: &[int8x16_t; 12]) -> int32x4_t {
    // Two sums: small cores would wait at each link of a chain of twelve.
    let mut even = vdupq_n_s32(0);
    let mut odd = even;
    let (row, _) = row.0.as_chunks::<16>();
    let (row, _) = row.as_chunks::<2>();
    let (probe, _) = probe.as_chunks::<2>();
    for (a, b) in row.iter().zip(probe) {
        even = sdot(even, load_part(&a[0]), b[0]);
        odd = sdot(odd, load_part(&a[1]), b[1]);
    }
    vaddq_s32(even, odd)
}

/// Cortex-A53 and every other 64-bit ARM. A product is at most 128 x 128, which fits in 16 bits; the sum of two does not, so each
/// is widened before it is added.
#[target_feature(enable = "neon")]
fn neon(rows: &[QuantizedRow], probe: &QuantizedRow, out: &mut [i32]) {
    let probe = load(probe);
    by_fours(rows, out, |rows| {
        let [a, b, c, d] = rows;
        let (a, b) = (products_neon(a, &probe), products_neon(b, &probe));
        let (c, d) = (products_neon(c, &probe), products_neon(d, &probe));
        sums(a, b, c, d)
    });
}

#[inline]
#[target_feature(enable = "neon")]
fn products_neon(row: &QuantizedRow, probe: &[int8x16_t; 12]) -> int32x4_t {
    let mut low = vdupq_n_s32(0);
    let mut high = low;
    let (row, _) = row.0.as_chunks::<16>();
    for (a, &b) in row.iter().zip(probe) {
        let a = load_part(a);
        low = vpadalq_s16(low, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        high = vpadalq_s16(high, vmull_high_s8(a, b));
    }
    vaddq_s32(low, high)
}

/// The intrinsic for this instruction is not stable in Rust 1.95.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction is there (`dotprod`) and touches nothing but these registers.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

#[inline]
#[target_feature(enable = "neon")]
fn load(row: &QuantizedRow) -> [int8x16_t; 12] {
    let (parts, _) = row.0.as_chunks::<16>();
    std::array::from_fn(|i| load_part(&parts[i]))
}

#[inline]
#[target_feature(enable = "neon")]
fn load_part(part: &[i8; 16]) -> int8x16_t {
    // SAFETY: these are the 16 bytes that the load reads.
    unsafe { vld1q_s8(part.as_ptr()) }
}

/// The sum of each vector's lanes.
#[inline]
#[target_feature(enable = "neon")]
fn sums(a: int32x4_t, b: int32x4_t, c: int32x4_t, d: int32x4_t) -> [i32; 4] {
    let sums = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
    let mut array = [0; 4];
    // SAFETY: the array has the 16 bytes that the store writes.
    unsafe { vst1q_s32(array.as_mut_ptr(), sums) };
    array
}
