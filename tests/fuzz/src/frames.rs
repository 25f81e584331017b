//! Target `frames`: whole frames one after the other through everything, with the memory of connections and services.
//!
//! Input: frames, each behind its length in two octets (big-endian, eleven bits); the last one may be cut.

use ot_xdp_common::frame::Frame;
use ot_xdp_common::walk::Walk;

use crate::host;

/// Frames of one input.
const FRAMES: usize = 24;

/// Runs one input.
pub fn run(data: &[u8]) -> bool {
    host::fresh(|host| {
        let (mut f, mut w) = (Frame::default(), Walk::default());
        split(data).take(FRAMES).for_each(|frame| {
            host.frame(frame, &mut f, &mut w);
        });
    });
    data.len() > 2
}

/// The frames of an input.
fn split(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let ([high, low], rest) = data.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*high, *low]) & 0x7FF).min(rest.len());
        let (frame, rest) = rest.split_at(len);
        data = rest;
        Some(frame)
    })
}

/// An input of these frames.
pub fn input<'f>(frames: impl IntoIterator<Item = &'f [u8]>) -> Vec<u8> {
    let mut data = Vec::new();
    for frame in frames {
        let frame = &frame[..frame.len().min(0x7FF)];
        data.extend((frame.len() as u16).to_be_bytes());
        data.extend(frame);
    }
    data
}
