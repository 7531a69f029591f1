//! Dot products of int8 rows: one kernel for each kind of processor, chosen once at run time.
//!
//! All kernels give the bits of [`scalar`] for every input, -128 included: the sums are integers and fit in i32 with room to
//! spare (192 x 128 x 128 = 3.1 million).

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;
use std::sync::OnceLock;

use super::row::{QuantizedRow, ROW_BYTES};

/// Rows, probe, one dot product a row. The slices are of one length.
type Run = unsafe fn(&[QuantizedRow], &QuantizedRow, &mut [i32]);

/// A way to compare rows that this processor has.
#[derive(Clone, Copy)]
pub struct Kernel {
    name: &'static str,
    /// Invariant: this processor has every instruction that it needs; only the detecting functions build a `Kernel`.
    run: Run,
}

impl Kernel {
    /// For logs and benchmarks, such as `avx512-vnni`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the dot product of `rows[i]` and `probe` to `out[i]`, for as many as the shorter slice has.
    pub fn dots(&self, rows: &[QuantizedRow], probe: &QuantizedRow, out: &mut [i32]) {
        let length = rows.len().min(out.len());
        // SAFETY: by the type's invariant the processor has the instructions; the slices are cut to one length.
        unsafe { (self.run)(&rows[..length], probe, &mut out[..length]) }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name)
    }
}

/// The fastest kernel of this processor.
pub fn kernel() -> Kernel {
    static BEST: OnceLock<Kernel> = OnceLock::new();
    *BEST.get_or_init(|| kernels().first().copied().unwrap_or(SCALAR))
}

/// Every kernel that this processor runs, the fastest first, the scalar one last.
pub fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    kernels.extend(x86::kernels());
    #[cfg(target_arch = "aarch64")]
    kernels.extend(arm::kernels());
    kernels.push(SCALAR);
    kernels
}

const SCALAR: Kernel = Kernel {
    name: "scalar",
    run: scalar,
};

/// What the other kernels are measured by, and the kernel of processors that have none of their own.
fn scalar(rows: &[QuantizedRow], probe: &QuantizedRow, out: &mut [i32]) {
    for (row, out) in rows.iter().zip(out) {
        *out = row
            .0
            .iter()
            .zip(&probe.0)
            .map(|(&a, &b)| i32::from(a) * i32::from(b))
            .sum();
    }
}

/// Feeds `four` with four rows at a time; the last ones are filled up with zeros whose products are dropped.
///
/// Inlined into the kernels, which have the target features that `four` needs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn by_fours(rows: &[QuantizedRow], out: &mut [i32], four: impl Fn(&[QuantizedRow; 4]) -> [i32; 4]) {
    let (whole, rest) = rows.as_chunks::<4>();
    let mut filled = [QuantizedRow([0; ROW_BYTES]); 4];
    filled[..rest.len()].copy_from_slice(rest);
    // One call of `four`, for the whole groups and the rest: the compiler inlines it then.
    for (group, out) in out.chunks_mut(4).enumerate() {
        let rows = whole.get(group).unwrap_or(&filled);
        #[cfg(target_arch = "x86_64")]
        x86::prefetch(rows);
        let sums = four(rows);
        match out.as_mut_array::<4>() {
            Some(out) => *out = sums,
            None => out.copy_from_slice(&sums[..out.len()]),
        }
    }
}

#[cfg(test)]
mod tests;
