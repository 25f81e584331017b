//! System calls that no crate offers: map batches, process and clock facts. The only `unsafe` beside the map types.

pub mod batch;
pub mod clock;
pub mod ethtool;
pub mod genl;
pub mod link;
pub mod netdev;
pub mod xdp_link;
