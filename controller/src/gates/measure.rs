//! Takes the measurements that decisions ask for, off the workers, and keeps them until a decision has counted them.
//!
//! Invariant: one measurement of a gate at a time. A reading belongs to the trial it was begun for and is dropped with it; it
//! carries the time at which the question was really asked.

mod ask;
mod grid;
mod late;
mod memory;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use belay_engine::{
    analysis::burn_rate::Admission,
    gate::{GateState, Reading},
    rollout::Measure,
};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::time::DelayQueue;

use super::{
    Gated, Trial, Versions,
    probe::job::sweep::Sweeper,
    question::{Kind, Question},
};
use crate::{
    Context, Result,
    apply::{Identities, Identity},
    rollout::metrics::Readings,
    watch::Triggers,
};
use ask::Asker;
use grid::{Grid, Look};
pub(crate) use memory::Known;
use memory::Memory;

/// Readings kept for one Rollout or Release. The engine persists what they add up to long before.
const READINGS_KEPT: usize = 512;

#[derive(Debug)]
struct Run<K: Gated> {
    trial: Trial,
    gates: HashMap<String, Due<K>>,
    memories: HashMap<String, (Arc<Question>, Arc<Memory>)>,
    readings: VecDeque<Reading>,
}

#[derive(Debug)]
struct Due<K: Gated> {
    at: Timestamp,
    running: bool,
    task: Arc<Task<K>>,
}

/// Everything that one measurement needs.
#[derive(Debug)]
struct Task<K: Gated> {
    object: ObjectRef<K>,
    uid: String,
    trial: Trial,
    gate: String,
    /// The step that it is taken in, from zero, for objects that have steps.
    step: Option<u32>,
    /// For Jobs: which of the measurements that count it is.
    place: Option<Place>,
    question: Arc<Question>,
    /// The time that it is about.
    look: Look,
    /// When it is asked again, if there is nothing to tell yet.
    timing: Timing,
    /// Time through which events are on record, for gates that compare.
    counted_through: Option<Timestamp>,
    /// Whether it lets changes through, as is on record, for gates that watch a budget.
    admission: Admission,
    /// Name of the workload whose pods are judged, if it is one.
    workload: Option<String>,
    /// The versions that run side by side.
    versions: Option<Versions>,
    memory: Arc<Memory>,
    /// The object as JSON, if arguments come from its fields.
    fields: Option<serde_json::Value>,
}

/// Which measurement of a gate it is, within one trial.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The step, the promotion or the bake.
    segment: String,
    /// From zero.
    round: u32,
}

type Entry<K> = (Arc<Task<K>>, Timestamp);

/// The measurements of all Rollouts, or of all Releases.
#[derive(Debug)]
pub(crate) struct Measurements<K: Gated> {
    runs: Mutex<HashMap<String, Run<K>>>,
    queue: mpsc::UnboundedSender<Entry<K>>,
    triggers: Triggers<K>,
    counted: Readings,
    sweeper: Sweeper,
}

impl<K: Gated> Measurements<K>
where
    ObjectRef<K>: std::hash::Hash + Eq + Clone + Send + Sync,
{
    /// Starts the task that takes them.
    pub(crate) fn start(
        context: &Arc<Context>,
        triggers: Triggers<K>,
        counted: Readings,
        tasks: &mut JoinSet<Result<()>>,
    ) -> Result<Arc<Self>> {
        // Bounded by the number of gates: an entry is sent only when a gate's due time changes.
        let (queue, entries) = mpsc::unbounded_channel();
        let identities = Arc::new(Identities::new(context.client.clone()));
        let sweeper = Sweeper::start(Arc::clone(&identities), context.term.clone(), tasks);
        let measurements = Arc::new(Self {
            runs: Mutex::default(),
            queue,
            triggers,
            counted,
            sweeper,
        });
        let asker = Asker::new(context, identities)?;
        tasks.spawn(Arc::clone(&measurements).run(entries, Arc::new(asker)));
        Ok(measurements)
    }

    /// Has the measurements of `wanted` taken when they are due, and no others.
    pub(crate) fn plan(
        &self,
        object: &K,
        wanted: &[Measure],
        questions: &HashMap<String, Arc<Question>>,
    ) {
        let Some(uid) = object.uid() else { return };
        let trial = object.trial();
        let accounts = accounts(object, questions);
        let keep = trial.as_ref().map(Trial::label);
        self.sweeper.settle(&uid, accounts, keep.as_deref());
        let Some(trial) = trial else {
            self.lock().remove(&uid);
            return;
        };
        let mut runs = self.lock();
        let run = runs
            .entry(uid.clone())
            .and_modify(|run| run.keep_to(&trial))
            .or_insert_with(|| Run::new(trial.clone()));
        let names: HashSet<&str> = wanted.iter().map(|m| m.gate.as_str()).collect();
        run.gates
            .retain(|gate, due| due.running || names.contains(gate.as_str()));
        for measure in wanted {
            let Some(question) = questions.get(&measure.gate) else {
                continue;
            };
            let timing = timing(object, question);
            let look = timing.look(measure.due_at);
            let place = place(object, measure, question);
            let present = run.gates.get(&measure.gate);
            if present.is_some_and(|due| {
                let same = due.task.question == *question && due.task.place == place;
                due.running || due.at == look.ask_at && same
            }) {
                continue;
            }
            let task = Arc::new(Task {
                object: ObjectRef::from_obj(object),
                uid: uid.clone(),
                trial: trial.clone(),
                gate: measure.gate.clone(),
                step: object.step(),
                place,
                fields: late::fields_of(object, &question.arguments),
                question: Arc::clone(question),
                look,
                timing,
                counted_through: counted_through(object, &measure.gate),
                admission: admission(object, &measure.gate),
                workload: object.workload().map(str::to_owned),
                versions: object.versions(),
                memory: run.memory(&measure.gate, question),
            });
            let due = Due {
                at: look.ask_at,
                running: false,
                task: Arc::clone(&task),
            };
            run.gates.insert(measure.gate.clone(), due);
            // The receiver lives as long as the controllers do.
            let _ = self.queue.send((task, look.ask_at));
        }
    }

    /// Readings of the present trial that `gates` has not counted yet, in order of time.
    pub(crate) fn readings(&self, uid: &str, trial: &Trial, gates: &[GateState]) -> Vec<Reading> {
        let runs = self.lock();
        let Some(run) = runs.get(uid).filter(|run| run.trial == *trial) else {
            return Vec::new();
        };
        let uncounted = run.readings.iter().filter(|r| !is_counted(r, gates));
        let mut readings: Vec<Reading> = uncounted.cloned().collect();
        readings.sort_by_key(|reading| reading.at);
        readings
    }

    /// Drops the readings that `gates`, which are on record, have counted.
    pub(crate) fn on_record(&self, uid: &str, gates: &[GateState]) {
        if let Some(run) = self.lock().get_mut(uid) {
            run.readings.retain(|reading| !is_counted(reading, gates));
        }
    }

    /// What is known of the ordinary traffic of a gate that compares.
    pub(crate) fn known(&self, uid: &str, gate: &str) -> Option<Known> {
        let runs = self.lock();
        let (_, memory) = runs.get(uid)?.memories.get(gate)?;
        memory.known()
    }

    /// What is doubtful in the gates of one object, as their series show: sentences in the order of the gates' names.
    pub(crate) fn doubts(&self, uid: &str) -> Vec<String> {
        let runs = self.lock();
        let memories = runs.get(uid).into_iter().flat_map(|run| &run.memories);
        let mut doubts: Vec<String> = memories
            .flat_map(|(gate, (_, memory))| {
                let doubts = memory.doubts().unwrap_or_default().iter();
                doubts.map(move |doubt| format!("gate {gate}: {doubt}"))
            })
            .collect();
        doubts.sort();
        doubts
    }

    /// Drops everything about one object.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
        self.sweeper.forget(uid);
    }

    async fn run(
        self: Arc<Self>,
        mut entries: mpsc::UnboundedReceiver<Entry<K>>,
        asker: Arc<Asker>,
    ) -> Result<()> {
        let mut waiting: DelayQueue<Entry<K>> = DelayQueue::new();
        let mut asking = JoinSet::new();
        loop {
            tokio::select! {
                entry = entries.recv() => match entry {
                    Some(entry) => {
                        let delay = entry.1.duration_since(Timestamp::now());
                        waiting.insert(entry, delay.try_into().unwrap_or_default());
                    }
                    None => return Ok(()),
                },
                Some(due) = waiting.next(), if !waiting.is_empty() => {
                    let (task, at) = due.into_inner();
                    if self.begin(&task, at) {
                        let (measurements, asker) = (Arc::clone(&self), Arc::clone(&asker));
                        asking.spawn(async move {
                            let reading = asker.ask(&task, at).await;
                            measurements.took(&task, reading);
                        });
                    }
                }
                Some(_) = asking.join_next(), if !asking.is_empty() => {}
            }
        }
    }

    /// Whether this measurement is still wanted; it then counts as running.
    fn begin(&self, task: &Arc<Task<K>>, at: Timestamp) -> bool {
        let mut runs = self.lock();
        let due = runs
            .get_mut(&task.uid)
            .filter(|run| run.trial == task.trial)
            .and_then(|run| run.gates.get_mut(&task.gate))
            .filter(|due| !due.running && due.at == at && Arc::ptr_eq(&due.task, task));
        match due {
            Some(due) => {
                due.running = true;
                true
            }
            None => false,
        }
    }

    fn took(&self, task: &Task<K>, reading: Reading) {
        self.counted.count(&reading.result);
        {
            let mut runs = self.lock();
            let Some(run) = runs
                .get_mut(&task.uid)
                .filter(|run| run.trial == task.trial)
            else {
                self.sweeper.again(&task.uid);
                return;
            };
            run.gates.remove(&task.gate);
            run.readings.push_back(reading);
            if run.readings.len() > READINGS_KEPT {
                run.readings.pop_front();
            }
        }
        self.triggers.trigger_ref(task.object.clone());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Run<K>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Gated> Run<K> {
    fn new(trial: Trial) -> Self {
        Self {
            trial,
            gates: HashMap::new(),
            memories: HashMap::new(),
            readings: VecDeque::new(),
        }
    }

    fn keep_to(&mut self, trial: &Trial) {
        if self.trial != *trial {
            *self = Self::new(trial.clone());
        }
    }

    /// What is remembered of a gate; nothing once it asks something else.
    fn memory(&mut self, gate: &str, question: &Arc<Question>) -> Arc<Memory> {
        if let Some((of, memory)) = self.memories.get(gate)
            && of == question
        {
            return Arc::clone(memory);
        }
        // Counting begins anew from what is on record; what was counted beyond would be counted twice.
        self.readings.retain(|reading| reading.gate != gate);
        let memory = Arc::<Memory>::default();
        let entry = (Arc::clone(question), Arc::clone(&memory));
        self.memories.insert(gate.to_owned(), entry);
        memory
    }
}

/// When a question is asked, and about what time.
#[derive(Clone, Copy, Debug)]
enum Timing {
    /// As soon as it is due.
    AtOnce,
    /// About round times.
    Round(Grid),
}

impl Timing {
    fn look(self, due_at: Timestamp) -> Look {
        match self {
            Self::AtOnce => Look {
                about: due_at,
                ask_at: due_at,
            },
            Self::Round(grid) => grid.look(due_at, Timestamp::now()),
        }
    }
}

/// Only comparisons have round times: a number with a bound is wanted as soon as it is due.
fn timing<K: Gated>(object: &K, question: &Question) -> Timing {
    let Kind::Comparison(comparison) = &question.kind else {
        return Timing::AtOnce;
    };
    // Arguments from fields are values of this object alone.
    let own = !question.arguments.fields.is_empty();
    let object = own.then(|| (object.namespace(), object.name_any()));
    let same = (comparison.texts(), question.arguments.given(), object);
    Timing::Round(Grid::of(comparison, &same))
}

fn standing<'a, K: Gated>(object: &'a K, gate: &str) -> Option<&'a GateState> {
    object.standings().iter().find(|state| state.name == gate)
}

fn counted_through<K: Gated>(object: &K, gate: &str) -> Option<Timestamp> {
    let evidence = standing(object, gate)?.evidence.as_ref()?;
    Some(evidence.counted_through)
}

fn admission<K: Gated>(object: &K, gate: &str) -> Admission {
    match standing(object, gate) {
        Some(state) if state.budget_frozen => Admission::Frozen,
        _ => Admission::Open,
    }
}

/// Which measurement this is, for gates whose measurements cost something.
fn place<K: Gated>(object: &K, measure: &Measure, question: &Question) -> Option<Place> {
    let round = measure.round.filter(|_| question.kind.is_job())?;
    Some(Place {
        segment: object.segment(),
        round,
    })
}

/// The service accounts in whose names Jobs of `object` run.
fn accounts<K: Gated>(object: &K, questions: &HashMap<String, Arc<Question>>) -> Vec<Identity> {
    let names = questions.values().filter_map(|q| q.kind.account());
    names
        .map(|name| Identity {
            namespace: object.namespace().unwrap_or_default(),
            name: name.to_owned(),
        })
        .collect()
}

fn is_counted(reading: &Reading, gates: &[GateState]) -> bool {
    gates
        .iter()
        .find(|state| state.name == reading.gate)
        .and_then(|state| state.measured_at)
        .is_some_and(|counted| reading.at <= counted)
}
