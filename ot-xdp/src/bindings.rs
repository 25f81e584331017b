//! What a site decides about frames: which protocol is registered on which port and EtherType (the protocol files'
//! defaults plus its own), the kinds of the functions that it knows better, and whether tunnels are opened.

use std::collections::BTreeMap;

use ot_xdp_common::classify::{BINDING_WORDS, Bindings, Table};
use ot_xdp_common::op::Kind;
use ot_xdp_common::overrule::{self, Kinds};
use ot_xdp_common::proto::Proto;

/// Three tables of 65,536 protocol numbers: TCP ports, UDP ports, EtherTypes. And kinds by function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingTable {
    words: Vec<u64>,
    kinds: BTreeMap<u64, Kind>,
    tunnels: bool,
}

impl Default for BindingTable {
    fn default() -> Self {
        let mut table = BindingTable { words: vec![0; BINDING_WORDS as usize], kinds: BTreeMap::new(), tunnels: false };
        // Backwards, so that the first of several protocols that share a port is found first.
        for proto in Proto::ALL.iter().rev() {
            let b = proto.binding();
            b.tcp.iter().for_each(|p| table.set(Table::Tcp, *p, Some(*proto)));
            b.udp.iter().for_each(|p| table.set(Table::Udp, *p, Some(*proto)));
            b.ethertypes.iter().for_each(|t| table.set(Table::EtherType, *t, Some(*proto)));
        }
        table
    }
}

impl BindingTable {
    /// Registers a protocol, or takes a registration away with `None`.
    pub fn set(&mut self, table: Table, value: u16, proto: Option<Proto>) {
        let shift = (value & 7) * 8;
        if let Some(word) = self.words.get_mut(table as usize * 8192 + (value >> 3) as usize) {
            *word = *word & !(0xFF << shift) | (proto.map_or(0, |p| p as u64)) << shift;
        }
    }

    /// Gives a function the kind that the site chose.
    pub fn overrule(&mut self, proto: Proto, function: u32, kind: Kind) {
        self.kinds.insert(overrule::key(proto as u8, function), kind);
    }

    /// The kinds that the site chose, by [`overrule::key`].
    pub fn kinds(&self) -> &BTreeMap<u64, Kind> {
        &self.kinds
    }

    /// Judges what comes through a tunnel by the frame inside, or by the headers around it.
    pub fn open_tunnels(&mut self, open: bool) {
        self.tunnels = open;
    }

    /// Are tunnels opened?
    pub fn tunnels(&self) -> bool {
        self.tunnels
    }

    /// The words of the kernel map, by index.
    pub fn words(&self) -> impl Iterator<Item = (u32, u64)> {
        self.words.iter().enumerate().map(|(i, w)| (i as u32, *w))
    }
}

impl Bindings for &BindingTable {
    fn word(&mut self, word: u32) -> u64 {
        self.words.get(word as usize).copied().unwrap_or(0)
    }
}

impl Kinds for &BindingTable {
    fn kind(&mut self, key: u64) -> Option<Kind> {
        self.kinds.get(&key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_can_be_added_and_taken_away() {
        let mut t = BindingTable::default();
        assert_eq!((&t).proto(Table::Tcp, 502), Proto::Modbus as u8);
        t.set(Table::Tcp, 1502, Some(Proto::Modbus));
        t.set(Table::Tcp, 502, None);
        assert_eq!((&t).proto(Table::Tcp, 1502), Proto::Modbus as u8);
        assert_eq!((&t).proto(Table::Tcp, 502), 0);
        assert_eq!((&t).proto(Table::Tcp, 1501), 0);
    }
}
