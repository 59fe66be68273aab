//! Places where a fault test can kill the process, or let it linger.
//!
//! Without the feature `failpoints` they are nothing. With it, the variable `FAILPOINTS` arms them in
//! the syntax of the `fail` crate: `relay.after_positions=3*off->return` dies at the fourth passing.

/// Dies here, like under `kill -9`, if a test armed this name with `return`, and lingers if with
/// `sleep(…)`, milliseconds; does nothing otherwise.
#[macro_export]
macro_rules! crash_point {
    ($name:expr) => {
        $crate::failpoint::crash($name)
    };
}

/// What [`crash_point!`](crate::crash_point) calls: no unwinding, no destructors, no flushing.
#[cfg(feature = "failpoints")]
pub fn crash(name: &str) {
    fail::fail_point!(name, |_| die(name));
}

/// What [`crash_point!`](crate::crash_point) calls: nothing, because the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
#[allow(clippy::inline_always, reason = "promises that crash points cost nothing")]
pub fn crash(_name: &str) {}

/// Arms what `FAILPOINTS` says, for the life of the process. Call it once, at the start.
///
/// # Panics
/// If `FAILPOINTS` is malformed.
#[cfg(feature = "failpoints")]
pub fn init() {
    static ARMED: std::sync::Once = std::sync::Once::new();
    // Dropping the scenario would disarm every point.
    ARMED.call_once(|| std::mem::forget(fail::FailScenario::setup()));
}

/// Arms nothing, because the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub fn init() {}

#[cfg(feature = "failpoints")]
fn die(name: &str) {
    eprintln!("crash point {name}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_unarmed_crash_point_does_nothing() {
        super::init();
        super::init();
        crate::crash_point!("platform.never_armed");
    }
}
