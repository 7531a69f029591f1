//! The frame header: size, components and their sampling.

use super::{Fault, damaged};

/// How samples become RGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Grey,
    YCbCr,
    Rgb,
    /// Four inks, inverted, as every writer of such files has it.
    Cmyk,
    Ycck,
}

#[derive(Clone, Debug)]
pub struct Component {
    pub id: u8,
    /// Samples across and down in an MCU, in blocks: 1 to 4.
    pub h: u32,
    pub v: u32,
    /// Number of its quantisation table.
    pub table: u8,
    /// Blocks across and down that have samples of the picture.
    pub blocks: (u32, u32),
}

#[derive(Clone, Debug)]
pub struct Frame {
    pub width: u32,
    pub height: u32,
    pub progressive: bool,
    pub components: Vec<Component>,
    /// The largest sampling factors.
    pub h_max: u32,
    pub v_max: u32,
}

impl Frame {
    /// Of the bytes behind marker `SOF0 + kind` and its length.
    pub fn parse(kind: u8, body: &[u8]) -> Result<Frame, Fault> {
        match kind {
            0..=2 => {}
            3 | 7 | 11 | 15 => return Err(Fault::Unsupported("a lossless JPEG")),
            9 | 10 | 13 | 14 => return Err(Fault::Unsupported("an arithmetic-coded JPEG")),
            _ => return Err(Fault::Unsupported("a hierarchical JPEG")),
        }
        let &[precision, y1, y0, x1, x0, count, ref rest @ ..] = body else {
            return damaged("its frame header is too short");
        };
        match precision {
            8 => {}
            12 => return Err(Fault::Unsupported("a JPEG with 12 bits a sample")),
            _ => return damaged(format!("{precision} bits a sample")),
        }
        let (height, width) = (
            u32::from(u16::from_be_bytes([y1, y0])),
            u32::from(u16::from_be_bytes([x1, x0])),
        );
        if width == 0 || height == 0 {
            return damaged("its frame has no size");
        }
        if rest.len() != usize::from(count) * 3 {
            return damaged("its frame header has a wrong length");
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(Fault::Unsupported(
                "a JPEG with neither 1, 3 nor 4 components",
            ));
        }
        let mut components = Vec::new();
        for part in rest.chunks_exact(3) {
            let (h, v) = (u32::from(part[1] >> 4), u32::from(part[1] & 15));
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
                return damaged("impossible sampling factors");
            }
            if components
                .iter()
                .any(|other: &Component| other.id == part[0])
            {
                return damaged("two components have the same number");
            }
            if part[2] > 3 {
                return damaged("a component's quantisation table cannot exist");
            }
            components.push(Component {
                id: part[0],
                h,
                v,
                table: part[2],
                blocks: (0, 0),
            });
        }
        let h_max = components.iter().map(|c| c.h).max().unwrap_or(1);
        let v_max = components.iter().map(|c| c.v).max().unwrap_or(1);
        for c in &mut components {
            if h_max % c.h != 0 || v_max % c.v != 0 {
                return Err(Fault::Unsupported("a JPEG with fractional sampling"));
            }
            c.blocks = (
                (width * c.h).div_ceil(h_max * 8),
                (height * c.v).div_ceil(v_max * 8),
            );
        }
        Ok(Frame {
            width,
            height,
            progressive: kind == 2,
            components,
            h_max,
            v_max,
        })
    }

    /// MCUs across and down where a scan has more than one component.
    pub fn mcus(&self) -> (u32, u32) {
        (
            self.width.div_ceil(8 * self.h_max),
            self.height.div_ceil(8 * self.v_max),
        )
    }
}

impl Color {
    /// By the rules of libjpeg. `adobe` is the transform of an Adobe segment.
    pub fn of(frame: &Frame, jfif: bool, adobe: Option<u8>) -> Result<Color, Fault> {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        Ok(match (frame.components.len(), adobe) {
            (1, _) => Color::Grey,
            (3, _) if jfif => Color::YCbCr,
            (3, Some(0)) => Color::Rgb,
            (3, Some(1)) => Color::YCbCr,
            (3, None) if ids == *b"RGB" => Color::Rgb,
            (3, None) => Color::YCbCr,
            (4, Some(2)) => Color::Ycck,
            (4, Some(0) | None) => Color::Cmyk,
            _ => return damaged("its Adobe segment names no colour transform"),
        })
    }
}
