//! What happens, and when: drawn from the seed.

use super::Services;
use crate::Arguments;
use crate::local::{Binary, INSTANCES};
use crate::world::World;
use fastrand::Rng;
use holdfast_app::pause;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two faults.
const PAUSE_MS: std::ops::Range<u64> = 200..1_500;

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillWorker(usize),
    KillService(usize, usize),
    StopService(usize, usize),
    CrashRedis(Duration),
    CutSqs(Duration),
}

impl Fault {
    fn draw(random: &mut Rng) -> Self {
        let instance = random.usize(0..INSTANCES);
        let service = random.usize(0..2);
        let outage = Duration::from_millis(random.u64(100..3_000));
        match random.u32(0..100) {
            0..25 => Self::KillWorker(instance),
            25..55 => Self::KillService(service, instance),
            55..65 => Self::StopService(service, instance),
            65..90 => Self::CrashRedis(outage),
            _ => Self::CutSqs(outage),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::KillWorker(_) => "kill_worker",
            Self::KillService(..) => "kill_order_service",
            Self::StopService(..) => "terminate_order_service",
            Self::CrashRedis(_) => "crash_redis",
            Self::CutSqs(_) => "cut_sqs",
        }
    }

    async fn happen(self, world: &World, services: &Services) -> anyhow::Result<()> {
        match self {
            Self::KillWorker(instance) => world.local()?.signal(Binary::Worker, instance, Signal::SIGKILL).await,
            Self::KillService(which, instance) => services.all[which].signal(instance, Signal::SIGKILL).await,
            Self::StopService(which, instance) => services.all[which].signal(instance, Signal::SIGTERM).await,
            Self::CrashRedis(outage) => services.crash_redis(outage).await?,
            Self::CutSqs(outage) => {
                world.local()?.sqs_gate.close();
                pause(outage).await;
                world.local()?.sqs_gate.open();
            }
        }
        Ok(())
    }
}

/// One after the other until the time is over. Answers how often each happened.
pub(crate) async fn attack(
    world: &World,
    services: &Services,
    arguments: &Arguments,
    time: Duration,
) -> anyhow::Result<BTreeMap<&'static str, u32>> {
    let (mut random, started, mut faults) = (Rng::with_seed(arguments.seed), Instant::now(), BTreeMap::new());
    while started.elapsed() < time && !world.is_stopping() {
        pause(Duration::from_millis(random.u64(PAUSE_MS))).await;
        let fault = Fault::draw(&mut random);
        *faults.entry(fault.name()).or_insert(0) += 1;
        fault.happen(world, services).await?;
        world.keep_running().await?;
        services.keep_running().await?;
    }
    Ok(faults)
}
