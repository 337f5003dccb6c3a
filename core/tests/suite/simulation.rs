//! The handler under a store that fails, from thousands of seeds: instances that are born and die,
//! clients that send, retry, disconnect, resume, cancel and read. Time is paused, so a seed takes
//! milliseconds, and everything that is decided is decided by the seed.
//!
//! `A2A_SEEDS=7..8` runs those seeds alone, in `the_seeds_that_are_asked_for`. What is checked at
//! the end of each stands in [`verdict`](crate::verdict).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    AgentError, AgentExecutor, Artifact, DefaultRequestHandler, Env, EventQueue, Limits, Part,
    RequestContext, TaskStore, Timestamp, async_trait,
    task::{Entry, TaskKey},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    chaos_store::{Chaos, Connection, Dice, Faults, Outage},
    clients,
    verdict::{self, Record},
    world::{START, card},
};

const LEASE: Duration = Duration::from_secs(3);

/// All that happens under one seed.
pub(crate) struct Sim {
    pub(crate) chaos: Arc<Chaos>,
    pub(crate) record: Mutex<Record>,
    /// Tasks that somebody has heard of.
    pub(crate) known: Mutex<Vec<Arc<str>>>,
    /// Canceled when everything is at rest.
    pub(crate) rested: CancellationToken,
    instances: Mutex<Vec<Arc<Instance>>>,
    born: AtomicU64,
    messages: AtomicU64,
    runs: AtomicU64,
    seed: u64,
    /// Whether hosts stop in the middle of the work, and agents have steps.
    cuts: bool,
    began: Instant,
}

/// A process: a handler, its way to the store and its sweeper.
pub(crate) struct Instance {
    pub(crate) handler: DefaultRequestHandler,
    pub(crate) dead: CancellationToken,
}

impl Sim {
    fn new(seed: u64, dice: &mut Dice) -> Arc<Self> {
        let began = Instant::now();
        let level = *dice.pick(&[0, 3, 15, 60]);
        let mut rate = |most: u64| if level == 0 { 0 } else { dice.below(most * level / 10 + 1) };
        let faults =
            Faults { throttled: rate(20), lost: rate(20), overtaken: rate(20), slow: rate(2) };
        let outage = |dice: &mut Dice| {
            let from = began + dice.millis(12_000);
            let until = from + dice.millis(8_000);
            Outage { from, until, instance: dice.percent(70).then(|| dice.below(3) as usize) }
        };
        let outages = (0..dice.below(4)).map(|_| outage(dice)).collect();
        let chaos = Arc::new(Chaos::new(Dice::new(dice.roll()), faults, outages));
        Arc::new(Self {
            chaos,
            record: Mutex::default(),
            known: Mutex::default(),
            rested: CancellationToken::new(),
            instances: Mutex::default(),
            born: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            seed,
            cuts: seed % 3 == 1,
            began,
        })
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    /// An instance that a client's request reaches; a load balancer does not know clients.
    pub(crate) fn any(&self, dice: &mut Dice) -> Arc<Instance> {
        Arc::clone(dice.pick(&self.instances.lock().unwrap()))
    }

    pub(crate) fn message_id(&self) -> String {
        format!("m{}", self.messages.fetch_add(1, Ordering::SeqCst))
    }

    /// Whether an agent is to do a step next.
    pub(crate) fn has_step(&self, dice: &mut Dice) -> bool {
        self.cuts && dice.percent(25)
    }

    /// When the host of a call stops; late enough for some of the work.
    pub(crate) fn cut(&self, dice: &mut Dice) -> Option<std::time::Instant> {
        let is_cut = self.cuts && dice.percent(40);
        let left = |dice: &mut Dice| Limits::default().deadline_margin + dice.millis(5_000);
        is_cut.then(|| (Instant::now() + left(dice)).into_std())
    }

    /// Its clock is a little wrong, as every clock.
    fn env(&self, instance: u64) -> Env {
        let mut dice = Dice::new(self.seed ^ (instance << 32));
        let (began, skew) = (self.began, START + dice.below(4_000) as i64);
        let ids = Mutex::new(dice);
        let now = move || Timestamp::from_millis(skew + began.elapsed().as_millis() as i64);
        let id = move || {
            let mut dice = ids.lock().unwrap();
            uuid::Uuid::from_u64_pair(dice.roll(), dice.roll())
        };
        Env::new(now, id)
    }

    fn bear(self: &Arc<Self>) -> Arc<Instance> {
        let number = self.born.fetch_add(1, Ordering::SeqCst);
        let dead = CancellationToken::new();
        let connection = Connection {
            chaos: Arc::clone(&self.chaos),
            instance: number as usize,
            dead: dead.clone(),
        };
        let agent = Agent { sim: Arc::clone(self), dead: dead.clone() };
        let handler = DefaultRequestHandler::new(card(), Arc::new(agent), Arc::new(connection))
            .with_limits(limits())
            .with_env(self.env(number));
        tokio::spawn(handler.sweeper().run(dead.clone()));
        Arc::new(Instance { handler, dead })
    }

    /// Processes die, and others are born in their place.
    async fn live_and_die(self: Arc<Self>, mut dice: Dice) {
        for _ in 0..dice.below(4) {
            tokio::time::sleep(dice.millis(5_000)).await;
            let place = dice.below(self.instances.lock().unwrap().len() as u64) as usize;
            self.instances.lock().unwrap()[place].dead.cancel();
            tokio::time::sleep(dice.millis(3_000)).await;
            let new = self.bear();
            self.instances.lock().unwrap()[place] = new;
        }
    }

    /// Until no instance runs anything, and a sweep finds no orphan.
    async fn come_to_rest(&self) {
        let mut quiet = Instant::now();
        while quiet.elapsed() < LEASE * 2 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let running = self.chaos.kept.running(None, 1, &[]).await.unwrap();
            let idle = |it: &Arc<Instance>| it.handler.is_settled();
            if !running.is_empty() || !self.instances.lock().unwrap().iter().all(idle) {
                quiet = Instant::now();
            }
        }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.lease = LEASE;
    limits.run_time = Duration::from_secs(40);
    limits.first_event = Duration::from_millis(400);
    limits.cancel_time = Duration::from_secs(1);
    limits.attempts = 4;
    limits.call_outage = Duration::from_millis(700);
    limits.run_outage = Duration::from_secs(5);
    limits.batch_events = 4;
    limits
}

/// Does what a message tells it, word by word, and puts its own number and how far it is into
/// everything it says: so a journal tells whose each entry is, and whether one is missing.
struct Agent {
    sim: Arc<Sim>,
    dead: CancellationToken,
}

#[async_trait]
impl AgentExecutor for Agent {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.begin(&context).await;
        let run = self.sim.runs.fetch_add(1, Ordering::SeqCst);
        let mut said = 0;
        for word in context.text().split(' ') {
            if self.dead.is_cancelled() {
                std::future::pending::<()>().await;
            }
            let text = format!("{run}:{said}");
            said += 1;
            match word {
                "work" => queue.working(text).await?,
                "make" => queue.artifact(Artifact::new("a", vec![Part::text(text)])).await?,
                "more" => queue.append("a", text).await?,
                "ask" => queue.require_input(text).await?,
                "auth" => queue.require_auth(text).await?,
                "complete" => queue.complete(text).await?,
                "fail" => queue.fail(text).await?,
                "reply" => queue.reply(text).await?,
                "step" => {
                    said -= 1;
                    let pause = Duration::from_millis(400);
                    let work = async {
                        tokio::time::sleep(pause).await;
                        Ok::<_, AgentError>(())
                    };
                    context.step("step", work).await?;
                }
                pause => {
                    said -= 1;
                    tokio::time::sleep(Duration::from_millis(pause.parse().unwrap_or(0))).await;
                }
            }
        }
        Ok(())
    }
}

impl Agent {
    /// An attempt is executed once, and only when its claim is recorded; but the first one at a
    /// task that no client can know of yet.
    async fn begin(&self, context: &RequestContext) {
        let key = TaskKey { tenant: "".into(), id: context.task_id().into() };
        let (message, attempt) = (&context.message().message_id, context.attempt());
        let claimed = match self.sim.chaos.kept.read(&key, 0).await.unwrap() {
            None => false,
            Some(journal) => {
                let mut mine = false;
                journal.slots.iter().flat_map(|slot| slot.entries.iter()).any(|entry| match entry {
                    Entry::Submitted(it) => {
                        mine = it.message.message_id == *message;
                        false
                    }
                    Entry::Started(it) => mine && it.attempt == attempt,
                    _ => false,
                })
            }
        };
        let unknown = context.caller().key.is_none() && context.task().is_none() && attempt == 1;
        let mut record = self.sim.record();
        if !claimed && !unknown {
            record.wrong.push(format!("attempt {attempt} at {} before its claim", key.id));
        }
        let execution = (Arc::clone(&key.id), Arc::clone(message), attempt);
        if !record.executed.insert(execution) {
            record.wrong.push(format!("attempt {attempt} at {} twice", key.id));
        }
    }
}

/// One seed, from its first request to the verdict. Answers the journals as text, which is the same
/// each time.
pub(crate) async fn simulate(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let sim = Sim::new(seed, &mut dice);
    for _ in 0..2 + dice.below(2) {
        let instance = sim.bear();
        sim.instances.lock().unwrap().push(instance);
    }
    let lives = tokio::spawn(Arc::clone(&sim).live_and_die(Dice::new(dice.roll())));
    let (mut clients, mut readers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..2 + dice.below(4) {
        clients.spawn(clients::client(Arc::clone(&sim), Dice::new(dice.roll())));
    }
    for _ in 0..dice.below(4) {
        readers.spawn(clients::reader(Arc::clone(&sim), Dice::new(dice.roll())));
    }
    // Then the outages end, and every retry with them.
    let heals = Arc::clone(&sim.chaos);
    let healing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(25)).await;
        heals.heal();
    });
    let all = async {
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        lives.await.unwrap();
        sim.chaos.heal();
        sim.come_to_rest().await;
        sim.rested.cancel();
        while let Some(reader) = readers.join_next().await {
            reader.unwrap();
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(150), all).await;
    healing.abort();
    let journals = journals(&sim).await;
    let told = journals.iter().map(|(id, it)| format!("{id}: {}", verdict::outline(&it.slots)));
    let told = told.collect::<Vec<_>>().join("\n");
    assert!(in_time.is_ok(), "it never came to rest:\n{told}");
    verdict::of(&sim, &journals);
    // Their agents know the simulation: without this neither would ever be dropped.
    sim.instances.lock().unwrap().clear();
    format!("{journals:?}")
}

/// Every journal that was written to, by its id.
async fn journals(sim: &Sim) -> BTreeMap<Arc<str>, a2a_core::store::Journal> {
    let keys: Vec<TaskKey> =
        sim.chaos.book.lock().unwrap().iter().map(|it| it.change.key.clone()).collect();
    let mut journals = BTreeMap::new();
    for key in keys {
        if let Some(journal) = sim.chaos.kept.read(&key, 0).await.unwrap() {
            journals.insert(key.id, journal);
        }
    }
    journals
}

/// A clock and a scheduler of its own: nothing is left of the seed before.
fn run(seed: u64) -> String {
    /// Names the seed of a panic.
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the seed was {0}: A2A_SEEDS={0}..{1}", self.0, self.0 + 1);
            }
        }
    }
    let _named = Named(seed);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed))
}

fn run_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        run(seed);
    }
}

#[test]
fn seeds_from_0() {
    run_all(0..500);
}

#[test]
fn seeds_from_500() {
    run_all(500..1_000);
}

#[test]
fn seeds_from_1000() {
    run_all(1_000..1_500);
}

#[test]
fn seeds_from_1500() {
    run_all(1_500..2_000);
}

/// A cancel that was recorded on top of another attempt told of what the first one had made.
#[test]
fn seeds_that_found_something_rare() {
    run_all(3_219..3_220);
}

#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "{seed}");
    }
}

#[test]
fn the_seeds_that_are_asked_for() {
    let Ok(asked) = std::env::var("A2A_SEEDS") else { return };
    let (from, until) = asked.split_once("..").expect("A2A_SEEDS is to be like 5..10");
    run_all(from.parse().unwrap()..until.parse().unwrap());
}
