//! The protocols: one file each, one line each in the list below.
//!
//! # Adding a protocol
//!
//! 1. Write `proto/<name>.rs`: module head (transport, layout with offsets, source of the facts, what is not parsed), a
//!    unit struct that implements [`Protocol`], its function table with [`functions!`], tests.
//! 2. Add one line to the `protocols!` list below: number, type, module, and in brackets the modules that its PDUs lead
//!    to by [`Walk::inner`]. Numbers are map format: take the next one, never reuse one.
//! 3. Add a capture to `tests/data/captures/live` with its labels, the README's row (`cargo xtask tidy` prints it), the
//!    techniques and the source in `ot-xdp/data/techniques.toml`, and, above the default, the program's budget in
//!    `tests/data/budget.toml`.
//!
//! Off its ports a protocol is a candidate by [`Protocol::SNIFF`]; [`Protocol::WEAK`] asks for a match in both directions.
//! Several protocols may share a port: they are tried in the order of the list. Of a TCP protocol the stream code
//! ([`crate::stream`]) wants one thing only: that `step` sets [`Walk::pdu_end`], and answers [`Step::PARTIAL`] as long as
//! the function, or one nested in it, lies behind the octets that are there.
//!
//! Last in the list is the parser of IT protocols, so that a port or a content that an industrial protocol shares with
//! them is looked at as that one first. It names many protocols by their transport signature alone: they are its
//! `members`, with a number and a name, and without a program.
//!
//! Nothing else: the kernel program, replay, the port table, the schema and the benches are made from the list.
//!
//! # Writing `step`
//!
//! - It is called with [`Walk::off`] at the first octet of a PDU (or of what the previous step put in
//!   [`Walk::inner`]) and parses **one** thing. It never loops over PDUs: the walk does.
//! - First the signature. Not a PDU of this protocol: return [`Step::REFUSE`] and push nothing. Off its port
//!   ([`Walk::strict`]) ask for every check that the specification allows.
//! - Set [`Walk::pdu_end`] as soon as the length is known; it may lie behind the payload (split over segments).
//! - Push one [`Op`] for each operation, then [`Step::DONE`], or [`Walk::inner`] for what is nested.
//! - The header is readable but the function is not (segment ends): [`Step::PARTIAL`]. Rules broken with the protocol
//!   certain: [`Step::MALFORMED`], after pushing what a lenient receiver might still execute.
//! - Function tables are arrays, not `match` over codes: the verifier follows every arm of a `match`. Cut an index out of
//!   one load where the fields lie side by side; put together from several fields it needs [`Bytes::index`].
//! - Mark an operation state-changing only for what asks for the change: see [`op`].

use core::fmt;

use crate::bytes::Bytes;
use crate::limits::{PDUS, STEPS};
use crate::op::{Class, Dir, Kind, Op, Tag};
use crate::walk::{Step, Walk};

mod candidates;
pub use candidates::{is_weak, sharing, sniff, sniff_begin};

/// Where a protocol is registered. Content still has to validate there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding {
    /// TCP ports.
    pub tcp: &'static [u16],
    /// UDP ports.
    pub udp: &'static [u16],
    /// EtherTypes.
    pub ethertypes: &'static [u16],
}

/// Test on the first four octets of a transport payload that makes a protocol a candidate off its port.
#[derive(Clone, Copy, Debug)]
pub struct Sniff {
    /// IP protocol number, 0 for TCP and UDP.
    pub l4: u8,
    /// Bits that count.
    pub mask: u32,
    /// Their value, big-endian.
    pub value: u32,
}

impl Sniff {
    /// Never a candidate by content.
    pub const NEVER: &'static [Sniff] = &[];
}

/// One line of a function table, as the program prints it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Function in the encoding of the protocol's `path`.
    pub function: u32,
    /// Name in the protocol's own words.
    pub name: &'static str,
    /// Operation class.
    pub class: Class,
    /// Does it change the state of the device or the process?
    pub state_changing: bool,
}

/// A protocol: binding, parser and vocabulary.
pub trait Protocol {
    /// Name as in JSON, configuration and the truth files.
    const NAME: &'static str;
    /// Title for people, with the specification.
    const TITLE: &'static str;
    /// Registered ports and EtherTypes.
    const BINDING: Binding;
    /// Candidates by content, at most eight.
    const SNIFF: &'static [Sniff] = Sniff::NEVER;
    /// Is the strong signature worth less than about 40 bits? Off its port such a protocol is named only once it
    /// matched in both directions.
    const WEAK: bool = false;
    /// Steps behind the first that a segment may take: [`STEPS`] where a PDU takes more than one, with
    /// [`Step::INNER`]; a flat protocol needs no more than there are PDUs. The verifier pays for each.
    const TURNS: u32 = PDUS;
    /// Parses one thing at [`Walk::off`].
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step;
    /// Writes a function as a path without the protocol's name, e.g. `3` or `job/0x04`.
    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result;
    /// Calls `each` with every line of the function tables.
    fn rows(each: &mut dyn FnMut(Row));
}

/// Makes a kind table for the parser and the rows for people from one line a code.
///
/// `functions! { TABLE, rows, base 0; 0x05 "Write Single Coil" Write!; }`: `!` marks state-changing codes. Codes that
/// are not listed are [`Kind::UNLISTED`]. The table has 256 entries, or as many as `TABLE[4096]` asks for.
macro_rules! functions {
    ($(#[$meta:meta])* $table:ident, $($rest:tt)+) => {
        functions! { $(#[$meta])* $table[256], $($rest)+ }
    };
    ($(#[$meta:meta])* $table:ident[$size:literal], $rows:ident, base $base:expr; $($code:literal $name:literal $class:ident $(! $(+ $never:tt)?)?;)+) => {
        $(#[$meta])*
        static $table: [u8; $size] = {
            let mut t = [$crate::op::Kind::UNLISTED.0; $size];
            $(t[$code] = $crate::op::Kind::new($crate::op::Class::$class, [0 $(, 1 $($never)?)?].len() == 2).0;)+
            t
        };
        fn $rows(each: &mut dyn FnMut($crate::proto::Row)) {
            $(each($crate::proto::Row {
                function: $base | $code,
                name: $name,
                class: $crate::op::Class::$class,
                state_changing: [0 $(, 1 $($never)?)?].len() == 2,
            });)+
        }
    };
}

/// An operation. State-changing is kept only when `dir` asks for the change (request, publish or unknown direction):
/// an answer to a write changes nothing.
#[inline(always)]
pub fn op<P: Number>(function: u32, kind: u8, dir: Dir, unit: u32) -> Op {
    let kind = if matches!(dir, Dir::Response) { kind & !Kind::STATE_CHANGING } else { kind };
    Op { function, unit, addr: 0, span: 0, tag: Tag::new(P::NUMBER, kind, dir, 0) }
}

/// The number that a protocol has in the list.
pub trait Number {
    /// See [`Proto`].
    const NUMBER: u8;
}

/// A protocol that the parser of another one names: part of the vocabulary, without a parser and a program of its own.
pub trait Member {
    /// Name as in JSON.
    const NAME: &'static str;
    /// Title for people.
    const TITLE: &'static str;
    /// Its functions, from 0: what follows the name in a path, name, class, state-changing.
    const FUNCTIONS: &'static [(&'static str, &'static str, Class, bool)];
}

macro_rules! protocols {
    (
        $d:tt $($nr:literal $variant:ident $module:ident [$($inner:ident)*];)+
        members of $home:ident: $($m_nr:literal $member:ident;)+
    ) => {
        $(pub mod $module;)+

        /// Every protocol. Numbers are map format and are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Proto {
            $(#[doc = concat!("See [`mod@", stringify!($module), "`].")] $variant = $nr,)+
            $(#[doc = concat!("See [`mod@", stringify!($home), "`].")] $member = $m_nr,)+
        }

        $(impl Number for $module::$variant { const NUMBER: u8 = $nr; })+
        $(impl Number for $home::$member { const NUMBER: u8 = $m_nr; })+

        impl Proto {
            /// Every protocol, in the order of the list.
            pub const ALL: &[Proto] = &[$(Proto::$variant,)+ $(Proto::$member),+];
            /// The protocol with this number.
            pub fn from_code(code: u8) -> Option<Proto> {
                match code { $($nr => Some(Proto::$variant),)+ $($m_nr => Some(Proto::$member),)+ _ => None }
            }
            /// Name as in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Proto::$variant => <$module::$variant as Protocol>::NAME,)+
                    $(Proto::$member => <$home::$member as Member>::NAME),+
                }
            }
            /// Title for people.
            pub fn title(self) -> &'static str {
                match self {
                    $(Proto::$variant => <$module::$variant as Protocol>::TITLE,)+
                    $(Proto::$member => <$home::$member as Member>::TITLE),+
                }
            }
            /// Registered ports and EtherTypes.
            pub fn binding(self) -> Binding {
                match self { $(Proto::$variant => <$module::$variant as Protocol>::BINDING,)+ _ => Binding::default() }
            }
            /// Can a frame begin with it? Others live only inside the PDUs of a root.
            pub fn is_root(self) -> bool {
                let b = self.binding();
                let sniffed = match self {
                    $(Proto::$variant => !<$module::$variant as Protocol>::SNIFF.is_empty(),)+
                    _ => false,
                };
                sniffed || !b.tcp.is_empty() || !b.udp.is_empty() || !b.ethertypes.is_empty()
            }
            /// Name of the file in `proto/`, without its extension.
            pub fn module(self) -> &'static str {
                match self { $(Proto::$variant => stringify!($module),)+ _ => stringify!($home) }
            }
            /// Writes a function as a path without the protocol's name.
            pub fn path(self, function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
                match self {
                    $(Proto::$variant => <$module::$variant as Protocol>::path(function, out),)+
                    $(Proto::$member => member_path::<$home::$member>(function, out)),+
                }
            }
            /// Calls `each` with every line of the function tables.
            pub fn rows(self, each: &mut dyn FnMut(Row)) {
                match self {
                    $(Proto::$variant => <$module::$variant as Protocol>::rows(each),)+
                    $(Proto::$member => member_rows::<$home::$member>(each)),+
                }
            }
        }

        /// One step of the protocol with this number (user space; the kernel calls a subprogram each).
        pub fn step<B: Bytes>(proto: u8, b: B, w: &mut Walk) -> Step {
            match proto { $($nr => <$module::$variant as Protocol>::step(b, w),)+ _ => Step::REFUSE }
        }

        /// [`Protocol::TURNS`] of the protocol with this number.
        pub fn turns(proto: u8) -> u32 {
            match proto { $($nr => <$module::$variant as Protocol>::TURNS,)+ _ => STEPS }
        }

        /// What the candidate tables are made of.
        const LIST: &[candidates::Entry] = &[$(candidates::Entry {
            proto: $nr,
            binding: <$module::$variant as Protocol>::BINDING,
            sniff: <$module::$variant as Protocol>::SNIFF,
            weak: <$module::$variant as Protocol>::WEAK,
        },)+];

        /// Calls a macro with `number Variant module [inner modules];` for each protocol: how the kernel crate makes its subprograms.
        #[macro_export]
        macro_rules! for_each_protocol {
            ($d callback:ident) => { $d callback! { $($nr $variant $module [$($inner)*];)+ } };
        }
    };
}

fn member_path<M: Member>(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
    match M::FUNCTIONS.get(function as usize) {
        Some((path, ..)) => out.write_str(path),
        None => write!(out, "{function:#x}"),
    }
}

fn member_rows<M: Member>(each: &mut dyn FnMut(Row)) {
    for (function, (_, name, class, state_changing)) in (0..).zip(M::FUNCTIONS) {
        each(Row { function, name, class: *class, state_changing: *state_changing });
    }
}

protocols! { $
    1 Modbus modbus [umas modbus_rtu];
    2 Umas umas [];
    3 Cotp cotp [s7comm s7comm_plus mms];
    4 S7comm s7comm [];
    5 S7commPlus s7comm_plus [];
    6 Enip enip [cip];
    7 Cip cip [];
    8 Pccc pccc [];
    9 CipIo cip_io [];
    10 Goose goose [];
    11 PnRt pn_rt [pn_dcp pn_ptcp];
    12 PnDcp pn_dcp [];
    13 PnPtcp pn_ptcp [];
    14 Dnp3 dnp3 [];
    15 Iec104 iec104 [];
    20 Mms mms [];
    21 Opcua opcua [];
    22 Bacnet bacnet [];
    23 BacnetMstp bacnet_mstp [bacnet];
    24 HartIp hart_ip [];
    25 Synphasor synphasor [];
    26 Mqtt mqtt [sparkplug_b];
    27 SparkplugB sparkplug_b [];
    28 Rgoose rgoose [];
    30 Ads ads [];
    31 PnIo pn_io [];
    32 Melsoft melsoft [];
    33 Slmp slmp [];
    34 Fins fins [];
    35 GeSrtp ge_srtp [];
    36 Knxnet knxnet [];
    37 Dlms dlms [];
    38 Coap coap [];
    39 Amqp amqp [];
    40 EtherSbus ethersbus [];
    41 EtherSio ethersio [];
    42 Egd egd [];
    43 Trdp trdp [];
    45 Sv sv [];
    46 Ethercat ethercat [];
    47 Gse gse [];
    48 Powerlink powerlink [];
    49 Sercos sercos [];
    50 Cclink cclink [];
    52 Lldp lldp [];
    53 Ptp ptp [];
    54 Mrp mrp [];
    55 Prp prp [hsr];
    56 Dlr dlr [];
    57 Macsec macsec [];
    60 Hsr hsr [];
    61 Bsap bsap [];
    62 Genisys genisys [];
    63 Proconos proconos [];
    64 FfHse ffhse [];
    65 RocPlus rocplus [];
    66 Pcworx pcworx [];
    67 C1222 c1222 [];
    68 Atg atg [];
    69 Crimson crimson [];
    70 Fox fox [];
    71 CodesysV3 codesys_v3 [];
    72 CodesysV2 codesys_v2 [];
    73 CodesysNvl codesys_nvl [];
    74 Lontalk lontalk [];
    75 Deltav deltav [];
    76 Vnetip vnetip [];
    77 Moxa moxa [];
    78 Lantronix lantronix [];
    79 Logo logo [];
    91 Snmp snmp [];
    95 ModbusRtu modbus_rtu [];
    90 It it [];
    members of it:
    100 Rdp;
    101 Smb;
    102 Ssh;
    103 Telnet;
    104 Vnc;
    105 WinRm;
    106 MsRpc;
    107 TeamViewer;
    108 AnyDesk;
    109 Ftp;
    110 Tftp;
    111 Http;
    112 Tls;
    113 Dns;
    114 Mdns;
    115 Llmnr;
    116 NetBios;
    117 Dhcp;
    118 Ntp;
    119 Ldap;
    120 Kerberos;
    121 Mssql;
    122 Mysql;
    123 Postgresql;
    124 Oracle;
    125 Syslog;
    126 Ssdp;
}

/// A function as the truth files and JSON write it: `modbus:3`.
pub struct Path {
    /// Protocol number.
    pub proto: u8,
    /// Function in its encoding.
    pub function: u32,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Proto::from_code(self.proto) {
            Some(p) => {
                write!(f, "{}:", p.name())?;
                p.path(self.function, f)
            }
            None => write!(f, "{}:{:#x}", self.proto, self.function),
        }
    }
}
