//! Flags of a frame: what was unusual about it or could not be known. Bits are never reused; names are the JSON words.

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $name:ident = $bit:literal, $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: u32 = 1 << $bit;)+
        /// Every flag with its word in JSON and its meaning, in bit order.
        pub const ALL: &[(u32, &str, &str)] = &[$(($name, $text, concat!($($doc),+)),)+];
    };
}

flags! {
    /// The last PDU of the segment continues in the next one.
    SPLIT = 0, "split";
    /// The segment starts inside a PDU; nothing can be said about its first octets.
    CONTINUATION = 1, "continuation";
    /// The segment repeats octets that were seen already.
    RETRANSMISSION = 2, "retransmission";
    /// A header that breaks its protocol's rules.
    MALFORMED = 3, "malformed";
    /// More PDUs or nested services than one pass walks.
    WALK_LIMIT = 4, "walk_limit";
    /// An IP fragment.
    FRAGMENT = 5, "fragment";
    /// The protocol was found by its content away from its registered port.
    PORT_MISMATCH = 6, "port_mismatch";
    /// The payload is encrypted; only its envelope is known.
    ENCRYPTED = 7, "encrypted";
    /// More than one PDU in the segment.
    PIPELINED = 8, "pipelined";
    /// IPv4 options or IPv6 extension headers were skipped.
    IP_OPTIONS = 9, "ip_options";
    /// More VLAN tags than are followed.
    VLAN_DEPTH = 10, "vlan_depth";
    /// IP or OT type carried in an LLC/SNAP header.
    SNAP = 11, "snap";
    /// The frame ends before the length that its headers declare (snapped capture or a forged length).
    SHORT_FRAME = 12, "short_frame";
    /// Octets behind the last whole PDU that do not begin another one.
    TRAILING = 13, "trailing";
    /// The frame is longer than classification reaches.
    BEYOND_REACH = 14, "beyond_reach";
    /// A PRP trailer or an HSR tag was skipped.
    REDUNDANCY = 15, "redundancy";
    /// A header whose length disagrees with the function it carries.
    LENGTH_LIE = 16, "length_lie";
    /// The sender marked the message as test or simulation.
    SIMULATION = 17, "simulation";
    /// A transport fragment without a function of its own (DNP3 transport, COTP without end mark).
    TRANSPORT_FRAGMENT = 18, "transport_fragment";
    /// An IPv6 extension chain longer than is followed.
    IPV6_CHAIN = 19, "ipv6_chain";
    /// Octets of the connection in front of this segment were not seen.
    GAP = 20, "gap";
    /// The segment repeats octets that were seen with other content: receivers may differ in which one they take.
    OVERLAP = 21, "overlap";
    /// The frame came through a tunnel (VXLAN, GRE, ERSPAN) that was opened.
    TUNNEL = 22, "tunnel";
    /// The segment repeats octets that were seen and is no repetition of the last segment: its content was not compared.
    UNCOMPARED = 23, "uncompared";
    /// Frames of the sender came from different hardware addresses.
    SENDER_CHANGED = 26, "sender_changed";
}
