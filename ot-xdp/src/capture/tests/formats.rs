//! Both formats as they should be: magic numbers, byte orders, sections, interfaces, times, block kinds.

use super::*;

const ORDERS: [Order; 2] = [Order::Big, Order::Little];

#[test]
fn every_pcap_magic_in_both_byte_orders() {
    for order in ORDERS {
        for (magic, extra, at_ns) in [
            (0xA1B2_C3D4, 0, 1_700_000_000_000_123_000),
            (0xA1B2_3C4D, 0, 1_700_000_000_000_000_123),
            (0xA1B2_CD34, 8, 1_700_000_000_000_123_000),
        ] {
            let mut file = pcap_header(order, magic, 1);
            for i in 0..3 {
                let header = pcap_record(order, (1_700_000_000, 123), 1000, &frame(i));
                file.extend(&header[..16]);
                file.extend([0xEE; 8].iter().take(extra));
                file.extend(&header[16..]);
            }
            let frames = read(&file);
            assert_eq!(data(&frames), [frame(0), frame(1), frame(2)], "{order:?} {magic:x}");
            for (number, captured) in (1..).zip(&frames) {
                assert_eq!((captured.number, captured.at_ns), (number, at_ns));
                assert_eq!((captured.orig_len, captured.rebuilt), (1000, false));
            }
        }
    }
}

#[test]
fn pcap_seconds_are_unsigned() {
    let mut file = pcap_header(Order::Little, 0xA1B2_C3D4, 1);
    file.extend(pcap_record(Order::Little, (u32::MAX, 999_999), 34, &frame(0)));
    assert_eq!(read(&file)[0].at_ns, 4_294_967_295_999_999_000);
}

#[test]
fn a_link_type_field_with_a_check_sequence_length() {
    let mut file = pcap_header(Order::Little, 0xA1B2_C3D4, 0x4400_0001);
    file.extend(pcap_record(Order::Little, (0, 0), 34, &frame(0)));
    assert_eq!(data(&read(&file)), [frame(0)]);
}

#[test]
fn a_file_of_a_header_alone_has_no_frame_and_no_fault() {
    assert!(read(&pcap(0).0).is_empty());
    assert!(read(&pcapng(Order::Big, 0).0).is_empty());
}

#[test]
fn short_frames_and_frames_without_a_length_on_the_wire() {
    let mut file = pcap_header(Order::Big, 0xA1B2_C3D4, 1);
    file.extend(pcap_record(Order::Big, (0, 0), 0, &[1, 2, 3]));
    file.extend(pcap_record(Order::Big, (0, 0), 60, &[]));
    let frames = read(&file);
    assert_eq!(data(&frames), [vec![1, 2, 3], vec![]]);
    assert_eq!((frames[0].orig_len, frames[1].orig_len), (3, 60));
}

#[test]
fn pcapng_in_both_byte_orders() {
    for order in ORDERS {
        let frames = read(&pcapng(order, 5).0);
        assert_eq!(data(&frames), (0..5).map(frame).collect::<Vec<_>>());
        assert_eq!(frames[4].at_ns, 1_700_000_000_000_000_004);
        assert_eq!(frames[4].number, 5);
    }
}

/// Time of one packet at `time` units, with these options of its interface.
fn time(options: &[(u16, &[u8])], time: u64) -> i64 {
    let order = Order::Little;
    let file = [section(order), interface(order, 1, 0, options), enhanced(order, 0, time, 34, &frame(0))].concat();
    read(&file)[0].at_ns
}

#[test]
fn pcapng_units_of_time() {
    assert_eq!(time(&[], 5), 5_000);
    assert_eq!(time(&[(9, &[0])], 5), 5_000_000_000);
    assert_eq!(time(&[(9, &[3])], 5), 5_000_000);
    assert_eq!(time(&[(9, &[9])], 5), 5);
    assert_eq!(time(&[(9, &[12])], 5_999), 5);
    assert_eq!(time(&[(9, &[127])], u64::MAX), 0);
    assert_eq!(time(&[(9, &[0x80])], 5), 5_000_000_000);
    assert_eq!(time(&[(9, &[0x8A])], 1024 + 512), 1_500_000_000);
    assert_eq!(time(&[(9, &[0xFF])], u64::MAX), 0);
    assert_eq!(time(&[(9, &[0])], u64::MAX), i64::MAX);
    assert_eq!(time(&[(9, &[0x80 + 30])], 3 << 29), 1_500_000_000);
}

#[test]
fn pcapng_offset_of_time() {
    assert_eq!(time(&[(9, &[9]), (14, &100_i64.to_le_bytes())], 5), 100_000_000_005);
    assert_eq!(time(&[(14, &(-1_i64).to_le_bytes()), (9, &[9])], 5), -999_999_995);
    assert_eq!(time(&[(14, &i64::MIN.to_le_bytes())], 5), i64::MIN);
    // Behind the end mark nothing counts, and an option of the wrong length is none.
    assert_eq!(time(&[(0, &[]), (9, &[9])], 5), 5_000);
    assert_eq!(time(&[(9, &[9, 9])], 5), 5_000);
}

#[test]
fn interfaces_of_different_link_type_and_unit() {
    let order = Order::Big;
    let ip = [0x45, 0, 0, 20, 9, 9, 9, 9];
    let file = [
        section(order),
        interface(order, 1, 0, &[]),
        interface(order, 101, 0, &[(9, &[9])]),
        enhanced(order, 1, 7, 8, &ip),
        enhanced(order, 0, 7, 34, &frame(0)),
    ];
    let frames = read(&file.concat());
    assert_eq!((frames[0].at_ns, frames[0].rebuilt, frames[0].orig_len), (7, true, 22));
    assert_eq!(frames[0].data[14..], ip);
    assert_eq!((frames[1].at_ns, frames[1].rebuilt), (7_000, false));
}

#[test]
fn a_second_section_of_other_byte_order_forgets_the_interfaces() {
    let first = pcapng(Order::Big, 2).0;
    let second = pcapng(Order::Little, 2).0;
    let frames = read(&[&first[..], &second[..]].concat());
    assert_eq!(data(&frames), [frame(0), frame(1), frame(0), frame(1)]);
    assert_eq!(frames[3].number, 4);

    let orphan = enhanced(Order::Little, 0, 0, 34, &frame(0));
    let (frames, fault) = read_to_fault(&[first, section(Order::Little), orphan].concat());
    assert_eq!(frames.len(), 2);
    let fault = fault.expect("fault").to_string();
    assert!(fault.contains("one of the 0 interfaces described so far, found interface 0"), "{fault}");
}

#[test]
fn simple_and_obsolete_packets() {
    for order in ORDERS {
        let (long, short) = (frame(3), frame(0));
        let simple = |orig_len, data: &[u8]| {
            let body = Octets::new(order).u32(orig_len).raw(data).pad().all;
            Octets::new(order).block(3, &body).all
        };
        let old = Octets::new(order).u16(0).u16(7).u32(0).u32(9).u32(34).u32(99).raw(&short).pad().option(0, &[]).all;
        let file = [
            section(order),
            interface(order, 1, 36, &[]),
            simple(34, &short),
            Octets::new(order).block(2, &old).all,
            simple(37, &long[..36]),
        ];
        let frames = read(&file.concat());
        assert_eq!(data(&frames), [short.clone(), short, long[..36].to_vec()]);
        assert_eq!(frames.iter().map(|captured| captured.at_ns).collect::<Vec<_>>(), [0, 9_000, 9_000]);
        assert_eq!(frames.iter().map(|captured| captured.orig_len).collect::<Vec<_>>(), [34, 99, 37]);
    }
}

#[test]
fn large_unknown_blocks_are_passed_over() {
    let (file, _) = pcapng(Order::Little, 1);
    let unknown = Octets::new(Order::Little).block(0x8000_0001, &vec![0xEE; 3_000_000]).all;
    let file = [&file[..], &unknown, &enhanced(Order::Little, 0, 0, 34, &frame(0))].concat();
    assert_eq!(read(&file).len(), 2);
}

/// Nine frames of a libmodbus client and server, recorded in the lab: handshake, two reads with their answers.
#[test]
fn the_repository_holds_one_capture_in_four_forms() {
    let folder = repository().join("tests/data/captures");
    let all = ["modbus.pcap", "modbus.pcapng", "modbus.pcap.gz", "modbus.pcapng.zst"].map(|name| {
        let mut capture = Capture::open(&folder.join(name)).expect(name);
        assert!(capture.size() > 0);
        let frames = capture.by_ref().collect::<Result<Vec<_>, _>>().expect(name);
        assert_eq!(capture.position(), capture.size(), "{name}");
        frames
    });
    assert_eq!(all[0].len(), 9);
    assert_eq!(all[0][3].data[66..], [0, 1, 0, 0, 0, 6, 1, 1, 0, 0, 0, 8]);
    assert!(all.iter().all(|frames| *frames == all[0]));
}
