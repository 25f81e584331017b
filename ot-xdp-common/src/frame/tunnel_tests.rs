//! Frames in tunnels.
