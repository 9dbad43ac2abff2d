//! How many wrong passwords are taken: from one address for one login, and from one address. What somebody tries from
//! elsewhere keeps no operator out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong passwords are held against somebody for so long.
const MEMORY: Duration = Duration::from_secs(600);

const PER_LOGIN_AND_ADDRESS: usize = 8;

/// Behind a proxy everybody has the same one.
const PER_ADDRESS: usize = 60;

/// Of whom more is known than this, the oldest is forgotten: nobody fills the memory with made-up logins.
const MOST: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Login(String, IpAddr),
    Address(IpAddr),
}

fn both(login: &str, address: IpAddr) -> [Who; 2] {
    [Who::Login(login.to_owned(), address), Who::Address(address)]
}

#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<Who, Vec<Instant>>>);

impl Throttle {
    /// How long to wait before the next attempt, if that is too soon.
    pub(crate) fn wait(&self, login: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |who: Who, limit: usize| {
            let failures = known.get(&who)?;
            let first = failures.iter().rev().nth(limit - 1)?;
            MEMORY.checked_sub(now - *first).filter(|wait| !wait.is_zero())
        };
        let [login, address] = both(login, address);
        wait(login, PER_LOGIN_AND_ADDRESS).max(wait(address, PER_ADDRESS))
    }

    pub(crate) fn failed(&self, login: &str, address: IpAddr, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, failures| failures.last().is_some_and(|last| now - *last < MEMORY));
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, failures)| failures.last().copied()).map(|(who, _)| who.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        for who in both(login, address) {
            let failures = known.entry(who).or_default();
            failures.retain(|at| now - *at < MEMORY);
            failures.push(now);
        }
    }

    /// The attempt of this moment was none: its password was right, or could not be checked.
    pub(crate) fn take_back(&self, login: &str, address: IpAddr, at: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for who in both(login, address) {
            if let Some(failures) = known.get_mut(&who)
                && let Some(this) = failures.iter().position(|failure| *failure == at)
            {
                failures.remove(this);
            }
        }
    }

    /// Whoever knows the password is not held to what was tried before.
    pub(crate) fn forget(&self, login: &str, address: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&Who::Login(login.to_owned(), address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_login_is_closed_after_some_wrong_passwords_and_opens_again() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..PER_LOGIN_AND_ADDRESS {
            assert_eq!(throttle.wait("jane", HERE, start), None);
            throttle.failed("jane", HERE, start);
        }
        assert_eq!(throttle.wait("jane", HERE, start), Some(MEMORY));
        assert_eq!(throttle.wait("joan", HERE, start), None);
        assert_eq!(throttle.wait("jane", HERE, start + MEMORY), None);
    }

    #[test]
    fn what_is_tried_elsewhere_keeps_nobody_out() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        (0..PER_ADDRESS).for_each(|_| throttle.failed("jane", elsewhere, start));
        assert!(throttle.wait("jane", elsewhere, start).is_some());
        assert_eq!(throttle.wait("jane", HERE, start), None);
    }

    #[test]
    fn who_knows_the_password_may_come_as_often_as_she_likes() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for s in 0..2 * PER_ADDRESS as u64 {
            let now = start + Duration::from_secs(s % 100);
            assert_eq!(throttle.wait("jane", HERE, now), None);
            throttle.failed("jane", HERE, now);
            throttle.take_back("jane", HERE, now);
            throttle.forget("jane", HERE);
        }
    }

    #[test]
    fn an_address_cannot_try_everybody() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for attempt in 0..PER_ADDRESS {
            throttle.failed(&attempt.to_string(), HERE, start);
        }
        assert!(throttle.wait("jane", HERE, start).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for attempt in 0..MOST + 50 {
            throttle.failed(&attempt.to_string(), HERE, start);
        }
        assert!(throttle.0.lock().expect("whole").len() <= MOST + 1);
    }
}
