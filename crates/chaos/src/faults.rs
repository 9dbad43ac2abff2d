//! What happens to the world, and when: drawn from the seed.

use crate::Arguments;
use crate::local::{Binary, INSTANCES};
use crate::world::World;
use fastrand::Rng;
use holdfast_app::pause;
use holdfast_devstack::gate::Gate;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two faults.
const PAUSE_MS: std::ops::Range<u64> = 300..2_500;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(Binary, usize),
    /// Longer than a lease.
    Freeze(Binary, usize, Duration),
    Terminate(Binary, usize),
    CrashPostgres(Duration),
    CutPostgres(Duration),
    SilencePostgres(Duration),
    CutSqs(Duration),
    SilenceSqs(Duration),
    CutBoth(Duration),
    PartnerDown(usize, Duration),
    InboxDown(Duration),
}

impl Fault {
    /// To the binaries.
    fn draw_process(random: &mut Rng, zombies: bool) -> Self {
        let instance = random.usize(0..INSTANCES);
        match random.u32(0..100) {
            0..45 => Self::Kill(Binary::Worker, instance),
            45..65 => Self::Kill(Binary::Api, instance),
            65..75 => Self::Terminate(Binary::Worker, instance),
            75..82 => Self::Terminate(Binary::Api, instance),
            82..95 if zombies => {
                Self::Freeze(Binary::Worker, instance, Duration::from_millis(random.u64(7_000..10_000)))
            }
            _ if zombies => Self::Freeze(Binary::Api, instance, Duration::from_millis(random.u64(300..3_000))),
            _ => Self::Kill(Binary::Worker, instance),
        }
    }

    /// To whom they speak to.
    fn draw_strangers(random: &mut Rng, _zombies: bool) -> Self {
        let outage = Duration::from_millis(random.u64(300..5_000));
        match random.u32(0..100) {
            0..60 => Self::PartnerDown(random.usize(0..6), outage),
            _ => Self::InboxDown(outage),
        }
    }

    /// To what they stand on too.
    fn draw_surroundings(random: &mut Rng, _zombies: bool) -> Self {
        let outage = Duration::from_millis(random.u64(300..5_000));
        match random.u32(0..100) {
            0..15 => Self::CrashPostgres(outage),
            15..30 => Self::CutPostgres(outage),
            30..42 => Self::SilencePostgres(outage),
            42..55 => Self::CutSqs(outage),
            55..65 => Self::SilenceSqs(outage),
            65..72 => Self::CutBoth(outage.min(Duration::from_secs(2))),
            72..88 => Self::PartnerDown(random.usize(0..6), outage),
            _ => Self::InboxDown(outage),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kill(Binary::Api, _) => "kill_api",
            Self::Kill(Binary::Worker, _) => "kill_worker",
            Self::Freeze(Binary::Api, ..) => "freeze_api",
            Self::Freeze(Binary::Worker, ..) => "freeze_worker",
            Self::Terminate(Binary::Api, _) => "terminate_api",
            Self::Terminate(Binary::Worker, _) => "terminate_worker",
            Self::CrashPostgres(_) => "crash_postgres",
            Self::CutPostgres(_) => "cut_postgres",
            Self::SilencePostgres(_) => "silence_postgres",
            Self::CutSqs(_) => "cut_sqs",
            Self::SilenceSqs(_) => "silence_sqs",
            Self::CutBoth(_) => "cut_both",
            Self::PartnerDown(..) => "partner_down",
            Self::InboxDown(_) => "inbox_down",
        }
    }

    async fn happen(self, world: &World) -> anyhow::Result<()> {
        match self {
            Self::Kill(binary, instance) => world.local()?.signal(binary, instance, Signal::SIGKILL).await,
            Self::Terminate(binary, instance) => world.local()?.signal(binary, instance, Signal::SIGTERM).await,
            Self::Freeze(binary, instance, time) => {
                world.local()?.signal(binary, instance, Signal::SIGSTOP).await;
                pause(time).await;
                world.local()?.signal(binary, instance, Signal::SIGCONT).await;
            }
            Self::CrashPostgres(time) => {
                world.local()?.postgres.crash().await?;
                pause(time).await;
                world.local()?.postgres.recover().await?;
            }
            Self::CutPostgres(time) => shut(&[&world.local()?.postgres_gate], Gate::close, time).await,
            Self::SilencePostgres(time) => shut(&[&world.local()?.postgres_gate], Gate::freeze, time).await,
            Self::CutSqs(time) => shut(&[&world.local()?.sqs_gate], Gate::close, time).await,
            Self::SilenceSqs(time) => shut(&[&world.local()?.sqs_gate], Gate::freeze, time).await,
            Self::CutBoth(time) => {
                let local = world.local()?;
                shut(&[&local.postgres_gate, &local.sqs_gate], Gate::close, time).await;
            }
            Self::PartnerDown(which, time) => {
                let all = world.all_partners();
                let partner = &all[which % all.len()];
                world.partners.set_down(partner, true);
                pause(time).await;
                world.partners.set_down(partner, false);
            }
            Self::InboxDown(time) => {
                world.inbox.set_down(true);
                pause(time).await;
                world.inbox.set_down(false);
            }
        }
        Ok(())
    }
}

async fn shut(gates: &[&Gate], how: fn(&Gate), time: Duration) {
    gates.iter().for_each(|gate| how(gate));
    pause(time).await;
    gates.iter().for_each(|gate| gate.open());
}

/// Two rows of faults beside each other, until the time is over; one if the stack is not ours. Answers how often each
/// happened.
pub(crate) async fn attack(
    world: &World,
    arguments: &Arguments,
    time: Duration,
) -> anyhow::Result<BTreeMap<&'static str, u32>> {
    let mut random = Rng::with_seed(arguments.seed);
    let (processes, surroundings) = (random.fork(), random.fork());
    if !world.is_local() {
        return row(world, arguments, time, surroundings, Fault::draw_strangers).await;
    }
    let (mut faults, more) = tokio::try_join!(
        row(world, arguments, time, processes, Fault::draw_process),
        row(world, arguments, time, surroundings, Fault::draw_surroundings),
    )?;
    faults.extend(more);
    Ok(faults)
}

async fn row(
    world: &World,
    arguments: &Arguments,
    time: Duration,
    mut random: Rng,
    draw: fn(&mut Rng, bool) -> Fault,
) -> anyhow::Result<BTreeMap<&'static str, u32>> {
    let mut faults = BTreeMap::new();
    let started = Instant::now();
    while started.elapsed() < time && !world.is_stopping() {
        pause(Duration::from_millis(random.u64(PAUSE_MS))).await;
        let fault = draw(&mut random, arguments.zombies);
        *faults.entry(fault.name()).or_insert(0) += 1;
        fault.happen(world).await?;
        world.keep_running().await?;
    }
    Ok(faults)
}
