//! OPC UA binary over TCP (OPC 10000-6).
//!
//! TCP 4840, in practice any port. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 3 | HEL, ACK, ERR, RHE, OPN, MSG, CLO |
//! | 3 | 1 | F final, C intermediate, A abort |
//! | 4 | 4 | size, this header included |
//! | 8 | 4 | secure channel (OPN, MSG, CLO) |
//! | 12 | 4 | token (MSG, CLO); OPN: policy, certificate, thumbprint, each length 4 and data |
//! | 16 | 8 | sequence, request |
//! | 24 | | type of the service: node id, four-octet form 01 namespace id16, 00 id8, 02 namespace id32 |
//!
//! Sources: OPC 10000-6 cl. 6.7.2 (message chunks), 7.1.2 (connection protocol), 5.2.2.9 (node id); OPC 10000-4 (services);
//! the NodeIds.csv of namespace 0 for the type ids. Function encoding: type id, message type << 16. `unit` is the secure
//! channel. A MSG whose type id is none is taken for encrypted. Not parsed: nodes and values, chunks behind the first.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Opcua;

const SIZE_MIN: u32 = 16;
/// Largest chunk that is believed; the buffers that stacks negotiate are smaller.
const SIZE_MAX: u32 = 1 << 24;
/// Largest policy, certificate chain or thumbprint.
const FIELD_MAX: u32 = 8192;

const HEL: u32 = 0x0048_454C;
const ACK: u32 = 0x0041_434B;
const ERR: u32 = 0x0045_5252;
const RHE: u32 = 0x0052_4845;
const OPN: u32 = 0x004F_504E;
const MSG: u32 = 0x004D_5347;
const CLO: u32 = 0x0043_4C4F;

/// Message types by number, as in a function's high half.
const TYPES: [(u32, &str); 7] =
    [(HEL, "HEL"), (ACK, "ACK"), (ERR, "ERR"), (RHE, "RHE"), (OPN, "OPN"), (MSG, "MSG"), (CLO, "CLO")];

functions! {
    SERVICES[1024], service_rows, base 0;
    397 "ServiceFault" Response;
    410 "TestStackRequest" Diagnostic;
    413 "TestStackResponse" Response;
    416 "TestStackExRequest" Diagnostic;
    419 "TestStackExResponse" Response;
    422 "FindServersRequest" Discovery;
    425 "FindServersResponse" Response;
    428 "GetEndpointsRequest" Discovery;
    431 "GetEndpointsResponse" Response;
    437 "RegisterServerRequest" Config!;
    440 "RegisterServerResponse" Response;
    446 "OpenSecureChannelRequest" Session;
    449 "OpenSecureChannelResponse" Response;
    452 "CloseSecureChannelRequest" Session;
    455 "CloseSecureChannelResponse" Response;
    461 "CreateSessionRequest" Session;
    464 "CreateSessionResponse" Response;
    467 "ActivateSessionRequest" Auth;
    470 "ActivateSessionResponse" Response;
    473 "CloseSessionRequest" Session;
    476 "CloseSessionResponse" Response;
    479 "CancelRequest" Session;
    482 "CancelResponse" Response;
    488 "AddNodesRequest" Config!;
    491 "AddNodesResponse" Response;
    494 "AddReferencesRequest" Config!;
    497 "AddReferencesResponse" Response;
    500 "DeleteNodesRequest" Config!;
    503 "DeleteNodesResponse" Response;
    506 "DeleteReferencesRequest" Config!;
    509 "DeleteReferencesResponse" Response;
    527 "BrowseRequest" Discovery;
    530 "BrowseResponse" Response;
    533 "BrowseNextRequest" Discovery;
    536 "BrowseNextResponse" Response;
    554 "TranslateBrowsePathsToNodeIdsRequest" Discovery;
    557 "TranslateBrowsePathsToNodeIdsResponse" Response;
    560 "RegisterNodesRequest" Session;
    563 "RegisterNodesResponse" Response;
    566 "UnregisterNodesRequest" Session;
    569 "UnregisterNodesResponse" Response;
    615 "QueryFirstRequest" Discovery;
    618 "QueryFirstResponse" Response;
    621 "QueryNextRequest" Discovery;
    624 "QueryNextResponse" Response;
    631 "ReadRequest" Read;
    634 "ReadResponse" Response;
    664 "HistoryReadRequest" Read;
    667 "HistoryReadResponse" Response;
    673 "WriteRequest" Write!;
    676 "WriteResponse" Response;
    700 "HistoryUpdateRequest" Write!;
    703 "HistoryUpdateResponse" Response;
    712 "CallRequest" Control!;
    715 "CallResponse" Response;
    751 "CreateMonitoredItemsRequest" Read;
    754 "CreateMonitoredItemsResponse" Response;
    763 "ModifyMonitoredItemsRequest" Read;
    766 "ModifyMonitoredItemsResponse" Response;
    769 "SetMonitoringModeRequest" Config;
    772 "SetMonitoringModeResponse" Response;
    775 "SetTriggeringRequest" Config;
    778 "SetTriggeringResponse" Response;
    781 "DeleteMonitoredItemsRequest" Session;
    784 "DeleteMonitoredItemsResponse" Response;
    787 "CreateSubscriptionRequest" Session;
    790 "CreateSubscriptionResponse" Response;
    793 "ModifySubscriptionRequest" Session;
    796 "ModifySubscriptionResponse" Response;
    799 "SetPublishingModeRequest" Session;
    802 "SetPublishingModeResponse" Response;
    826 "PublishRequest" Read;
    829 "PublishResponse" Response;
    832 "RepublishRequest" Read;
    835 "RepublishResponse" Response;
    841 "TransferSubscriptionsRequest" Session;
    844 "TransferSubscriptionsResponse" Response;
    847 "DeleteSubscriptionsRequest" Session;
    850 "DeleteSubscriptionsResponse" Response;
}

/// Number of a message type in [`TYPES`] plus one, 0 for none.
#[inline(always)]
fn number(letters: u32) -> u32 {
    if letters == MSG {
        6
    } else if letters == OPN {
        5
    } else if letters == CLO {
        7
    } else if letters == HEL {
        1
    } else if letters == ACK {
        2
    } else if letters == ERR {
        3
    } else if letters == RHE {
        4
    } else {
        0
    }
}

impl Protocol for Opcua {
    const NAME: &'static str = "opcua";
    const TITLE: &'static str = "OPC UA binary (OPC 10000-6)";
    const BINDING: Binding = Binding { tcp: &[4840, 48010], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: HEL << 8 | 0x46 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: ACK << 8 | 0x46 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: ERR << 8 | 0x46 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: RHE << 8 | 0x46 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: OPN << 8 | 0x46 },
        Sniff { l4: TCP, mask: 0xFFFF_FF00, value: MSG << 8 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: CLO << 8 | 0x46 },
    ];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        if w.mem[0] != 0 {
            return service(b, w);
        }
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let kind = number(head >> 8);
        let chunk = head as u8;
        let last = chunk == b'F';
        if kind == 0 || !(last || (kind == 6 && (chunk == b'C' || chunk == b'A'))) {
            return Step::REFUSE;
        }
        let Some(size) = b.le32(off + 4) else { return Step::PARTIAL };
        if !(SIZE_MIN..SIZE_MAX).contains(&size) {
            return Step::REFUSE;
        }
        w.pdu_end = off + size;
        let unit = b.le32(off + 8).unwrap_or(0);
        if kind < 5 {
            let dir = if kind == 1 { Dir::Request } else { Dir::Response };
            let class = if kind == 3 { Class::Response } else { Class::Session };
            w.push(op::<Opcua>(kind << 16, Kind::new(class, false).0, dir, 0));
            return Step::DONE;
        }
        w.mem = [kind, unit, chunk as u32, 0, 0, 0];
        let mut at = off + 24;
        if kind == 5 {
            // Policy, certificate, thumbprint: a length of -1 stands for none.
            at = off + 12;
            for i in 0..3 {
                let Some(field) = b.le32(at) else {
                    // The step at the type of the service finds the octets missing.
                    at = w.end;
                    break;
                };
                let length = if field == u32::MAX { 0 } else { field };
                if length > FIELD_MAX {
                    return Step::REFUSE;
                }
                if i == 1 && length != 0 {
                    // Whoever shows a certificate encrypts what follows (OPC 10000-6 cl. 6.7.4).
                    w.push(op::<Opcua>(kind << 16, Kind::new(Class::Session, false).0, w.port_dir(), unit));
                    return Step::DONE;
                }
                at += 4 + length;
            }
            at += 8;
        }
        let end = w.end;
        // A step of its own: the verifier would follow it for every way through the fields.
        w.inner(<Opcua as super::Number>::NUMBER, at, end)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let kind = (function >> 16).wrapping_sub(1) as usize;
        out.write_str(TYPES.get(kind).map_or("?", |(_, text)| text))?;
        if function & 0xFFFF != 0 { write!(out, "/{}", function & 0xFFFF) } else { Ok(()) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        let mut row = |kind: u32, name, class| each(Row { function: kind << 16, name, class, state_changing: false });
        row(1, "Hello", Class::Session);
        row(2, "Acknowledge", Class::Session);
        row(3, "Error", Class::Response);
        row(4, "Reverse Hello", Class::Session);
        row(5, "OpenSecureChannel, encrypted", Class::Session);
        row(6, "Message, encrypted or a further chunk", Class::Encrypted);
        row(7, "CloseSecureChannel, encrypted", Class::Session);
        service_rows(&mut |r| {
            let kind = if r.function == 446 || r.function == 449 {
                5
            } else if r.function == 452 || r.function == 455 {
                7
            } else {
                6
            };
            each(Row { function: r.function | kind << 16, ..r });
        });
    }
}

/// The type of the service at [`Walk::off`].
#[inline(always)]
fn service<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let (kind, unit, chunk) = (w.mem[0], w.mem[1], w.mem[2] as u8);
    let at = w.off;
    let carrier = kind << 16;
    let Some(form) = b.be32(at) else {
        if w.pdu_end > w.end {
            return Step::PARTIAL;
        }
        // A chunk without a body.
        w.push(op::<Opcua>(carrier, Kind::new(Class::Session, false).0, w.port_dir(), unit));
        return Step::DONE;
    };
    let id = if form >> 16 == 0x0100 {
        (form as u16).swap_bytes() as u32
    } else if form >> 24 == 0 {
        form >> 16 & 0xFF
    } else if form >> 8 == 0x02_0000 {
        (b.le32(at + 3).unwrap_or(0)) & 0xFFFF
    } else {
        0
    };
    let class = SERVICES[b.index::<1023>(id)];
    let known = id != 0 && id < 1024 && class != Kind::UNLISTED.0;
    if !known {
        let further = form >> 24 <= 2 && form >> 16 & 0xFF == 0 && id != 0;
        if chunk != b'F' || !further {
            // No type id: encrypted, or a chunk behind the first.
            w.flags |= if kind == 6 { flags::ENCRYPTED } else { 0 };
            let class = if kind == 6 { Class::Encrypted } else { Class::Session };
            w.push(op::<Opcua>(carrier, Kind::new(class, false).0, w.port_dir(), unit));
            return Step::DONE;
        }
        w.push(op::<Opcua>(carrier | id, Kind::UNLISTED.0, w.port_dir(), unit));
        return Step::DONE;
    }
    let dir = if Kind(class).class() == Class::Response as u8 { Dir::Response } else { Dir::Request };
    w.push(op::<Opcua>(carrier | id, class, dir, unit));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    const WRITE: &str = "4d5347 46 20000000 01000000 01000000 02000000 02000000 01 00 a102 0000 0000";

    #[test]
    fn services_and_connection() {
        assert_eq!(tcp(40000, 4840, &hex(WRITE)).lines(), ["opcua:MSG/673 write! request"]);
        let read = hex(&WRITE.replace("a102", "7a02"));
        assert_eq!(tcp(4840, 40000, &read).lines(), ["opcua:MSG/634 response response"]);
        // Off its port, and two in a segment.
        let two = [hex(WRITE), hex(WRITE)].concat();
        assert_eq!(tcp(40000, 51210, &two).paths(), ["opcua:MSG/673", "opcua:MSG/673"]);
        let opn =
            "4f504e46 30000000 00000000 04000000 61626364 ffffffff ffffffff 01000000 01000000 01 00 be01 0000 0000";
        assert_eq!(tcp(40000, 4840, &hex(opn)).lines(), ["opcua:OPN/446 session request"]);
        assert_eq!(tcp(40000, 4840, &hex("48454c46200000000000000000000000")).paths(), ["opcua:HEL"]);
    }

    #[test]
    fn encrypted_messages_are_named_as_such() {
        let s = tcp(40000, 4840, &hex("4d534746 20000000 01000000 01000000 9f31a6b2 5c7d8e01 93a1b2c3 d4e5f607"));
        assert_eq!(s.lines(), ["opcua:MSG encrypted request"]);
    }

    #[test]
    fn other_text_and_cut_short() {
        assert_eq!(tcp(40000, 4840, b"HELO mail.example").outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 4840, &hex(&WRITE.replace(' ', "")[..30])).outcome, Outcome::Continuation);
    }
}
