//! The loaded programs: floors, feeder, and the program under test.
#![allow(unsafe_code, reason = "map types of the bench are declared plain old data for aya")]

use std::path::Path;

use crate::workload;
use anyhow::{Context, Result};
use aya::maps::{Array, MapData, PerCpuArray, PerCpuValues, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, Pod};
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::kernel::{Kernel, Options};
use ot_xdp_common::bench::{FEED_BYTES, FEED_PACKETS, FeedControl, FeedPacket};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Raw<T: Copy>(T);
// SAFETY: used for `repr(C)` types of integers without padding only.
unsafe impl<T: Copy + 'static> Pod for Raw<T> {}

/// The floors, in the order of the table.
pub const FLOORS: [&str; 3] = ["floor_pass", "floor_parse", "floor_count"];
/// Programs compared: the floors and ours.
pub const PROGRAMS: usize = FLOORS.len() + 1;

/// Everything loaded for one run.
pub struct Rig {
    bench: Ebpf,
    target: ProgramArray<MapData>,
    /// The sensor's program.
    pub ours: Kernel,
}

impl Rig {
    /// Loads the bench object and the sensor's, or the gate's.
    pub fn load(object: &Path, gate: bool) -> Result<Rig> {
        let mut bench = Ebpf::load_file(object).with_context(|| format!("cannot load {}", object.display()))?;
        for name in FLOORS.iter().chain(&["feed", "generate", "sink"]) {
            xdp(&mut bench, name)?.load().with_context(|| format!("{name} does not load"))?;
        }
        let target = ProgramArray::try_from(bench.take_map("TARGET").context("no map TARGET")?)?;
        let ours = Kernel::load(&Options { flows: 262_144, replay: false, bindings: BindingTable::default(), gate })?;
        Ok(Rig { bench, target, ours })
    }

    /// A program by its column: the floors, then ours.
    pub fn fd(&mut self, column: usize) -> Result<ProgramFd> {
        match FLOORS.get(column) {
            Some(name) => Ok(xdp(&mut self.bench, name)?.fd()?.try_clone()?),
            None => Ok(self.ours.program_fd()?),
        }
    }

    /// Nanoseconds a run of the program in `column`, the same frame each time.
    pub fn repeat(&mut self, column: usize, frame: &[u8], repeat: u32) -> Result<f64> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        let run = match FLOORS.get(column) {
            Some(name) => xdp(&mut self.bench, name)?.test_run(options)?,
            None => self.ours.bench_run(options)?,
        };
        anyhow::ensure!(run.return_value == 2, "the program did not pass the frame");
        Ok(run.duration.as_nanos() as f64)
    }

    /// Puts frames into the feeder.
    pub fn set_feed(&mut self, frames: &[Vec<u8>], conversations: u32) -> Result<()> {
        let mut packets: Array<_, Raw<FeedPacket>> =
            self.bench.map_mut("PACKETS").context("no map PACKETS")?.try_into()?;
        for (i, frame) in frames.iter().take(FEED_PACKETS as usize).enumerate() {
            let tcp = workload::tcp_of(frame);
            let mut p = FeedPacket {
                len: frame.len() as u32,
                seq_at: tcp.map_or(0, |t| t.seq_at),
                payload: tcp.map_or(0, |t| t.payload),
                first_seq: tcp.map_or(0, |t| t.seq),
                reserved: 0,
                bytes: [0; FEED_BYTES],
            };
            p.bytes[..frame.len()].copy_from_slice(frame);
            packets.set(i as u32, Raw(p), 0)?;
        }
        let packets = frames.len() as u32;
        self.control(FeedControl { packets, conversations, ..FeedControl::default() })
    }

    /// Sets the state of feeder and generator on every CPU.
    pub fn control(&mut self, state: FeedControl) -> Result<()> {
        let mut control: PerCpuArray<_, Raw<FeedControl>> =
            self.bench.map_mut("CONTROL").context("no map CONTROL")?.try_into()?;
        let cpus = aya::util::nr_cpus().map_err(|(_, e)| e)?;
        control.set(0, PerCpuValues::try_from(vec![Raw(state); cpus])?, 0)?;
        Ok(())
    }

    /// Nanoseconds a frame of the program in `column` behind the feeder; the feeder's own cost is in it.
    pub fn feed(&mut self, column: usize, repeat: u32) -> Result<f64> {
        let fd = self.fd(column)?;
        self.target.set(0, &fd, 0)?;
        let mut options = TestRunOptions::new();
        let room = [0u8; FEED_BYTES];
        options.data_in = Some(&room);
        options.repeat = repeat;
        let run = xdp(&mut self.bench, "feed")?.test_run(options)?;
        anyhow::ensure!(run.return_value == 2, "the feeder failed ({})", run.return_value);
        Ok(run.duration.as_nanos() as f64)
    }

    /// Attaches the program in `column` natively; returns what keeps it attached until dropped.
    pub fn attach(&mut self, column: usize, ifindex: u32) -> Result<Attached> {
        match FLOORS.get(column) {
            Some(name) => {
                let program = xdp(&mut self.bench, name)?;
                let id = program.attach_to_if_index(ifindex, aya::programs::XdpMode::Driver)?;
                Ok(Attached { link: Some(program.take_link(id)?) })
            }
            None => {
                self.ours.attach(ifindex, "bench", ot_xdp::source::kernel::AttachMode::Native)?;
                Ok(Attached { link: None })
            }
        }
    }

    /// Lets an interface take out every frame, until dropped.
    pub fn sink(&mut self, ifindex: u32) -> Result<Attached> {
        let program = xdp(&mut self.bench, "sink")?;
        let id = program.attach_to_if_index(ifindex, aya::programs::XdpMode::Driver)?;
        Ok(Attached { link: Some(program.take_link(id)?) })
    }

    /// Takes ours off again.
    pub fn detach(&mut self, attached: Attached) {
        drop(attached.link);
        self.ours.detach_all();
    }

    /// Sends `count` live frames out of `ifindex`, a whole number for each conversation; returns the seconds that it took.
    /// `next` is the number of the first one and afterwards that of the next: the program that sees them is to see
    /// connections that go on, and not repetitions.
    pub fn generate(
        &mut self,
        frame: &[u8],
        ifindex: u32,
        count: u32,
        conversations: u32,
        next: &mut u32,
    ) -> Result<f64> {
        let payload = workload::tcp_of(frame).map_or(0, |t| u32::from(t.payload));
        self.control(FeedControl { next: *next, packets: 1, conversations, ifindex, payload, reserved: 0 })?;
        *next = next.wrapping_add(count);
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = count;
        options.attrs = aya::programs::TestRunAttrs::new().xdp_live_frames(64);
        let begin = std::time::Instant::now();
        xdp(&mut self.bench, "generate")?.test_run(options)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// What keeps a floor attached.
pub struct Attached {
    link: Option<aya::programs::xdp::XdpLink>,
}

fn xdp<'a>(bpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(bpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}
