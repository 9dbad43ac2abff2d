//! How many events go to a sink at once.

/// So many batches must go well before a size is tried again that was too much.
const CAUTION: u32 = 50;

/// Half as many after each failure, down to one: who takes no more than so many in time gets them. After that twice as many
/// after each success, but for a while fewer than what was too much.
pub(super) struct Pace {
    limit: usize,
    most: usize,
    too_much: Option<TooMuch>,
}

struct TooMuch {
    size: usize,
    /// Batches that have yet to go well.
    left: u32,
}

impl Pace {
    pub(super) const fn new(most: usize) -> Self {
        Self { limit: most, most, too_much: None }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn went_well(&mut self) {
        self.too_much = self.too_much.take().and_then(TooMuch::once_more);
        let doubled = (self.limit * 2).min(self.most);
        if self.too_much.as_ref().is_none_or(|too_much| doubled < too_much.size) {
            self.limit = doubled;
        }
    }

    /// A batch of this size did not go. That of a single one says nothing about sizes.
    pub(super) fn failed(&mut self, size: usize) {
        let size = size.clamp(1, self.limit);
        self.limit = (size / 2).max(1);
        self.too_much = (size > 1).then_some(TooMuch { size, left: CAUTION });
    }
}

impl TooMuch {
    fn once_more(self) -> Option<Self> {
        Some(Self { left: self.left.checked_sub(1).filter(|left| *left > 0)?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches that are sent until a sink has 1000 events that takes no more than `at_once`, and how many of them failed.
    fn publish(at_once: usize) -> (u32, u32) {
        let (mut pace, mut left, mut sent, mut failed) = (Pace::new(200), 1_000, 0, 0);
        while left > 0 {
            let size = pace.limit().min(left);
            sent += 1;
            assert!(sent < 10_000, "it never gets all of them");
            if size > at_once {
                failed += 1;
                pace.failed(size);
            } else {
                left -= size;
                pace.went_well();
            }
        }
        (sent, failed)
    }

    #[test]
    fn a_sink_gets_everything_that_takes_but_a_few_in_time() {
        for at_once in [1, 2, 3, 4, 9, 10, 150] {
            let (sent, failed) = publish(at_once);
            assert!(failed <= 8 + sent / CAUTION, "{at_once}: {failed} of {sent}");
        }
        assert_eq!(publish(200), (5, 0));
    }

    #[test]
    fn after_an_outage_it_is_soon_as_many_as_before() {
        let mut pace = Pace::new(200);
        for _ in 0..20 {
            pace.failed(pace.limit());
        }
        assert_eq!(pace.limit(), 1);
        for _ in 0..8 {
            pace.went_well();
        }
        assert_eq!(pace.limit(), 200);
    }

    #[test]
    fn it_is_what_was_sent_that_was_too_much_and_not_what_could_have_been() {
        let mut pace = Pace::new(200);
        pace.failed(10);
        assert_eq!(pace.limit(), 5);
        pace.went_well();
        assert_eq!(pace.limit(), 5, "ten were too much");
    }
}
