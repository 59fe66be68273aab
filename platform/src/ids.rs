//! New identifiers and random bytes.

use rand::TryRng;
use rand::rngs::SysRng;
use uuid::Uuid;

/// A new id: UUID version 7 (RFC 9562, section 5.7), so that ids made later sort later.
#[allow(clippy::disallowed_methods, reason = "the one place that makes ids")]
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// `N` bytes that nobody can guess, from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness to give: nothing secret could be made then.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    match SysRng.try_fill_bytes(&mut bytes) {
        Ok(()) => bytes,
        Err(error) => panic!("the operating system's random generator failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        let ids: Vec<Uuid> = (0..1000).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].get_version_num(), 7);
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes::<16>(), random_bytes::<16>());
    }
}
