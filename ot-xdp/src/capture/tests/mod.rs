//! Tests of the capture reader, on files built from octets here and on the corpus.

mod corpus;
mod faults;
mod formats;
mod links;
mod packed;

use std::io::Cursor;
use std::path::PathBuf;

use super::stream::Order;
use super::{Capture, CaptureError, Captured};

/// Collects numbers in one byte order.
struct Octets {
    order: Order,
    all: Vec<u8>,
}

impl Octets {
    fn new(order: Order) -> Self {
        Self { order, all: Vec::new() }
    }

    fn u16(mut self, value: u16) -> Self {
        self.all.extend(if self.order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.all.extend(if self.order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn raw(mut self, octets: &[u8]) -> Self {
        self.all.extend(octets);
        self
    }

    /// An option of a pcapng block.
    fn option(self, code: u16, value: &[u8]) -> Self {
        self.u16(code).u16(value.len() as u16).raw(value).pad()
    }

    fn pad(mut self) -> Self {
        self.all.resize(self.all.len().next_multiple_of(4), 0);
        self
    }

    fn block(self, kind: u32, body: &[u8]) -> Self {
        let total = (body.len() + 12) as u32;
        self.u32(kind).u32(total).raw(body).u32(total)
    }
}

/// Ethernet frame number `i`, of a length that is not always a multiple of four.
fn frame(i: u8) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 0x0A, 0x02, 0, 0, 0, 0, 0x0B, 0x88, 0xB8];
    frame.extend((0..20 + i).map(|k| k.wrapping_mul(7) ^ i));
    frame
}

fn pcap_header(order: Order, magic: u32, link: u32) -> Vec<u8> {
    Octets::new(order).u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65_535).u32(link).all
}

fn pcap_record(order: Order, at: (u32, u32), orig_len: u32, frame: &[u8]) -> Vec<u8> {
    Octets::new(order).u32(at.0).u32(at.1).u32(frame.len() as u32).u32(orig_len).raw(frame).all
}

/// A little-endian pcap file of `count` frames, and the offset at which each ends.
fn pcap(count: u8) -> (Vec<u8>, Vec<usize>) {
    let mut file = pcap_header(Order::Little, 0xA1B2_C3D4, 1);
    let mut ends = Vec::new();
    for i in 0..count {
        let data = frame(i);
        file.extend(pcap_record(Order::Little, (1_700_000_000, u32::from(i)), data.len() as u32, &data));
        ends.push(file.len());
    }
    (file, ends)
}

fn section(order: Order) -> Vec<u8> {
    let body = Octets::new(order).u32(0x1A2B_3C4D).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX);
    let body = body.option(1, b"a comment").option(0, &[]).all;
    Octets::new(order).block(0x0A0D_0D0A, &body).all
}

fn interface(order: Order, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Octets::new(order).u16(link).u16(0).u32(snap);
    for (code, value) in options {
        body = body.option(*code, value);
    }
    Octets::new(order).block(1, &body.all).all
}

fn enhanced(order: Order, interface: u32, time: u64, orig_len: u32, frame: &[u8]) -> Vec<u8> {
    let body = Octets::new(order).u32(interface).u32((time >> 32) as u32).u32(time as u32);
    let body = body.u32(frame.len() as u32).u32(orig_len).raw(frame).pad().option(2, &[1, 0, 0, 0]).option(0, &[]);
    Octets::new(order).block(6, &body.all).all
}

/// A pcapng file of `count` frames with blocks of other kinds between them, and the offset at which each frame ends.
fn pcapng(order: Order, count: u8) -> (Vec<u8>, Vec<usize>) {
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[(2, b"eth0"), (9, &[9]), (0, &[])]));
    let mut ends = Vec::new();
    for i in 0..count {
        let data = frame(i);
        file.extend(enhanced(order, 0, u64::from(i) + 1_700_000_000_000_000_000, data.len() as u32, &data));
        ends.push(file.len());
        file.extend(Octets::new(order).block(0x0BAD, &[i; 8]).all);
    }
    (file, ends)
}

fn open(file: &[u8]) -> Result<Capture, CaptureError> {
    Capture::from_reader("test.pcap", Cursor::new(file.to_vec()))
}

/// Reads all of a capture that must have no fault.
fn read(file: &[u8]) -> Vec<Captured> {
    open(file).expect("header").collect::<Result<_, _>>().expect("no fault")
}

/// Reads what can be read, with the fault that ends it if there is one; checks that nothing comes after a fault.
fn read_to_fault(file: &[u8]) -> (Vec<Captured>, Option<CaptureError>) {
    let mut capture = match open(file) {
        Ok(capture) => capture,
        Err(fault) => return (Vec::new(), Some(fault)),
    };
    let mut frames = Vec::new();
    let mut fault = None;
    for item in capture.by_ref() {
        match item {
            Ok(frame) => frames.push(frame),
            Err(error) if error.ends_file() => {
                assert!(fault.is_none(), "two faults end the file: {error}");
                fault = Some(error);
            }
            Err(_) => {}
        }
    }
    assert!(capture.next().is_none());
    (frames, fault)
}

fn data(frames: &[Captured]) -> Vec<Vec<u8>> {
    frames.iter().map(|captured| captured.data.to_vec()).collect()
}

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
