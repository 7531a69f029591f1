//! The file from its first marker to its end of image, segment by segment.

use std::ops::Range;
use std::rc::Rc;

use super::frame::{Color, Frame};
use super::huffman::{Spec, Table};
use super::scan::{self, Channel, Header, Known};
use super::{Fault, damaged, standard};

/// Encoders write some ten; a frame of thousands would only cost time.
const MAX_SCANS: usize = 64;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

/// A whole JPEG.
pub struct Survey<'a> {
    pub frame: Frame,
    pub color: Color,
    /// The TIFF file inside the EXIF segment.
    pub exif: Option<&'a [u8]>,
    pub scans: Vec<Scan>,
    /// By component, in zigzag order.
    pub quantisation: Vec<[u16; 64]>,
}

/// DC and AC.
type Tables = (Option<Rc<Spec>>, Option<Rc<Spec>>);

/// A scan and what it is decoded with.
pub struct Scan {
    pub header: Header,
    /// By component of the scan: DC and AC, as far as it needs them.
    pub tables: Vec<Tables>,
    /// Its codes in the file, up to the marker behind them.
    pub codes: Range<usize>,
}

/// Width and height, without a look at anything behind the frame header.
///
/// # Errors
/// Damage up to there, or a kind of JPEG that is not read.
pub fn size(file: &[u8]) -> Result<(u32, u32), Fault> {
    let mut walk = Walk::new(file)?;
    loop {
        match walk.marker()? {
            marker if is_frame(marker) => {
                let frame = Frame::parse(marker - 0xc0, walk.body()?)?;
                return Ok((frame.width, frame.height));
            }
            SOS | EOI => return damaged("it has no frame header"),
            marker => walk.pass(marker)?,
        }
    }
}

/// Reads the whole file up to the end of the picture. What lies behind does not count.
///
/// # Errors
/// Whatever no encoder writes; a kind of JPEG that is not read. What lies in segments of metadata is not looked at.
pub fn survey(file: &[u8]) -> Result<Survey<'_>, Fault> {
    let mut walk = Walk::new(file)?;
    let mut state = State::default();
    loop {
        match walk.marker()? {
            EOI => return state.finish(),
            SOS => {
                let body = walk.body()?;
                walk.place = state.scan(body, file, walk.place)?;
            }
            marker if is_frame(marker) => {
                if state.frame.is_some() {
                    return damaged("it has two frame headers");
                }
                let frame = Frame::parse(marker - 0xc0, walk.body()?)?;
                state.progress = vec![[-1; 64]; frame.components.len()];
                state.latched = vec![None; frame.components.len()];
                state.frame = Some(frame);
            }
            0xc4 => state.huffman_tables(walk.body()?)?,
            0xdb => state.quantisation_tables(walk.body()?)?,
            0xdd => match walk.body()? {
                &[high, low] => state.restart = u32::from(u16::from_be_bytes([high, low])),
                _ => return damaged("its restart interval has a wrong length"),
            },
            0xe0 => {
                let body = walk.body()?;
                if body.len() >= 12 && body.starts_with(b"JFIF\0") {
                    if body[5] != 1 {
                        return damaged("its JFIF segment has a version that does not exist");
                    }
                    state.jfif = true;
                }
            }
            0xe1 => {
                let body = walk.body()?;
                if state.scans.is_empty() && body.len() > 6 && body.starts_with(b"Exif\0\0") {
                    state.exif = Some(&body[6..]);
                }
            }
            0xee => {
                let body = walk.body()?;
                if body.len() >= 12 && body.starts_with(b"Adobe") {
                    state.adobe = Some(body[11]);
                }
            }
            marker => walk.pass(marker)?,
        }
    }
}

/// SOF0 to SOF15; DHT, JPG and DAC lie between.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

struct Walk<'a> {
    file: &'a [u8],
    place: usize,
}

impl<'a> Walk<'a> {
    fn new(file: &'a [u8]) -> Result<Walk<'a>, Fault> {
        match file.starts_with(&[0xff, SOI]) {
            true => Ok(Walk { file, place: 2 }),
            false => damaged("its first marker is missing"),
        }
    }

    /// The next marker, which may have fill bytes before it and nothing else.
    fn marker(&mut self) -> Result<u8, Fault> {
        let rest = &self.file[self.place..];
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
        let Some(&marker) = rest.get(fill) else {
            return Err(Fault::CutOff);
        };
        if fill == 0 || marker == 0 {
            return damaged(format!(
                "bytes that belong to nothing stand at byte {}",
                self.place
            ));
        }
        self.place += fill + 1;
        Ok(marker)
    }

    /// What is behind a marker that has a length.
    fn body(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.file[self.place..];
        let &[high, low, ..] = rest else {
            return Err(Fault::CutOff);
        };
        // The length counts itself.
        let length = usize::from(u16::from_be_bytes([high, low])).max(2);
        let body = rest.get(2..length).ok_or(Fault::CutOff)?;
        self.place += length;
        Ok(body)
    }

    /// Passes over a segment of no importance.
    fn pass(&mut self, marker: u8) -> Result<(), Fault> {
        match marker {
            // TEM, and a restart marker behind the last MCU.
            0x01 | 0xd0..=0xd7 => Ok(()),
            // DHT, DAC, DQT, DNL, DRI, APPn, COM.
            0xc4 | 0xcc | 0xdb..=0xdd | 0xe0..=0xef | 0xfe => self.body().map(drop),
            0xf7 => Err(Fault::Unsupported("JPEG-LS")),
            SOI => damaged("a second picture begins inside it"),
            _ => damaged(format!("marker {marker:02X} stands where none can stand")),
        }
    }
}

#[derive(Default)]
struct State<'a> {
    frame: Option<Frame>,
    color: Option<Color>,
    jfif: bool,
    adobe: Option<u8>,
    exif: Option<&'a [u8]>,
    restart: u32,
    quantisation: [Option<[u16; 64]>; 4],
    /// By component: the table at its first scan, which counts.
    latched: Vec<Option<[u16; 64]>>,
    dc: [Option<Rc<Spec>>; 4],
    ac: [Option<Rc<Spec>>; 4],
    /// By component and coefficient: the lowest bit that has come, -1 for none.
    progress: Vec<[i8; 64]>,
    known: Option<Known>,
    scans: Vec<Scan>,
}

impl<'a> State<'a> {
    fn huffman_tables(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let [place, rest @ ..] = body {
            let Some((counts, rest)) = rest.split_first_chunk::<16>() else {
                return damaged("a Huffman table is too short");
            };
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let Some((symbols, rest)) = rest.split_at_checked(total).filter(|_| total <= 256)
            else {
                return damaged("a Huffman table is too short");
            };
            let set = match place >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return damaged("a Huffman table of no kind"),
            };
            let Some(slot) = set.get_mut(usize::from(place & 15)) else {
                return damaged("a Huffman table of no number");
            };
            *slot = Some(Rc::new(Spec {
                counts: *counts,
                symbols: symbols.to_vec(),
            }));
            body = rest;
        }
        Ok(())
    }

    fn quantisation_tables(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let [place, rest @ ..] = body {
            let wide = match place >> 4 {
                0 => 1,
                1 => 2,
                _ => return damaged("a quantisation table of no kind"),
            };
            let Some((values, rest)) = rest.split_at_checked(64 * wide) else {
                return damaged("a quantisation table is too short");
            };
            let Some(slot) = self.quantisation.get_mut(usize::from(place & 15)) else {
                return damaged("a quantisation table of no number");
            };
            let mut table = [0; 64];
            for (value, bytes) in table.iter_mut().zip(values.chunks_exact(wide)) {
                *value = bytes
                    .iter()
                    .fold(0, |sum, &byte| sum << 8 | u16::from(byte));
            }
            *slot = Some(table);
            body = rest;
        }
        Ok(())
    }

    /// Reads the scan with header `body` whose codes begin at `place`; gives the place of the marker behind them.
    fn scan(&mut self, body: &[u8], file: &[u8], place: usize) -> Result<usize, Fault> {
        let Some(frame) = &self.frame else {
            return damaged("a scan comes before the frame header");
        };
        if self.scans.len() == MAX_SCANS {
            return damaged(format!("it has more than {MAX_SCANS} scans"));
        }
        if self.color.is_none() {
            self.color = Some(Color::of(frame, self.jfif, self.adobe)?);
        }
        let header = header(frame, body, self.restart)?;
        check(frame, &header, &mut self.progress)?;
        if self.scans.is_empty() && !frame.progressive {
            let (dc, ac) = standard::tables();
            for (slot, spec) in self.dc.iter_mut().zip(dc).chain(self.ac.iter_mut().zip(ac)) {
                slot.get_or_insert_with(|| Rc::new(spec));
            }
        }
        let (needs_dc, needs_ac) = match frame.progressive {
            false => (true, true),
            true => (header.band.0 == 0 && header.bits.0 == 0, header.band.0 > 0),
        };
        let mut tables = Vec::new();
        let mut ready = Vec::new();
        for &(component, dc, ac) in &header.components {
            let own = frame.components[component].table;
            let latched = &mut self.latched[component];
            if latched.is_none() {
                *latched = self.quantisation[usize::from(own)];
            }
            let (Some(quantisation), Some(dc), Some(ac)) = (
                *latched,
                self.dc.get(usize::from(dc)),
                self.ac.get(usize::from(ac)),
            ) else {
                return damaged("a component's quantisation table or Huffman table is missing");
            };
            let (dc, ac) = (
                dc.clone().filter(|_| needs_dc),
                ac.clone().filter(|_| needs_ac),
            );
            let table = |spec: &Option<Rc<Spec>>, needed: bool, most: u8| match spec {
                Some(spec) => match Table::new(spec, most) {
                    None => damaged("a Huffman table has impossible codes"),
                    ready => Ok(ready),
                },
                None if needed => damaged("a Huffman table is missing"),
                None => Ok(None),
            };
            ready.push((
                component,
                table(&dc, needs_dc, 15)?,
                table(&ac, needs_ac, 255)?,
                quantisation,
            ));
            tables.push((dc, ac));
        }
        let channels: Vec<Channel> = ready
            .iter()
            .map(|(component, dc, ac, quantisation)| Channel {
                component: *component,
                dc: dc.as_ref(),
                ac: ac.as_ref(),
                quantisation,
            })
            .collect();
        let known = self.known.get_or_insert_with(|| Known::new(frame));
        let end = scan::read(frame, &header, &channels, known, file, place)?;
        self.scans.push(Scan {
            header,
            tables,
            codes: place..end,
        });
        Ok(end)
    }

    fn finish(self) -> Result<Survey<'a>, Fault> {
        let (Some(frame), Some(color)) = (self.frame, self.color) else {
            return damaged("it ends before its picture begins");
        };
        if self.progress.iter().any(|component| component[0] < 0) {
            return damaged("a whole colour is missing");
        }
        if self.progress.iter().flatten().any(|&bit| bit != 0) {
            return damaged("its last scans are missing");
        }
        let Some(quantisation) = self.latched.into_iter().collect() else {
            return damaged("a quantisation table is missing");
        };
        Ok(Survey {
            frame,
            color,
            exif: self.exif,
            scans: self.scans,
            quantisation,
        })
    }
}

/// The header of a scan, of the bytes behind its length.
fn header(frame: &Frame, body: &[u8], restart: u32) -> Result<Header, Fault> {
    let Some((&count, rest)) = body.split_first() else {
        return damaged("a scan header is too short");
    };
    let count = usize::from(count);
    let Some((parts, &[first, last, bits])) = rest
        .split_at_checked(2 * count)
        .filter(|_| (1..=4).contains(&count))
    else {
        return damaged("a scan header has a wrong length");
    };
    let mut components: Vec<(usize, u8, u8)> = Vec::new();
    let mut blocks = 0;
    for part in parts.chunks_exact(2) {
        let component = frame.components.iter().position(|c| c.id == part[0]);
        match component {
            Some(place) if components.iter().all(|&(other, ..)| other != place) => {
                blocks += frame.components[place].h * frame.components[place].v;
                components.push((place, part[1] >> 4, part[1] & 15));
            }
            _ => return damaged("a scan has a component that does not exist, or one twice"),
        }
    }
    if count > 1 && blocks > 10 {
        return damaged("more than ten blocks in an MCU");
    }
    Ok(Header {
        components,
        band: (first, last),
        bits: (bits >> 4, bits & 15),
        restart,
    })
}

/// Whether a scan may come now (T.81 G.1.1.1); notes in `progress` what it brings.
fn check(frame: &Frame, header: &Header, progress: &mut [[i8; 64]]) -> Result<(), Fault> {
    let ((first, last), (high, low)) = (header.band, header.bits);
    if !frame.progressive && ((first, last), (high, low)) != ((0, 63), (0, 0)) {
        return damaged("a scan has parameters that do not exist");
    }
    if frame.progressive {
        let band = match first {
            0 => last == 0,
            _ => first <= last && last < 64 && header.components.len() == 1,
        };
        if !band || low > 13 || (high > 0 && low + 1 != high) {
            return damaged("a scan has parameters that do not exist");
        }
    }
    for &(component, ..) in &header.components {
        let progress = &mut progress[component];
        if first > 0 && progress[0] < 0 {
            return damaged("scans are missing or out of turn");
        }
        for bit in &mut progress[usize::from(first)..=usize::from(last)] {
            // -1: nothing yet, which is right for a first scan alone.
            if *bit != if high == 0 { -1 } else { high as i8 } {
                return damaged("scans are missing or out of turn");
            }
            *bit = low as i8;
        }
    }
    Ok(())
}
