//! Frames of every link type that can be rebuilt, and those that cannot.

use super::*;

const FROM: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TO: [u8; 6] = [2, 0, 0, 0, 0, 2];
const SENDER: [u8; 6] = [0x00, 0x1B, 0x1B, 1, 2, 3];
const V4: [u8; 5] = [0x45, 0, 0, 20, 1];
const V6: [u8; 5] = [0x60, 0, 0, 0, 1];

fn file(link: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut file = pcap_header(Order::Little, 0xA1B2_C3D4, link);
    for data in frames {
        file.extend(pcap_record(Order::Little, (0, 0), data.len() as u32 + 100, data));
    }
    file
}

/// The frame rebuilt from the only record; `None` if it is left out.
fn rebuilt(link: u32, data: &[u8]) -> Option<Captured> {
    let mut capture = open(&file(link, &[data])).expect("header");
    let item = capture.next().map(|item| item.expect("no error"));
    assert_eq!(capture.skipped(), u64::from(item.is_none()));
    assert!(item.as_ref().is_none_or(|captured| captured.rebuilt));
    item
}

fn ethernet(source: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&TO[..], &source, &ethertype.to_be_bytes(), payload].concat()
}

fn cooked(hardware: u16, address_len: u16, address: [u8; 8], protocol: u16, payload: &[u8]) -> Vec<u8> {
    let octets = Octets::new(Order::Big).u16(0).u16(hardware).u16(address_len).raw(&address).u16(protocol);
    octets.raw(payload).all
}

fn cooked2(hardware: u16, address_len: u8, address: [u8; 8], protocol: u16, payload: &[u8]) -> Vec<u8> {
    let octets = Octets::new(Order::Big).u16(protocol).u16(0).u32(3).u16(hardware).raw(&[4, address_len]);
    octets.raw(&address).raw(payload).all
}

#[test]
fn raw_ip() {
    for link in [12, 14, 101] {
        assert_eq!(rebuilt(link, &V4).expect("v4").data, ethernet(FROM, 0x0800, &V4));
        assert_eq!(rebuilt(link, &V6).expect("v6").data, ethernet(FROM, 0x86DD, &V6));
        assert!(rebuilt(link, &[0x55, 0, 0]).is_none());
        assert!(rebuilt(link, &[]).is_none());
    }
    assert_eq!(rebuilt(228, &V4).expect("v4").data, ethernet(FROM, 0x0800, &V4));
    assert_eq!(rebuilt(229, &V6).expect("v6").data, ethernet(FROM, 0x86DD, &V6));
}

#[test]
fn bsd_loopback_in_either_byte_order() {
    for link in [0, 108] {
        for (family, ethertype, packet) in
            [(2_u32, 0x0800, V4), (10, 0x86DD, V6), (24, 0x86DD, V6), (28, 0x86DD, V6), (30, 0x86DD, V6)]
        {
            for family in [family.to_be_bytes(), family.to_le_bytes()] {
                let captured = rebuilt(link, &[&family[..], &packet].concat()).expect("IP");
                assert_eq!(captured.data, ethernet(FROM, ethertype, &packet));
                // 4 octets of family are gone and 14 of Ethernet are new; 100 octets were not captured.
                assert_eq!(captured.orig_len, 100 + 14 + 5);
            }
        }
        assert!(rebuilt(link, &[7, 0, 0, 0, 1]).is_none());
        assert!(rebuilt(link, &[2, 0, 0]).is_none());
    }
}

#[test]
fn linux_cooked() {
    let address = [0x00, 0x1B, 0x1B, 1, 2, 3, 0xEE, 0xEE];
    for (link, header, make) in [
        (113, 16, Box::new(cooked) as Box<dyn Fn(u16, u16, [u8; 8], u16, &[u8]) -> Vec<u8>>),
        (276, 20, Box::new(|h, l, a, p, d: &[u8]| cooked2(h, l as u8, a, p, d))),
    ] {
        let of = |data: &[u8]| rebuilt(link, data).map(|captured| captured.data.to_vec());
        assert_eq!(of(&make(1, 6, address, 0x0800, &V4)), Some(ethernet(SENDER, 0x0800, &V4)));
        assert_eq!(of(&make(1, 6, address, 0x88B8, &[1, 2])), Some(ethernet(SENDER, 0x88B8, &[1, 2])));
        // Loopback and tunnel devices hold no sender.
        assert_eq!(of(&make(772, 6, [0; 8], 0x86DD, &V6)), Some(ethernet(FROM, 0x86DD, &V6)));
        assert_eq!(of(&make(65_534, 0, address, 0x0800, &V4)), Some(ethernet(FROM, 0x0800, &V4)));
        // A VLAN tag: identifier 5, then IPv4.
        let tagged = [&[0, 5, 8, 0][..], &V4].concat();
        assert_eq!(of(&make(1, 6, address, 0x8100, &tagged)), Some(ethernet(SENDER, 0x8100, &tagged)));
        // 802.2 LLC: the length field is made up.
        assert_eq!(of(&make(1, 6, address, 4, &[0x42, 0x42, 3])), Some(ethernet(SENDER, 3, &[0x42, 0x42, 3])));
        assert!(of(&make(1, 6, address, 4, &[0; 1501])).is_none());
        // CAN, netlink, and a header that is cut.
        assert!(of(&make(280, 0, address, 0x000C, &V4)).is_none());
        assert!(of(&make(824, 0, address, 0x0800, &V4)).is_none());
        let whole = make(1, 6, address, 0x0800, &V4);
        assert!(of(&whole[..header - 1]).is_none());
        assert_eq!(of(&whole[..header]), Some(ethernet(SENDER, 0x0800, &[])));
        assert_eq!(rebuilt(link, &whole).expect("frame").orig_len, 100 + 14 + 5);
    }
}

#[test]
fn an_unsupported_link_type_is_told_once_and_counted() {
    let mut capture = open(&file(105, &[&V4, &V4, &V4])).expect("header");
    let error = capture.next().expect("item").expect_err("error");
    assert!(!error.ends_file());
    assert!(error.to_string().starts_with("test.pcap: octet 24: interface 0 has link type 105,"), "{error}");
    assert!(capture.next().is_none());
    assert_eq!(capture.skipped(), 3);
}

#[test]
fn other_interfaces_go_on_and_numbers_count_what_is_left_out() {
    let order = Order::Little;
    let mut parts = vec![section(order), interface(order, 1, 0, &[]), interface(order, 127, 0, &[])];
    parts.push(interface(order, 189, 0, &[]));
    for of in [1, 0, 1, 2, 0, 2] {
        parts.push(enhanced(order, of, 0, 34, &frame(0)));
    }
    let mut capture = open(&parts.concat()).expect("header");
    let items: Vec<_> = capture.by_ref().map(|item| item.map(|captured| captured.number)).collect();
    assert_eq!(capture.skipped(), 4);
    assert!(matches!(
        items[..],
        [
            Err(CaptureError::LinkType { interface: 1, link_type: 127, .. }),
            Ok(2),
            Err(CaptureError::LinkType { interface: 2, link_type: 189, .. }),
            Ok(5)
        ]
    ));
}
