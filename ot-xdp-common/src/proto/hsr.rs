//! HSR: supervision frames of the seamless redundancy ring, found by [`super::prp`].
//!
//! Source: IEC 62439-3 cl. 5.7. Layout, function encoding and limits are those of PRP's supervision frames; the tag of
//! version 1 (0x892F) is skipped by the envelope.

use core::fmt;

use super::{Binding, Protocol, Row, prp};
use crate::bytes::Bytes;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Hsr;

impl Protocol for Hsr {
    const NAME: &'static str = "hsr";
    const TITLE: &'static str = "HSR supervision (IEC 62439-3)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        prp::tlv::<B, Hsr>(b, w)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        prp::Prp::path(function, out)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        prp::rows(each);
    }
}
