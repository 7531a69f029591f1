//! Reads one byte too far. AddressSanitizer has to stop it: `test.sh` makes sure that it does.

use std::hint::black_box;

fn main() {
    let bytes = black_box(vec![1_u8; 16]);
    // SAFETY: it is not, on purpose: the place behind the last byte belongs to nobody.
    let beyond = unsafe { *black_box(bytes.as_ptr().add(16)) };
    println!("{beyond}");
}
