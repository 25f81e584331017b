//! Sparkplug B: what an MQTT PUBLISH does, by its topic `spBv1.0/group/TYPE/node[/device]` or `spBv1.0/STATE/host`.
//!
//! Source: Eclipse Sparkplug 3.0 cl. 4 (topics) and 6 (messages). Function encoding: number of the message type.
//! Not parsed: group, node, device, metrics.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct SparkplugB;

/// Octets of a group id in which the slash behind it is looked for.
const GROUP_MAX: u32 = 64;

/// First four letters, name, title, class, state-changing; the function is the place in the list plus one.
const MESSAGES: [(u32, &str, &str, Class, bool); 9] = [
    (0x4E43_4D44, "NCMD", "Command to an edge node", Class::Control, true),
    (0x4443_4D44, "DCMD", "Command to a device", Class::Control, true),
    (0x4E44_4154, "NDATA", "Edge node data", Class::Read, false),
    (0x4444_4154, "DDATA", "Device data", Class::Read, false),
    (0x4E42_4952, "NBIRTH", "Edge node birth", Class::Session, false),
    (0x4442_4952, "DBIRTH", "Device birth", Class::Session, false),
    (0x4E44_4541, "NDEATH", "Edge node death", Class::Session, false),
    (0x4444_4541, "DDEATH", "Device death", Class::Session, false),
    (0x5354_4154, "STATE", "State of a host application", Class::Session, false),
];
const STATE: u32 = 0x5354_4154;

/// Kinds by function number.
static KINDS: [u8; 16] = {
    let mut t = [Kind::UNLISTED.0; 16];
    let mut i = 0;
    while i < MESSAGES.len() {
        t[i + 1] = Kind::new(MESSAGES[i].3, MESSAGES[i].4).0;
        i += 1;
    }
    t
};

impl Protocol for SparkplugB {
    const NAME: &'static str = "sparkplug-b";
    const TITLE: &'static str = "Sparkplug B (Eclipse), in MQTT";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let (off, end) = (w.off, w.inner_end);
        let topic = b.until(end);
        if end > w.end && w.end - off < GROUP_MAX {
            return Step::PARTIAL;
        }
        let mut at = 0;
        let mut open = 1;
        // In arithmetic: the verifier would follow each length of a group id.
        for i in 0..GROUP_MAX {
            let Some(octet) = topic.u8(off + i) else { break };
            let slash = (octet as u32 ^ b'/' as u32).wrapping_sub(1) >> 31;
            at += open & !slash;
            open &= !slash;
        }
        let first = topic.be32(off).unwrap_or(0);
        let mut letters = topic.be32(off + at + 1).unwrap_or(0);
        if first == STATE {
            letters = STATE;
        }
        let mut function = 0;
        for (i, message) in MESSAGES.iter().enumerate() {
            if letters == message.0 {
                function = i as u32 + 1;
            }
        }
        let dir = if w.hint == crate::walk::Hint::FromServer as u8 { Dir::Publish } else { w.port_dir() };
        w.push(op::<SparkplugB>(function, KINDS[b.index::<15>(function)], dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(MESSAGES.get(function.wrapping_sub(1) as usize).map_or("?", |m| m.1))
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        for (i, (_, _, name, class, state_changing)) in (1..).zip(MESSAGES) {
            each(Row { function: i, name, class, state_changing });
        }
    }
}
