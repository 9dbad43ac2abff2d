//! Those who wait for their turn: each client in a line of its own, and the lines served in rotation, so that the many
//! requests of one do not stand in front of another's only one.

use super::Permit;
use holdfast_domain::ClientNo;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: HashMap<ClientNo, VecDeque<oneshot::Sender<Permit>>>,
    /// Every client that has a line, once, in the order in which they are served.
    rotation: VecDeque<ClientNo>,
    count: u32,
}

impl Waiting {
    pub(super) fn join(&mut self, client: ClientNo) -> oneshot::Receiver<Permit> {
        let (sender, receiver) = oneshot::channel();
        let line = self.lines.entry(client).or_default();
        if line.is_empty() {
            self.rotation.push_back(client);
        }
        line.push_back(sender);
        self.count += 1;
        receiver
    }

    /// Whose turn it is. It may have gone away meanwhile.
    pub(super) fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        let client = self.rotation.pop_front()?;
        let line = self.lines.get_mut(&client)?;
        let first = line.pop_front();
        match line.is_empty() {
            true => drop(self.lines.remove(&client)),
            false => self.rotation.push_back(client),
        }
        self.count -= 1;
        first
    }

    /// How many requests will have been let in when one that this client adds now is.
    pub(super) fn ahead_of(&self, client: ClientNo) -> u32 {
        let rounds = self.of(client) + 1;
        (rounds * self.clients_with(client)).min(self.count + 1)
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// How many of this client's wait.
    pub(super) fn of(&self, client: ClientNo) -> u32 {
        self.lines.get(&client).map_or(0, |line| u32::try_from(line.len()).unwrap_or(u32::MAX))
    }

    /// How many clients would share the turns if this one waited too.
    pub(super) fn clients_with(&self, client: ClientNo) -> u32 {
        let others = self.lines.len() - usize::from(self.lines.contains_key(&client));
        u32::try_from(others + 1).unwrap_or(u32::MAX)
    }
}
