//! Taking an input apart.

/// Flags of every target's first byte: what follows is the file itself.
pub const RAW: u8 = 1;
/// Some bytes of the finished file are changed.
pub const DAMAGED: u8 = 2;

/// Reads an input front to back; past its end everything is zero or empty, so that no input is refused.
pub struct Recipe<'a>(pub &'a [u8]);

impl<'a> Recipe<'a> {
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// At most `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to seven changed bytes, for a file that is finished later.
    pub fn damage(&mut self) -> Vec<(usize, u8)> {
        let count = self.byte() & 7;
        let one = |_| {
            let [a, b, c, change] = self.array();
            (u32::from_le_bytes([a, b, c, 0]) as usize, change.max(1))
        };
        (0..count).map(one).collect()
    }
}

/// Changes bytes; places count round the file's length.
pub fn apply(damage: &[(usize, u8)], file: &mut [u8]) {
    if !file.is_empty() {
        for (place, change) in damage {
            let place = place % file.len();
            file[place] ^= change;
        }
    }
}

pub fn replace(bytes: &mut [u8], from: &[u8; 16], to: &[u8; 16]) {
    for at in 0..bytes.len().saturating_sub(15) {
        if bytes[at..at + 16] == from[..] {
            bytes[at..at + 16].copy_from_slice(to);
        }
    }
}
