//! Where one PDU ends in a stream of octets, and what a controller that understands nothing answers.

/// How a protocol marks its PDUs in a TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Modbus/TCP: a length in octets 4 and 5 of the header.
    Mbap,
    /// TPKT (S7comm, MMS): a length in octets 2 and 3 that includes the header.
    Tpkt,
    /// EtherNet/IP encapsulation: a length in octets 2 and 3, little-endian, behind 24 octets of header.
    Enip,
    /// DNP3 link frames: a length without the checksums that are spread over the frame.
    Dnp3,
    /// IEC 60870-5-104: one octet of length.
    Apci,
    /// OPC UA: 32 bits of length, little-endian, with the header.
    OpcUa,
}

impl Framing {
    /// Length of the PDU that begins here; none while too few octets are there to tell.
    pub fn length(self, octets: &[u8]) -> Option<usize> {
        let two = |at: usize| Some([*octets.get(at)?, *octets.get(at + 1)?]);
        let length = match self {
            Framing::Mbap => 6 + usize::from(u16::from_be_bytes(two(4)?)),
            Framing::Tpkt => usize::from(u16::from_be_bytes(two(2)?)),
            Framing::Enip => 24 + usize::from(u16::from_le_bytes(two(2)?)),
            Framing::Dnp3 => {
                let user = usize::from(*octets.get(2)?).saturating_sub(5);
                10 + user + user.div_ceil(16) * 2
            }
            Framing::Apci => 2 + usize::from(*octets.get(1)?),
            Framing::OpcUa => {
                let (low, high) = (two(4)?, two(6)?);
                u32::from_le_bytes([low[0], low[1], high[0], high[1]]) as usize
            }
        };
        // A length that cannot be would hold up the stream for ever: the octets so far are one PDU then.
        Some(if length < 2 { octets.len() } else { length })
    }

    /// Takes the first whole PDU out of a buffer.
    pub fn take(self, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        let length = self.length(buffer)?;
        (length <= buffer.len()).then(|| buffer.drain(..length).collect())
    }

    /// A plausible answer to a request: its own header, marked as an answer where that is one octet.
    pub fn answer(self, request: &[u8]) -> Vec<u8> {
        let mut answer = request.to_vec();
        let mut set = |at: usize, value: u8| {
            if let Some(octet) = answer.get_mut(at) {
                *octet = value;
            }
        };
        match self {
            Framing::Mbap => return modbus(request),
            // Connection request to confirm; S7 job to acknowledgement with data.
            Framing::Tpkt if request.get(5) == Some(&0xE0) => set(5, 0xD0),
            Framing::Tpkt if request.get(7) == Some(&0x32) && request.get(8) == Some(&1) => set(8, 3),
            // STARTDT act to con, TESTFR act to con.
            Framing::Apci if request.len() == 6 && request.get(2).is_some_and(|c| c & 3 == 3) => {
                set(2, if request[2] == 0x07 { 0x0B } else { 0x83 });
            }
            _ => {}
        }
        answer
    }
}

/// What a Modbus controller says: registers that hold 7, and a write's own header again.
fn modbus(request: &[u8]) -> Vec<u8> {
    let Some(function) = request.get(7) else { return request.to_vec() };
    let mut answer = request[..8].to_vec();
    match function {
        1..=4 => {
            let n = u16::from_be_bytes([request.get(10).copied().unwrap_or(0), request.get(11).copied().unwrap_or(1)]);
            let octets = if *function < 3 { n.div_ceil(8) } else { n.saturating_mul(2) }.min(250);
            answer.push(octets as u8);
            answer.extend((0..octets).map(|i| (i & 1) as u8 * 7));
        }
        _ => answer.extend(request.iter().skip(8).take(4)),
    }
    let length = (answer.len() - 6) as u16;
    answer[4..6].copy_from_slice(&length.to_be_bytes());
    answer
}
