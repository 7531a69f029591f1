//! Huffman tables and the bits of a scan (ITU-T T.81, annexes C and F).

/// Bits that one look-up covers; longer codes are rare.
const LOOKAHEAD: u32 = 9;

/// A table as a file gives it: how many codes there are of each length, and what they stand for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// Codes of 1 to 16 bits.
    pub counts: [u8; 16],
    pub symbols: Vec<u8>,
}

/// A table ready to decode with.
pub struct Table {
    /// `length << 8 | symbol` by the next [`LOOKAHEAD`] bits; 0 where the code is longer or there is none.
    fast: [u16; 1 << LOOKAHEAD],
    /// By length: one more than the last code, left-aligned in 16 bits; and what to add to a code for its symbol's place.
    limits: [u32; 17],
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// `None` if no codes can be made of `spec`, or a symbol is greater than `max_symbol`.
    pub fn new(spec: &Spec, max_symbol: u8) -> Option<Table> {
        if spec.symbols.iter().any(|&symbol| symbol > max_symbol) {
            return None;
        }
        let mut table = Table {
            fast: [0; 1 << LOOKAHEAD],
            limits: [0; 17],
            offsets: [0; 17],
            symbols: spec.symbols.clone(),
        };
        let mut code = 0_u32;
        let mut place = 0_usize;
        for length in 1..=16_u32 {
            let count = usize::from(spec.counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            for &symbol in spec.symbols.get(place..place + count)? {
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOKAHEAD {
                    let shift = LOOKAHEAD - length;
                    let first = (code << shift) as usize;
                    table.fast[first..first + (1 << shift)]
                        .fill((length << 8) as u16 | u16::from(symbol));
                }
                code += 1;
            }
            place += count;
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// The bits of a scan, without stuffed zeros, up to its next marker. Behind that come zeros, and [`Bits::overread`] tells.
pub struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to be taken; at a marker its FF.
    place: usize,
    /// The next bits, from the top.
    held: u64,
    count: u32,
    /// Zeros put behind the last bit.
    padding: u32,
    /// A marker, or the end of the data, is at `place`.
    ended: bool,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8], place: usize) -> Bits<'a> {
        Bits {
            data,
            place,
            held: 0,
            count: 0,
            padding: 0,
            ended: false,
        }
    }

    /// Holds at least 32 bits from now on.
    #[inline]
    fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(next) = self.data.get(self.place..self.place + 8) {
            let next = u64::from_be_bytes(next.try_into().unwrap_or_default());
            // Whether no byte is FF.
            let inverted = !next;
            if inverted.wrapping_sub(0x0101_0101_0101_0101) & !inverted & 0x8080_8080_8080_8080 == 0
            {
                let bytes = (63 - self.count) / 8;
                self.held |= next >> self.count;
                self.count += bytes * 8;
                self.held &= u64::MAX << (64 - self.count);
                self.place += bytes as usize;
                return;
            }
        }
        self.fill_slowly();
    }

    #[cold]
    fn fill_slowly(&mut self) {
        while self.count <= 56 {
            let byte = self.next_byte().unwrap_or_else(|| {
                self.padding += 8;
                0
            });
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        if self.ended {
            return None;
        }
        let rest = self.data.get(self.place..).unwrap_or_default();
        let byte = match rest {
            [0xff, ..] => {
                // A zero behind it, or behind more of it, which are fill bytes, makes it data.
                let run = rest.iter().take_while(|&&byte| byte == 0xff).count();
                self.ended = rest.get(run) != Some(&0);
                self.place += if self.ended { 0 } else { run + 1 };
                0xff
            }
            [byte, ..] => {
                self.place += 1;
                *byte
            }
            [] => {
                self.ended = true;
                0
            }
        };
        (!self.ended).then_some(byte)
    }

    #[inline]
    fn skip(&mut self, bits: u32) {
        self.held <<= bits;
        self.count -= bits;
    }

    /// The next symbol of `table`; `None` if the bits are no code of it.
    #[inline]
    pub fn symbol(&mut self, table: &Table) -> Option<u8> {
        self.fill();
        let entry = table.fast[(self.held >> (64 - LOOKAHEAD)) as usize];
        if entry != 0 {
            self.skip(u32::from(entry >> 8));
            return Some(entry as u8);
        }
        let next = (self.held >> 48) as u32;
        let length = (LOOKAHEAD + 1..=16).find(|&length| next < table.limits[length as usize])?;
        let place = (next >> (16 - length)) as i32 + table.offsets[length as usize];
        let symbol = *table.symbols.get(usize::try_from(place).ok()?)?;
        self.skip(length);
        Some(symbol)
    }

    /// The next `count` bits, at most 16.
    #[inline]
    pub fn take(&mut self, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        self.fill();
        let bits = (self.held >> (64 - count)) as u32;
        self.skip(count);
        bits
    }

    /// Passes over `count` bits behind a symbol that was just read; at most 15.
    #[inline]
    pub fn pass(&mut self, count: u32) {
        // 32 bits were there before a symbol of at most 16.
        self.skip(count);
    }

    /// The number that `size` bits stand for (T.81 F.2.2.1).
    #[inline]
    pub fn number(&mut self, size: u32) -> i32 {
        let bits = self.take(size) as i32;
        match size > 0 && bits < 1 << (size - 1) {
            true => bits - (1 << size) + 1,
            false => bits,
        }
    }

    /// Whether more bits were taken than there are before the marker.
    #[inline]
    pub fn overread(&self) -> bool {
        self.padding > self.count
    }

    /// Ends at the next marker: how many whole bytes nobody took, and the place of the marker's FF or of the end of the data.
    pub fn finish(mut self) -> (usize, usize) {
        let mut left = (self.count.saturating_sub(self.padding) / 8) as usize;
        while self.next_byte().is_some() {
            left += 1;
        }
        (left, self.place)
    }
}
