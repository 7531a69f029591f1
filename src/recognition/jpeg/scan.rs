//! The codes of one scan, read to its end and checked; what they say of pixels is not kept.

use super::frame::Frame;
use super::huffman::{Bits, Table};
use super::{Fault, damaged};

/// The largest DCT coefficient of 8-bit samples. Rounding makes one larger by half a step, optimising encoders by some more.
const MAX_COEFFICIENT: i32 = 1024;

/// Which coefficients a scan has, and of which components.
#[derive(Clone, Debug)]
pub struct Header {
    /// Places in the frame's components, with the numbers of their DC and AC tables.
    pub components: Vec<(usize, u8, u8)>,
    /// First and last coefficient, in zigzag order.
    pub band: (u8, u8),
    /// Position of the bit that the scan before this one ended with, and of the one it ends with; 0 without.
    pub bits: (u8, u8),
    /// MCUs between restart markers; 0: none.
    pub restart: u32,
}

/// What the codes of a component are read with.
pub struct Channel<'a> {
    /// In the frame.
    pub component: usize,
    pub dc: Option<&'a Table>,
    pub ac: Option<&'a Table>,
    /// In zigzag order.
    pub quantisation: &'a [u16; 64],
}

/// Which coefficients of each block are not zero, a bit each; by component, rows of whole MCUs. For progressive frames alone.
pub struct Known {
    planes: Vec<(usize, Vec<u64>)>,
}

impl Known {
    pub fn new(frame: &Frame) -> Known {
        let (across, down) = frame.mcus();
        let plane = |h: u32, v: u32| {
            let stride = (across * h) as usize;
            (stride, vec![0; stride * (down * v) as usize])
        };
        Known {
            planes: frame.components.iter().map(|c| plane(c.h, c.v)).collect(),
        }
    }
}

/// How the blocks of a scan are coded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Sequential,
    DcFirst,
    DcRefinement,
    AcFirst,
    AcRefinement,
}

struct Reader<'a, 'b> {
    bits: Bits<'a>,
    header: &'b Header,
    /// Sum of the DC differences, by place in the scan.
    dc: [i32; 4],
    /// Blocks still without new coefficients (T.81 G.1.2.2).
    end_of_band: u32,
}

/// Reads the scan whose codes begin at `place` of `data`; gives where its last marker stands.
///
/// # Errors
/// Codes that no encoder writes, too few of them or too many.
pub fn read(
    frame: &Frame,
    header: &Header,
    channels: &[Channel],
    known: &mut Known,
    data: &[u8],
    place: usize,
) -> Result<usize, Fault> {
    let coding = match (frame.progressive, header.band.0, header.bits.0) {
        (false, ..) => Coding::Sequential,
        (true, 0, 0) => Coding::DcFirst,
        (true, 0, _) => Coding::DcRefinement,
        (true, _, 0) => Coding::AcFirst,
        (true, ..) => Coding::AcRefinement,
    };
    let limits: Vec<Sizes> = channels
        .iter()
        .map(|c| Sizes::new(c.quantisation, header.bits.1))
        .collect();
    let alone = channels.len() == 1;
    let (across, down) = match alone {
        true => frame.components[channels[0].component].blocks,
        false => frame.mcus(),
    };
    let mut reader = Reader {
        bits: Bits::new(data, place),
        header,
        dc: [0; 4],
        end_of_band: 0,
    };
    let mut until_restart = header.restart;
    let mut restarts = 0_u8;
    for y in 0..down {
        for x in 0..across {
            if header.restart > 0 && until_restart == 0 {
                reader
                    .restart(data, restarts)
                    .or_else(|what| frame.at(what, y, down))?;
                restarts = (restarts + 1) % 8;
                until_restart = header.restart;
            }
            until_restart = until_restart.wrapping_sub(1);
            for (slot, (channel, limits)) in channels.iter().zip(&limits).enumerate() {
                let component = &frame.components[channel.component];
                let (h, v) = if alone {
                    (1, 1)
                } else {
                    (component.h, component.v)
                };
                for row in y * v..(y + 1) * v {
                    for column in x * h..(x + 1) * h {
                        let read = match coding {
                            Coding::Sequential => reader.sequential(slot, channel, limits),
                            Coding::DcFirst => reader.dc(slot, channel, limits),
                            Coding::DcRefinement => {
                                reader.bits.take(1);
                                Ok(())
                            }
                            Coding::AcFirst | Coding::AcRefinement => {
                                let (stride, plane) = &mut known.planes[channel.component];
                                let block = &mut plane[row as usize * *stride + column as usize];
                                match coding {
                                    Coding::AcFirst => reader.ac(channel, limits, block),
                                    _ => reader.refine(channel, block),
                                }
                            }
                        };
                        read.or_else(|what| frame.at(what, y, down))?;
                    }
                }
            }
            if reader.bits.overread() {
                return match reader.bits.finish() {
                    (_, end) if end == data.len() => Err(Fault::CutOff),
                    _ => frame.at("codes are missing", y, down),
                };
            }
        }
    }
    if reader.end_of_band > 0 {
        return frame.at("codes are missing", down - 1, down);
    }
    match reader.bits.finish() {
        (0, end) => Ok(end),
        (_, end) if end == data.len() => Err(Fault::CutOff),
        _ => frame.at("codes are left over", down - 1, down),
    }
}

impl Frame {
    /// `what` is wrong in row `y` of the `down` rows of a scan.
    fn at<T>(&self, what: &str, y: u32, down: u32) -> Result<T, Fault> {
        let row = u64::from(y) * u64::from(self.height) / u64::from(down.max(1));
        damaged(format!("{what} about pixel row {row} of {}", self.height))
    }
}

/// By coefficient the most bits that its amplitude can have.
struct Sizes {
    most: [u8; 64],
    /// The DC coefficient itself.
    dc: i32,
}

impl Sizes {
    fn new(quantisation: &[u16; 64], low_bit: u8) -> Sizes {
        let step = |k: usize| i32::from(quantisation[k].max(1)) << low_bit;
        let largest = |k: usize| (MAX_COEFFICIENT + 2 * step(k)) / step(k);
        Sizes {
            // Amplitudes of `size` bits are at least 2^(size - 1).
            most: std::array::from_fn(|k| {
                (1..=15)
                    .rev()
                    .find(|&size| 1 << (size - 1) <= largest(k))
                    .unwrap_or(1)
            }),
            dc: largest(0),
        }
    }
}

const BAD_CODE: &str = "a code that means nothing stands";
const BAD_PLACE: &str = "a coefficient beyond the last stands";
const TOO_LARGE: &str = "a coefficient larger than any picture has stands";

impl<'a> Reader<'a, '_> {
    /// The restart marker that is due.
    fn restart(&mut self, data: &'a [u8], number: u8) -> Result<(), &'static str> {
        if self.bits.overread() {
            return Err("codes are missing");
        }
        let bits = std::mem::replace(&mut self.bits, Bits::new(data, 0));
        let (left, place) = bits.finish();
        if left > 0 {
            return Err("codes are left over before a restart marker");
        }
        if self.end_of_band > 0 {
            return Err("codes are missing");
        }
        let fill = data[place..]
            .iter()
            .take_while(|&&byte| byte == 0xff)
            .count();
        match data.get(place + fill) {
            Some(&marker) if fill > 0 && marker == 0xd0 + number => {}
            _ => return Err("a restart marker is missing or out of turn"),
        }
        self.bits = Bits::new(data, place + fill + 1);
        self.dc = [0; 4];
        Ok(())
    }

    fn dc(&mut self, slot: usize, channel: &Channel, limits: &Sizes) -> Result<(), &'static str> {
        let size = channel
            .dc
            .and_then(|table| self.bits.symbol(table))
            .ok_or(BAD_CODE)?;
        let dc = &mut self.dc[slot];
        *dc += self.bits.number(u32::from(size));
        match dc.abs() > limits.dc {
            true => Err(TOO_LARGE),
            false => Ok(()),
        }
    }

    fn sequential(
        &mut self,
        slot: usize,
        channel: &Channel,
        limits: &Sizes,
    ) -> Result<(), &'static str> {
        self.dc(slot, channel, limits)?;
        let table = channel.ac.ok_or(BAD_CODE)?;
        let mut k = 1;
        while k < 64 {
            let symbol = self.bits.symbol(table).ok_or(BAD_CODE)?;
            let (run, size) = (usize::from(symbol >> 4), symbol & 15);
            if size == 0 {
                match run {
                    15 => k += 16,
                    _ => break,
                }
                continue;
            }
            k += run;
            match limits.most.get(k) {
                None => return Err(BAD_PLACE),
                Some(&most) if size > most => return Err(TOO_LARGE),
                Some(_) => self.bits.pass(u32::from(size)),
            }
            k += 1;
        }
        Ok(())
    }

    fn ac(
        &mut self,
        channel: &Channel,
        limits: &Sizes,
        block: &mut u64,
    ) -> Result<(), &'static str> {
        if self.end_of_band > 0 {
            self.end_of_band -= 1;
            return Ok(());
        }
        let table = channel.ac.ok_or(BAD_CODE)?;
        let last = usize::from(self.header.band.1);
        let mut k = usize::from(self.header.band.0);
        while k <= last {
            let symbol = self.bits.symbol(table).ok_or(BAD_CODE)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            match (run, size) {
                (15, 0) => k += 16,
                (_, 0) => {
                    self.end_of_band = (1 << run) - 1 + self.bits.take(u32::from(run));
                    break;
                }
                _ => {
                    k += usize::from(run);
                    if k > last {
                        return Err(BAD_PLACE);
                    }
                    if size > limits.most[k] {
                        return Err(TOO_LARGE);
                    }
                    self.bits.pass(u32::from(size));
                    *block |= 1 << k;
                    k += 1;
                }
            }
        }
        Ok(())
    }

    fn refine(&mut self, channel: &Channel, block: &mut u64) -> Result<(), &'static str> {
        let last = u32::from(self.header.band.1);
        let mut k = u32::from(self.header.band.0);
        let table = channel.ac.ok_or(BAD_CODE)?;
        while self.end_of_band == 0 && k <= last {
            let symbol = self.bits.symbol(table).ok_or(BAD_CODE)?;
            let (run, size) = (u32::from(symbol >> 4), symbol & 15);
            match size {
                0 if run < 15 => {
                    self.end_of_band = (1 << run) + self.bits.take(run);
                    break;
                }
                0 => {}
                1 => {
                    self.bits.take(1);
                }
                _ => return Err(BAD_CODE),
            }
            // Over `run` coefficients that are still zero; each other one on the way gets a bit.
            let mut zeros = run;
            loop {
                if k > last {
                    match size {
                        // What runs over the end stands for nothing.
                        0 => break,
                        _ => return Err(BAD_PLACE),
                    }
                }
                let bit = 1 << k;
                k += 1;
                if *block & bit != 0 {
                    self.bits.take(1);
                } else if zeros > 0 {
                    zeros -= 1;
                } else {
                    if size == 1 {
                        *block |= bit;
                    }
                    break;
                }
            }
        }
        if self.end_of_band > 0 {
            self.end_of_band -= 1;
            if k <= last {
                let rest = (u64::MAX << k) & (u64::MAX >> (63 - last));
                for _ in 0..(*block & rest).count_ones() {
                    self.bits.take(1);
                }
            }
        }
        Ok(())
    }
}
