//! BACnet MS/TP frames (ASHRAE 135 cl. 9) as a serial adapter hands them on in Ethernet frames (SNAP 00-10-90, 1).
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 3 | time and mark of the adapter, not published |
//! | 3 | 1 | frame type: 0 token, 1 poll for master, 2 reply, 3 and 4 test, 5 and 6 data, 7 reply postponed |
//! | 4 | 2 | destination, source station |
//! | 6 | 2 | length of the data, big endian |
//! | 8 | 1 | header CRC |
//! | 9 | | network PDU (types 5 and 6), see [`super::bacnet`] |
//!
//! Source: ANSI/ASHRAE 135 cl. 9.3. Function encoding: frame type; the path is empty, as frames of the data link have no
//! function. `unit` is the destination station. Not parsed: CRCs.

use core::fmt;

use super::{Binding, Number, Protocol, Row, bacnet, op};
use crate::bytes::Bytes;
use crate::frame::SNAP_MSTP;
use crate::limits::STEPS;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct BacnetMstp;

const DATA: u32 = 9;

functions! {
    TYPES, type_rows, base 0;
    0 "Token" Session;
    1 "Poll For Master" Session;
    2 "Reply To Poll For Master" Session;
    3 "Test Request" Diagnostic;
    4 "Test Response" Diagnostic;
    5 "BACnet Data Expecting Reply" Session;
    6 "BACnet Data Not Expecting Reply" Session;
    7 "Reply Postponed" Session;
}

impl Protocol for BacnetMstp {
    const NAME: &'static str = "bacnet_mstp";
    const TITLE: &'static str = "BACnet MS/TP, from a serial adapter";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[SNAP_MSTP] };
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(kind) = b.u8(off + 3) else { return Step::REFUSE };
        let Some(to) = b.u8(off + 4) else { return Step::REFUSE };
        let Some(length) = b.be16(off + 6) else { return Step::REFUSE };
        w.push(op::<BacnetMstp>(kind as u32, TYPES[kind as usize], Dir::Unknown, to as u32));
        if (kind != 5 && kind != 6) || length < 2 {
            return Step::DONE;
        }
        let at = off + DATA;
        let end = w.end;
        w.mem[0] = at;
        w.inner(bacnet::Bacnet::NUMBER, at, end)
    }

    fn path(_: u32, _: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{classify_frame, hex};

    #[test]
    fn tokens_and_data() {
        let token = hex("000000000001000000000072001faaaa030010900001000080000172000084");
        assert_eq!(classify_frame(&token).lines(), ["bacnet_mstp: session -"]);
        let read = "0000000000720000000000010037aaaa0300109000010000800572010016a501040c659306010c0c02015062194bffff";
        assert_eq!(classify_frame(&hex(read)).paths()[0], "bacnet_mstp:");
    }

    #[test]
    fn cut_short() {
        let token = hex("000000000001000000000072000caaaa03001090000100008000");
        assert_eq!(classify_frame(&token).outcome, Outcome::Unparsed);
    }
}
