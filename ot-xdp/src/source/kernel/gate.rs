//! The gate's maps: a policy in, counters and denials out.

use std::os::fd::AsFd;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues};
use aya::{Ebpf, Pod};
use ot_xdp_common::limits::PORTS;
use ot_xdp_common::policy::{
    Control, DENIAL_KEY_SIZE, DENIAL_SIZE, Denial, DenialKey, GateCount, GatePort, Head, Hits, KINDS, NET_KEY, ROWS,
    RULES, Row, Rule,
};

use super::{Kernel, KernelError, Raw, map_error, read};
use crate::sys::batch;

/// A policy in the form of the maps, for one generation.
#[derive(Clone, Debug, Default)]
pub struct GateTables {
    /// Rules by number; number 0 is not used.
    pub rules: Vec<Rule>,
    /// Rows that are not all zero, by their index for generation 0.
    pub rows: Vec<(u32, Row)>,
    /// Sides, refusal, what zones are found by.
    pub head: Head,
    /// Ingress ports.
    pub ports: Vec<GatePort>,
    /// Zones by VLAN id.
    pub vlans: Vec<(u16, u8)>,
    /// Zones by MAC address, in the low 48 bits.
    pub macs: Vec<(u64, u8)>,
    /// Zones by prefix: address as in frames, length in bits of the IPv6 form, zone.
    pub prefixes: Vec<([u32; 4], u8, u8)>,
}

/// The heartbeat's map.
pub struct Beat(Array<MapData, u64>);

impl Beat {
    /// Shows that user space is alive at this monotonic time.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn beat(&mut self, now_ns: u64) -> Result<(), KernelError> {
        self.0.set(0, now_ns, 0).map_err(|e| map_error("BEAT", &e))
    }
}

/// What became of one kind of operation of one conversation at the gate.
pub type DenialRecord = (DenialKey, Denial);

impl Kernel {
    /// The map of the heartbeat, for the thread that beats. Once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn take_beat(&mut self) -> Result<Beat, KernelError> {
        let map = self.ebpf.take_map("BEAT").ok_or(KernelError::Missing("BEAT"))?;
        Ok(Beat(Array::try_from(map).map_err(|e| map_error("BEAT", &e))?))
    }

    /// Writes the mode and the generation in use.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn set_control(&mut self, control: &Control) -> Result<(), KernelError> {
        let mut map: Array<_, Raw<Control>> = array(&mut self.ebpf, "CONTROL")?;
        map.set(0, Raw(*control), 0).map_err(|e| map_error("CONTROL", &e))
    }

    /// Writes a policy into a generation, which must not be in use; what it held before is gone.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses; the generation in use is untouched.
    pub fn write_policy(&mut self, generation: u32, t: &GateTables) -> Result<(), KernelError> {
        let generation = generation & 1;
        let mut rules: Array<_, Raw<Rule>> = array(&mut self.ebpf, "RULES")?;
        for number in 0..RULES {
            let rule = t.rules.get(number as usize).copied().unwrap_or_else(nothing);
            rules.set(generation * RULES + number, Raw(rule), 0).map_err(|e| map_error("RULES", &e))?;
        }
        let mut rows: Array<_, Raw<Row>> = array(&mut self.ebpf, "FIRST_RULES")?;
        let offset = generation * (ROWS / 2);
        let [first, second] = &mut self.rows_in_use;
        let in_use = if generation == 0 { first } else { second };
        for index in in_use.drain(..) {
            rows.set(offset + index, Raw([0; KINDS]), 0).map_err(|e| map_error("FIRST_RULES", &e))?;
        }
        for (index, row) in &t.rows {
            rows.set(offset + index, Raw(*row), 0).map_err(|e| map_error("FIRST_RULES", &e))?;
            in_use.push(*index);
        }
        self.clear_hits(generation)?;
        let mut heads: Array<_, Raw<Head>> = array(&mut self.ebpf, "HEADS")?;
        heads.set(generation, Raw(t.head), 0).map_err(|e| map_error("HEADS", &e))?;
        let mut vlans: Array<_, u32> = array(&mut self.ebpf, "ZONE_VLANS")?;
        let mut zones = vec![0u32; 4096];
        for (vlan, zone) in &t.vlans {
            if let Some(z) = zones.get_mut(*vlan as usize) {
                *z = u32::from(*zone);
            }
        }
        for (vlan, zone) in (0..).zip(zones) {
            vlans.set(generation * 4096 + vlan, zone, 0).map_err(|e| map_error("ZONE_VLANS", &e))?;
        }
        self.write_macs(generation, &t.macs)?;
        self.write_prefixes(generation, &t.prefixes)?;
        self.write_gate_ports(generation, &t.ports)
    }

    /// Writes the ingress ports of a generation, which may be in use: a port that came or went.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn write_gate_ports(&mut self, generation: u32, ports: &[GatePort]) -> Result<(), KernelError> {
        let mut map: Array<_, Raw<GatePort>> = array(&mut self.ebpf, "GATE_PORTS")?;
        for slot in 0..PORTS {
            let port = ports.iter().find(|p| p.ifindex % PORTS == slot).copied().unwrap_or_default();
            map.set((generation & 1) * PORTS + slot, Raw(port), 0).map_err(|e| map_error("GATE_PORTS", &e))?;
        }
        Ok(())
    }

    fn write_macs(&mut self, generation: u32, macs: &[(u64, u8)]) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("ZONE_MACS").ok_or(KernelError::Missing("ZONE_MACS"))?;
        let mut map: HashMap<_, u64, u32> = HashMap::try_from(map).map_err(|e| map_error("ZONE_MACS", &e))?;
        let old: Vec<u64> = map.keys().flatten().filter(|k| k & 0xFFFF == u64::from(generation)).collect();
        for key in old {
            map.remove(&key).map_err(|e| map_error("ZONE_MACS", &e))?;
        }
        for (mac, zone) in macs {
            map.insert(mac << 16 | u64::from(generation), u32::from(*zone), 0)
                .map_err(|e| map_error("ZONE_MACS", &e))?;
        }
        Ok(())
    }

    fn write_prefixes(&mut self, generation: u32, nets: &[([u32; 4], u8, u8)]) -> Result<(), KernelError> {
        type Words = [u32; NET_KEY / 4];
        let map = self.ebpf.map_mut("ZONE_NETS").ok_or(KernelError::Missing("ZONE_NETS"))?;
        let mut map: LpmTrie<_, Words, u32> = LpmTrie::try_from(map).map_err(|e| map_error("ZONE_NETS", &e))?;
        let mine = |k: &Key<Words>| k.data()[0] == generation.to_be();
        let old: Vec<Key<Words>> = map.keys().flatten().filter(mine).collect();
        for key in old {
            map.remove(&key).map_err(|e| map_error("ZONE_NETS", &e))?;
        }
        for (addr, length, zone) in nets {
            let [a, b, c, d] = addr.map(u32::to_be);
            let key = Key::new(32 + u32::from(*length), [generation.to_be(), a, b, c, d]);
            map.insert(&key, u32::from(*zone), 0).map_err(|e| map_error("ZONE_NETS", &e))?;
        }
        Ok(())
    }

    fn clear_hits(&mut self, generation: u32) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("HITS").ok_or(KernelError::Missing("HITS"))?;
        let mut map: PerCpuArray<_, Raw<Hits>> = PerCpuArray::try_from(map).map_err(|e| map_error("HITS", &e))?;
        for number in 0..RULES {
            let zero = PerCpuValues::try_from(vec![Raw(Hits::default()); self.cpus]);
            let zero = zero.map_err(|e| map_error("HITS", &e))?;
            map.set((generation & 1) * RULES + number, zero, 0).map_err(|e| map_error("HITS", &e))?;
        }
        Ok(())
    }

    /// Hits of the rules of a generation, CPUs merged; cumulative.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn rule_hits(&self, generation: u32, rules: u32) -> Result<Vec<Hits>, KernelError> {
        let map = self.ebpf.map("HITS").ok_or(KernelError::Missing("HITS"))?;
        let map: PerCpuArray<_, Raw<Hits>> = PerCpuArray::try_from(map).map_err(|e| map_error("HITS", &e))?;
        let mut all = Vec::new();
        for number in 0..rules.min(RULES) {
            let cpus = map.get(&((generation & 1) * RULES + number), 0).map_err(|e| map_error("HITS", &e))?;
            all.push(cpus.iter().fold(Hits::default(), |mut sum, cpu| {
                sum.frames += cpu.0.frames;
                sum.bytes += cpu.0.bytes;
                sum.refused += cpu.0.refused;
                sum.last_ns = sum.last_ns.max(cpu.0.last_ns);
                sum
            }));
        }
        Ok(all)
    }

    /// What became of frames at the gate, by interface index; cumulative.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn gate_counts(&self, ifindex: u32) -> Result<GateCount, KernelError> {
        let map = self.ebpf.map("GATE_COUNTS").ok_or(KernelError::Missing("GATE_COUNTS"))?;
        let map: PerCpuArray<_, Raw<GateCount>> =
            PerCpuArray::try_from(map).map_err(|e| map_error("GATE_COUNTS", &e))?;
        let cpus = map.get(&(ifindex % PORTS), 0).map_err(|e| map_error("GATE_COUNTS", &e))?;
        Ok(cpus.iter().fold(GateCount::default(), |mut sum, cpu| {
            sum.frames.iter_mut().zip(cpu.0.frames).for_each(|(a, b)| *a += b);
            sum.rewrite_failed += cpu.0.rewrite_failed;
            sum
        }))
    }

    /// All denials and alerts; cumulative.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn denials(&self) -> Result<Vec<DenialRecord>, KernelError> {
        let map = self.ebpf.map("DENIALS").ok_or(KernelError::Missing("DENIALS"))?;
        let aya::maps::Map::HashMap(data) = map else { return Err(KernelError::Missing("DENIALS")) };
        let mut all = Vec::new();
        batch::read_all(data.fd().as_fd(), DENIAL_KEY_SIZE, DENIAL_SIZE, |key, value| {
            all.push((read::<DenialKey>(key), read::<Denial>(value)));
        })
        .map_err(|e| map_error("DENIALS", &e))?;
        Ok(all)
    }

    /// Forgets a denial that was reported, to make room.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn forget_denial(&mut self, key: &DenialKey) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("DENIALS").ok_or(KernelError::Missing("DENIALS"))?;
        let mut map: HashMap<_, Raw<DenialKey>, Raw<Denial>> =
            HashMap::try_from(map).map_err(|e| map_error("DENIALS", &e))?;
        match map.remove(&Raw(*key)) {
            Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            Err(e) => Err(map_error("DENIALS", &e)),
        }
    }
}

/// A rule that matches nothing.
fn nothing() -> Rule {
    Rule { kinds: 0, ..Rule::default() }
}

fn array<'a, T: Pod>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<Array<&'a mut MapData, T>, KernelError> {
    let map = ebpf.map_mut(name).ok_or(KernelError::Missing(name))?;
    Array::try_from(map).map_err(|e| map_error(name, &e))
}
