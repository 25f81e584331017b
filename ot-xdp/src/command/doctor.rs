//! Doctor.

/// Why this kernel cannot run the sensor.
pub fn unsupported_kernel() -> Option<String> {
    None
}
