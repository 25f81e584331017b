//! Programs and guards that the cross-crate tests share.
