//! How many wrong passwords are taken, per login and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong passwords are held against somebody for so long.
const MEMORY: Duration = Duration::from_secs(600);

const PER_LOGIN: usize = 8;

/// Behind a proxy everybody has the same one.
const PER_ADDRESS: usize = 60;

/// Of whom more is known than this, the oldest is forgotten: nobody fills the memory with made-up logins.
const MOST: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Login(String),
    Address(IpAddr),
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
        wait(Who::Login(login.to_owned()), PER_LOGIN).max(wait(Who::Address(address), PER_ADDRESS))
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
        for who in [Who::Login(login.to_owned()), Who::Address(address)] {
            let failures = known.entry(who).or_default();
            failures.retain(|at| now - *at < MEMORY);
            failures.push(now);
        }
    }

    /// Whoever knows the password is not held to what others tried, nor is anybody to what could not be checked.
    pub(crate) fn forget(&self, login: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&Who::Login(login.to_owned()));
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
        for _ in 0..PER_LOGIN {
            assert_eq!(throttle.wait("jane", HERE, start), None);
            throttle.failed("jane", HERE, start);
        }
        assert_eq!(throttle.wait("jane", HERE, start), Some(MEMORY));
        assert_eq!(throttle.wait("joan", HERE, start), None);
        assert_eq!(throttle.wait("jane", HERE, start + MEMORY), None);
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
