//! When an invocation ends.
//!
//! Owns: turning Lambda's wall clock time into an instant. Must never know: what is done until then.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// 2015-01-01, in milliseconds since 1970: no function ran before. `cargo lambda watch` says ten
/// minutes past 1970, whenever it is.
const LAMBDA_BEGAN: u64 = 1_420_070_400_000;

/// The instant of a deadline in milliseconds since 1970, as Lambda's runtime API has it; none where
/// there is no real one. One that has passed is now.
pub fn deadline(millis: u64) -> Option<Instant> {
    if millis < LAMBDA_BEGAN {
        return None;
    }
    let at = UNIX_EPOCH + Duration::from_millis(millis);
    Instant::now().checked_add(at.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulators_deadline_is_none() {
        assert_eq!(deadline(600_000), None);
    }

    #[test]
    fn a_deadline_is_as_far_away_as_it_says() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let millis = u64::try_from(now.as_millis()).unwrap();
        let before = Instant::now();
        let left = deadline(millis + 60_000).unwrap() - before;
        assert!(left > Duration::from_secs(59) && left <= Duration::from_secs(61), "{left:?}");
        assert!(deadline(millis - 60_000).unwrap() <= Instant::now(), "a past one is now");
    }
}
