//! Time, which comes from the host.

/// Milliseconds since any fixed moment. The engine has no clock, because browsers have no `Instant`.
pub type Clock = fn() -> f64;
