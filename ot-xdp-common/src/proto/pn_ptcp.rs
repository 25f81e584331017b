//! PTCP: PROFINET's clock synchronisation and line-delay measurement, inside RT frames.
//!
//! Source: IEC 61158-6-10 cl. 4.5 (PTCP) and 4.12 (FrameIDs); ranges checked on public captures. EtherType 0x8892, by way
//! of the RT parser.
//!
//! Function encoding: the FrameID. Not parsed: the blocks.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct PnPtcp;

functions! {
    /// FrameIDs 0x0000 to 0x00FF.
    SYNC, sync_rows, base 0;
    0x20 "PTCP RTSync with follow-up (clock)" Infrastructure;
    0x21 "PTCP RTSync with follow-up (time)" Infrastructure;
    0x80 "PTCP RTSync (clock)" Infrastructure;
    0x81 "PTCP RTSync (time)" Infrastructure;
}

functions! {
    /// FrameIDs 0xFF00 to 0xFFFF.
    OTHERS, other_rows, base 0xFF00;
    0x00 "PTCP Announce (clock)" Infrastructure;
    0x01 "PTCP Announce (time)" Infrastructure;
    0x20 "PTCP FollowUp (clock)" Infrastructure;
    0x21 "PTCP FollowUp (time)" Infrastructure;
    0x40 "PTCP DelayReq" Infrastructure;
    0x41 "PTCP DelayRes with follow-up" Infrastructure;
    0x42 "PTCP DelayFuRes" Infrastructure;
    0x43 "PTCP DelayRes without follow-up" Infrastructure;
}

/// Kind of a FrameID, [`Kind::UNLISTED`] when it is not PTCP's.
#[inline(always)]
pub fn kind(id: u16) -> u8 {
    let low = id as usize & 0xFF;
    if id < 0x100 {
        SYNC[low]
    } else if id >= 0xFF00 {
        OTHERS[low]
    } else {
        Kind::UNLISTED.0
    }
}

impl Protocol for PnPtcp {
    const NAME: &'static str = "pn_ptcp";
    const TITLE: &'static str = "PROFINET PTCP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let Some(id) = b.be16(w.off) else { return Step::REFUSE };
        w.push(op::<PnPtcp>(id as u32, Kind::new(Class::Infrastructure, false).0, Dir::Publish, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#06x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        sync_rows(each);
        other_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{hex, layer2};

    #[test]
    fn every_frame_id_is_infrastructure() {
        for id in ["0020", "0081", "ff00", "ff21", "ff40", "ff43"] {
            let line = ["pn_ptcp:0x", id, " infrastructure publish"].concat();
            assert_eq!(layer2(0x8892, &hex(id)).lines(), [line]);
        }
        assert_eq!(layer2(0x8892, &hex("ff44")).paths(), ["pn_rt:0xff44"]);
        assert_eq!(layer2(0x8892, &hex("0082")).paths(), ["pn_rt:0x0082"]);
    }
}
