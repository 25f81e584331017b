//! Captures packed with gzip and zstd, whole and damaged.

use std::io::{Read, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(octets: &[u8]) -> Vec<u8> {
    compress_to_vec(octets, CompressionLevel::Fastest)
}

fn skippable(octets: &[u8]) -> Vec<u8> {
    Octets::new(Order::Little).u32(0x184D_2A53).u32(octets.len() as u32).raw(octets).all
}

/// Frames that do not compress well, so that the packed file has several blocks.
fn large(count: u32) -> Vec<u8> {
    let mut file = pcap_header(Order::Little, 0xA1B2_C3D4, 1);
    let mut state = 1_u32;
    for i in 0..count {
        let data: Vec<u8> = (0..1000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 29) as u8
            })
            .collect();
        file.extend(pcap_record(Order::Little, (i, 0), 1000, &data));
    }
    file
}

#[test]
fn gzip_and_zstd_are_told_by_content() {
    for file in [pcap(5).0, pcapng(Order::Big, 5).0, large(1500)] {
        let plain = read(&file);
        let (front, back) = file.split_at(file.len() / 3);
        assert_eq!(read(&gzip(&file)), plain);
        assert_eq!(read(&zstd(&file)), plain);
        // Several members or frames, also skippable ones, make one capture.
        assert_eq!(read(&[gzip(front), gzip(back)].concat()), plain);
        let parts = [skippable(b"index"), zstd(front), skippable(&[]), zstd(back), skippable(&[0; 100_000])];
        assert_eq!(read(&parts.concat()), plain);
    }
}

#[test]
fn a_gzip_header_with_every_field() {
    let (file, _) = pcap(3);
    let builder = GzBuilder::new().extra(vec![1; 300]).filename("a.pcap").comment("a comment").mtime(1);
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(&file).expect("memory");
    let mut packed = encoder.finish().expect("memory");
    assert_eq!(read(&packed).len(), 3);
    // A reserved flag may change the layout, so it is refused.
    packed[3] |= 0x80;
    assert!(matches!(open(&packed), Err(CaptureError::Read { offset: 0, .. })));
}

#[test]
fn a_packed_file_cut_anywhere_gives_a_prefix_and_a_fault() {
    let (file, _) = pcap(12);
    let plain = read(&file);
    for packed in [gzip(&file), zstd(&file)] {
        for cut in 1..packed.len() {
            let (frames, fault) = read_to_fault(&packed[..cut]);
            assert!(fault.is_some(), "no fault for the first {cut} octets");
            assert!(plain.starts_with(&frames));
        }
    }
}

#[test]
fn what_was_unpacked_before_the_fault_is_delivered() {
    let file = large(3000);
    let plain = read(&file);
    for (kind, packed, block) in [("gzip", gzip(&file), 70_000), ("zstd", zstd(&file), 140_000)] {
        // Cut: all whole blocks of the compressed data count.
        for part in [2, 3, 5] {
            let cut = packed.len() * (part - 1) / part;
            let (frames, fault) = read_to_fault(&packed[..cut]);
            let least = (file.len() * (part - 1) / part).saturating_sub(2 * block) / 1016;
            assert!(frames.len() >= least, "{kind}: {} frames of at least {least}", frames.len());
            assert!(plain.starts_with(&frames));
            let Some(CaptureError::Read { offset, source, .. }) = fault else { panic!("{fault:?}") };
            assert!(offset >= frames.len() as u64 * 1016 + 24);
            assert!(source.to_string().contains("is cut"), "{source}");
        }
        // A wrong checksum shows only at the end.
        let mut broken = packed.clone();
        let at = broken.len() - if kind == "gzip" { 8 } else { 1 };
        broken[at] ^= 1;
        let (frames, fault) = read_to_fault(&broken);
        assert_eq!(frames.len(), 3000, "{kind}");
        let fault = fault.expect("fault").to_string();
        assert!(fault.contains(&format!("octet {}: ", file.len())) && fault.contains("checksum"), "{fault}");
    }
}

#[test]
fn a_zstd_window_that_is_too_large_is_refused_with_advice() {
    // No checksum, window of 2^41 octets, then an empty last block.
    let Err(error) = open(&[0x28, 0xB5, 0x2F, 0xFD, 0, 31 << 3, 1, 0, 0]) else { panic!("opened") };
    assert!(error.to_string().contains("unpack the file first with `zstd -d --long=31`"), "{error}");
}

#[test]
fn octets_after_the_last_member_are_a_fault_behind_all_frames() {
    let (file, _) = pcap(3);
    for packed in [gzip(&file), zstd(&file)] {
        let (frames, fault) = read_to_fault(&[&packed[..], b"and some more text"].concat());
        assert_eq!(frames.len(), 3);
        assert!(matches!(fault, Some(CaptureError::Read { offset, .. }) if offset == file.len() as u64), "{fault:?}");
    }
}

#[test]
fn other_compressions_get_a_command() {
    for (octets, command) in [
        (&b"\xFD7zXZ\0\0\0"[..], "`xz -dc test.pcap | ot-xdp replay -`"),
        (b"BZh91AY&", "`bzip2 -dc test.pcap | ot-xdp replay -`"),
    ] {
        let Err(error) = open(octets) else { panic!("opened") };
        assert!(error.to_string().contains(command), "{error}");
    }
}

#[test]
fn a_reader_that_gives_single_octets_and_is_interrupted() {
    struct Slow(Cursor<Vec<u8>>, bool);
    impl Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let one = out.len().min(1);
            self.0.read(&mut out[..one])
        }
    }
    let (file, _) = pcap(4);
    for octets in [file.clone(), gzip(&file), zstd(&file)] {
        let capture = Capture::from_reader("slow", Slow(Cursor::new(octets), false)).expect("header");
        assert_eq!(capture.map(|item| item.expect("frame").data).collect::<Vec<_>>(), [0, 1, 2, 3].map(frame));
    }
}

#[test]
fn a_failing_reader_is_told_with_its_reason() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                count => Ok(count),
            }
        }
    }
    let (file, ends) = pcap(4);
    for octets in [&file[..], &file[..ends[3] - 5], &gzip(&file), &zstd(&file)] {
        let mut capture = Capture::from_reader("failing", Failing(Cursor::new(octets.to_vec()))).expect("header");
        let frames = capture.by_ref().take_while(Result::is_ok).count();
        assert!(frames >= 3);
        assert!(capture.next().is_none());
    }
    let Err(error) = Capture::from_reader("failing", Failing(Cursor::new(Vec::new()))) else { panic!("opened") };
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

#[test]
fn damaged_packed_files_never_panic() {
    let small = pcapng(Order::Little, 20).0;
    let large = large(20);
    let mut random = faults::Random(7);
    for (file, rounds) in [(&small, 3000), (&large, 300)] {
        for packed in [gzip(file), zstd(file)] {
            for _ in 0..rounds {
                let mut broken = packed.clone();
                for _ in 0..random.below(6) + 1 {
                    let at = random.below(broken.len());
                    broken[at] = random.below(256) as u8;
                }
                let (frames, _) = read_to_fault(&broken);
                assert!(frames.len() <= 4000);
            }
        }
    }
}
