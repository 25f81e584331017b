//! Files that are cut, corrupt or forged.

use super::*;

/// A small generator of numbers (xorshift), the same at every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

#[test]
fn a_file_cut_at_every_octet_gives_all_whole_frames() {
    for (file, ends) in [pcap(6), pcapng(Order::Little, 6), pcapng(Order::Big, 6)] {
        let whole = read(&file);
        for cut in 0..=file.len() {
            let (frames, fault) = read_to_fault(&file[..cut]);
            let expected = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(frames, whole[..expected], "cut at {cut}");
            match fault {
                None => assert!(cut == file.len() || read(&file[..cut]).len() == expected),
                Some(CaptureError::Truncated { offset, start, missing, .. }) => {
                    assert_eq!(offset, cut as u64);
                    assert!(start <= offset && missing > 0);
                    assert!(cut as u64 + missing <= file.len() as u64);
                }
                Some(CaptureError::Empty { .. }) => assert_eq!(cut, 0),
                Some(CaptureError::NotACapture { .. }) => assert!(cut < 4),
                Some(other) => panic!("cut at {cut}: {other}"),
            }
        }
        // At the end of a record there is no fault, one octet before it there is.
        for end in ends {
            assert!(read_to_fault(&file[..end]).1.is_none());
            assert!(read_to_fault(&file[..end - 1]).1.is_some());
        }
    }
}

/// The text of the fault of `file` with `octets` put at `at`, and the frames read before it.
fn fault(file: &[u8], at: usize, octets: &[u8]) -> (usize, String) {
    let mut file = file.to_vec();
    file[at..at + octets.len()].copy_from_slice(octets);
    let (frames, fault) = read_to_fault(&file);
    (frames.len(), fault.expect("fault").to_string())
}

#[test]
fn faults_name_file_octet_and_expectation() {
    let end = "; the frames before it were read, the rest of the file is not usable";
    let (file, ends) = pcap(3);
    let forged = 0x7FFF_FFFF_u32.to_le_bytes();
    assert_eq!(
        fault(&file, ends[1] + 8, &forged),
        (
            2,
            format!(
                "test.pcap: octet {}: expected a captured length of at most 262144 octets, found 2147483647{end}",
                ends[1] + 8
            )
        )
    );
    assert_eq!(fault(&file, 4, &[9]), (0, format!("test.pcap: octet 4: expected version 2 of pcap, found 9{end}")));
    assert_eq!(
        fault(&file, ends[1] + 8, &[200]),
        (
            2,
            format!(
                "test.pcap: octet {}: the file ends inside the record that starts at octet {}, expected 164 more octets; \
                 the frames before it were read; copy the file again if it should be whole",
                file.len(),
                ends[1]
            )
        )
    );
    let (count, text) = fault(&file, 0, b"\x7FELF");
    assert_eq!(count, 0);
    assert!(
        text.starts_with("test.pcap: octet 0: expected the magic number of pcap or pcapng, found 7f454c46; if it is")
    );
    let error = open(&[]).map(|_| ()).expect_err("empty");
    assert!(error.to_string().starts_with("test.pcap: octet 0: is empty"), "{error}");
}

#[test]
fn pcapng_faults_name_the_octet() {
    let order = Order::Little;
    let (file, ends) = pcapng(order, 3);
    let interface_at = section(order).len();
    let packet = interface_at + interface(order, 1, 0, &[(2, b"eth0"), (9, &[9]), (0, &[])]).len();
    let at = |at: usize, expected: &str, found: &str| {
        format!(
            "test.pcap: octet {at}: expected {expected}, found {found}; the frames before it were read, the rest of the \
             file is not usable"
        )
    };
    for (offset, octets, place, expected, found) in [
        (4, &[30][..], 4, "a block length of at least 12 and a multiple of 4", "30"),
        (4, &[24], 4, "a section header block of at least 28 octets", "24"),
        (8, &[0], 8, "the byte-order magic 1a2b3c4d", "003c2b1a"),
        (12, &[3], 12, "version 1 of pcapng", "3"),
        (interface_at + 4, &[16], interface_at + 4, "an interface description block of at least 20 octets", "16"),
        (interface_at + 18, &[200], interface_at + 18, "an option of at most 16 octets", "200"),
        (packet + 4, &[8], packet + 4, "a block length of at least 12 and a multiple of 4", "8"),
        (packet + 4, &[28], packet + 4, "a packet block of at least 32 octets", "28"),
        (packet + 8, &[1], packet + 8, "one of the 1 interfaces described so far", "interface 1"),
        (packet + 20, &[0, 0, 5, 0], packet + 20, "a captured length of at most 262144 octets", "327680"),
        (packet + 20, &[200], packet + 20, "a frame that fits in 48 octets of its block", "200"),
        (ends[0] - 4, &[0], ends[0] - 4, "the block length 80 again", "0"),
    ] {
        assert_eq!(fault(&file, offset, octets), (0, at(place, expected, found)));
    }
    let (count, text) = fault(&file, ends[1] + 7, &[0x7F]);
    assert_eq!(count, 2);
    assert!(
        text.contains(&format!("ends inside the block that starts at octet {}, expected 21307", ends[1])),
        "{text}"
    );
}

#[test]
fn a_simple_packet_needs_an_interface_and_room() {
    let order = Order::Big;
    let simple = Octets::new(order).block(3, &Octets::new(order).u32(34).raw(&frame(0)).pad().all).all;
    let (_, fault) = read_to_fault(&[section(order), simple].concat());
    assert!(fault.expect("fault").to_string().contains("an interface description before the packet"));
    let simple = Octets::new(order).block(3, &Octets::new(order).u32(60).raw(&frame(0)).pad().all).all;
    let (_, fault) = read_to_fault(&[section(order), interface(order, 1, 0, &[]), simple].concat());
    assert!(fault.expect("fault").to_string().contains("a frame that fits in 36 octets"));
}

#[test]
fn interfaces_of_a_section_are_bounded() {
    let order = Order::Little;
    let mut file = section(order);
    for _ in 0..70_000 {
        file.extend(interface(order, 1, 0, &[]));
    }
    let (_, fault) = read_to_fault(&file);
    assert!(fault.expect("fault").to_string().contains("at most 65536 interfaces"));
}

#[test]
fn a_million_mutated_octets() {
    let mut random = Random(0x5EED);
    let mut mutated = 0;
    let mut link_types = pcap(8).0;
    link_types[20] = 113;
    let files = [(pcap(8).0, 1), (link_types, 113), (pcapng(Order::Little, 8).0, 1), (pcapng(Order::Big, 8).0, 1)];
    while mutated < 1_000_000 {
        for (file, link) in &files {
            let mut broken = file.clone();
            let mut first = broken.len();
            for _ in 0..random.below(20) + 1 {
                let at = random.below(broken.len());
                // Mostly small changes and extreme values: those come deepest.
                broken[at] = match random.below(4) {
                    0 => broken[at].wrapping_add(1),
                    1 => [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
                    _ => random.below(256) as u8,
                };
                first = first.min(at);
                mutated += 1;
            }
            let (frames, fault) = read_to_fault(&broken);
            assert!(frames.iter().all(|captured| captured.data.len() <= broken.len() + 14));
            assert!(frames.iter().all(|captured| captured.orig_len as usize >= captured.data.len()));
            if let Some(CaptureError::Truncated { offset, .. } | CaptureError::Corrupt { offset, .. }) = fault {
                assert!(offset <= broken.len() as u64);
            }
            if *link == 1 {
                // Frames that lie before the first change are as they were.
                let intact = read_to_fault(&file[..first]).0;
                assert!(frames.starts_with(&intact));
            }
        }
    }
}

#[test]
fn files_that_cannot_be_opened() {
    let missing = Capture::open(&repository().join("no-such-capture.pcap")).map(|_| ()).expect_err("missing");
    assert!(missing.to_string().contains("cannot be opened"), "{missing}");
    let folder = Capture::open(&repository()).map(|_| ()).expect_err("folder");
    assert!(folder.to_string().contains("name the capture files in it"), "{folder}");
}
