//! A JPEG written anew: the same codes, and of the rest what a decoder needs, in one order and without anything that decoders
//! understand in different ways.

use std::rc::Rc;

use super::frame::Color;
use super::segments::{Scan, Survey};

impl Survey<'_> {
    /// The picture without metadata, and with every table that its codes were made with.
    pub fn rewrite(&self, file: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            self.scans
                .iter()
                .map(|scan| scan.codes.len() + 700)
                .sum::<usize>()
                + 700,
        );
        out.extend([0xff, 0xd8]);
        let transform = match self.color {
            Color::Cmyk => Some(0),
            Color::Ycck => Some(2),
            Color::Grey | Color::YCbCr | Color::Rgb => None,
        };
        if let Some(transform) = transform {
            segment(
                &mut out,
                0xee,
                &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
            );
        }
        for (number, table) in self.quantisation.iter().enumerate() {
            let mut body = vec![0x10 | number as u8];
            body.extend(table.iter().flat_map(|value| value.to_be_bytes()));
            segment(&mut out, 0xdb, &body);
        }
        let frame = &self.frame;
        let mut body = vec![8];
        body.extend((frame.height as u16).to_be_bytes());
        body.extend((frame.width as u16).to_be_bytes());
        body.push(frame.components.len() as u8);
        for (number, component) in frame.components.iter().enumerate() {
            body.extend([
                self.id(number),
                (component.h << 4 | component.v) as u8,
                number as u8,
            ]);
        }
        segment(&mut out, if frame.progressive { 0xc2 } else { 0xc1 }, &body);
        for scan in &self.scans {
            self.scan(&mut out, scan);
            out.extend_from_slice(&file[scan.codes.clone()]);
        }
        out.extend([0xff, 0xd9]);
        out
    }

    fn scan(&self, out: &mut Vec<u8>, scan: &Scan) {
        segment(out, 0xdd, &(scan.header.restart as u16).to_be_bytes());
        let mut written: Vec<(u8, *const _)> = Vec::new();
        let mut body = vec![scan.header.components.len() as u8];
        for (&(component, dc, ac), tables) in scan.header.components.iter().zip(&scan.tables) {
            for (place, spec) in [(dc, &tables.0), (0x10 | ac, &tables.1)] {
                let Some(spec) = spec else { continue };
                if !written.contains(&(place, Rc::as_ptr(spec))) {
                    written.push((place, Rc::as_ptr(spec)));
                    segment(
                        out,
                        0xc4,
                        &[&[place], spec.counts.as_slice(), &spec.symbols].concat(),
                    );
                }
            }
            body.extend([self.id(component), dc << 4 | ac]);
        }
        let ((first, last), (high, low)) = (scan.header.band, scan.header.bits);
        body.extend([first, last, high << 4 | low]);
        segment(out, 0xda, &body);
    }

    /// The number of a component: by these decoders tell RGB from YCbCr.
    fn id(&self, component: usize) -> u8 {
        match self.color {
            Color::Rgb => b"RGB"[component.min(2)],
            _ => component as u8 + 1,
        }
    }
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    out.extend([0xff, marker]);
    out.extend((body.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(body);
}
