//! `ot-xdp`, the user-space program: stages in the order in which data flows.
