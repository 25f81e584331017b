//! GSE management: questions about the GOOSE publications of a device, on an EtherType of their own.
//!
//! Source: IEC 61850-8-1 cl. 18.2 (services), Annex A (abstract syntax), Annex C (frame layout). EtherType 0x88B9. The
//! layout and the function encoding are those of [`super::goose`], which also reads the frames: devices may send either
//! PDU on either EtherType. Rare in plants. Not parsed: the references asked for, answers.

use core::fmt;

use super::{Binding, Protocol, Row, goose};
use crate::bytes::Bytes;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Gse;

impl Protocol for Gse {
    const NAME: &'static str = "gse";
    const TITLE: &'static str = "IEC 61850 GSE management";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[0x88B9] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        goose::parse::<B, Gse>(b, w)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        goose::Goose::path(function, out)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        goose::Goose::rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    const ASK: &str = "00010013000000006009800101a104a2021234";

    #[test]
    fn requests_and_responses() {
        assert_eq!(layer2(0x88B9, &hex(ASK)).lines(), ["gse:mgmt/0xa1/0xa2 discovery request"]);
        let answer = hex(&ASK.replace("a104", "a204"));
        assert_eq!(layer2(0x88B9, &answer).lines(), ["gse:mgmt/0xa2 response response"]);
        assert_eq!(layer2(0x88B9, &hex(&ASK.replace("6009", "6209"))).outcome, Outcome::Unparsed);
        cuts(&hex(ASK), &["gse:mgmt", "gse:mgmt/0xa1"], &|p| layer2(0x88B9, p));
    }
}
