//! The loops: each place has one after the other, and each ends in one of the ways in which loops end, while work is
//! still being handed in.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use perloop::{Builder, EventLoop, LoopHandle, LoopThread, Promise, Spin, get_running_loop, set_event_loop};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::dice::Dice;
use crate::ledger::MEANT;
use crate::watchdog::Post;

/// After how many submissions at the most a loop ends.
const LIFE_LIMIT: u64 = 1500;

/// How a loop lives and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `LoopThread`, joined.
    Joined,
    /// A `LoopThread`, dropped.
    Dropped,
    /// Stopped, and closed with all its tasks.
    Closed,
    /// Turned by hand, and dropped.
    Guest,
    /// The one of a thread that ends.
    Ended,
    /// The one of a thread that panics between two turns.
    Panicked,
    /// Its own code panics.
    Burst,
    /// That of `perloop::run`, whose main task ends.
    Run,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Joined,
        Self::Dropped,
        Self::Closed,
        Self::Guest,
        Self::Ended,
        Self::Panicked,
        Self::Burst,
        Self::Run,
    ];
}

/// One loop, for those who hand work in.
pub(crate) struct Life {
    pub(crate) handle: LoopHandle,
    kind: Kind,
    uses: AtomicU64,
    limit: u64,
    enough: Sender<()>,
}

impl Life {
    /// Counts a submission. The last one that there is to be tells the keeper.
    pub(crate) fn count_use(&self) {
        if self.uses.fetch_add(1, Relaxed) + 1 == self.limit {
            // Nobody listens once all is over.
            let _ = self.enough.send(());
        }
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, uses, limit) = (self.kind, self.uses.load(Relaxed), self.limit);
        write!(f, "{kind:?}, {uses} of {limit} submissions, {:?}", self.handle)
    }
}

/// Where one loop follows the other.
pub(crate) struct Place {
    life: RwLock<Arc<Life>>,
    phase: AtomicU8,
    enough: Sender<()>,
    pub(crate) post: Post,
}

const PHASES: [&str; 3] = ["being made", "open", "ending"];
const MAKING: u8 = 0;
const OPEN: u8 = 1;
const ENDING: u8 = 2;

impl Place {
    pub(crate) fn life(&self) -> Arc<Life> {
        Arc::clone(&self.life.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keeper ends the loop that there is, and makes no more if it is told to stop.
    pub(crate) fn end_soon(&self) {
        let _ = self.enough.send(());
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", PHASES[usize::from(self.phase.load(Relaxed))], self.life())
    }
}

/// Who makes and ends the loops of a place.
pub(crate) struct Keeper {
    place: Arc<Place>,
    lived: Living,
    over: Receiver<()>,
    dice: Dice,
    is_over: Arc<AtomicBool>,
    ended: [u64; Kind::ALL.len()],
}

impl Keeper {
    /// With the first loop of its place.
    pub(crate) fn new(mut dice: Dice, is_over: &Arc<AtomicBool>) -> io::Result<Self> {
        let (enough, over) = channel();
        let (life, lived) = begin(&mut dice, &enough)?;
        let place = Place {
            life: RwLock::new(Arc::new(life)),
            phase: AtomicU8::new(OPEN),
            enough,
            post: Post::default(),
        };
        let (place, is_over) = (Arc::new(place), Arc::clone(is_over));
        Ok(Self { place, lived, over, dice, is_over, ended: Default::default() })
    }

    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// Says how many loops ended in each way.
    pub(crate) fn keep(mut self) -> io::Result<[u64; Kind::ALL.len()]> {
        loop {
            // Not waited for by the watchdog: it comes with the submissions.
            self.over.recv().expect("the place keeps a sender");
            self.place.phase.store(ENDING, Relaxed);
            self.place.post.begin(usize::from(ENDING));
            self.ended[self.lived.kind() as usize] += 1;
            self.lived.end();
            self.place.phase.store(MAKING, Relaxed);
            if self.is_over.load(Relaxed) {
                self.place.post.rest();
                return Ok(self.ended);
            }
            let (life, lived) = begin(&mut self.dice, &self.place.enough)?;
            *self.place.life.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(life);
            self.lived = lived;
            self.place.phase.store(OPEN, Relaxed);
            self.place.post.rest();
        }
    }
}

/// What ends a loop.
enum Living {
    Thread(Kind, Option<LoopThread>),
    Own(Kind, LoopHandle, Arc<AtomicBool>, Option<JoinHandle<()>>),
    Run(Promise<()>, Option<JoinHandle<()>>),
}

impl Living {
    fn kind(&self) -> Kind {
        match self {
            Self::Thread(kind, _) | Self::Own(kind, ..) => *kind,
            Self::Run(..) => Kind::Run,
        }
    }

    fn end(&mut self) {
        match self {
            Self::Thread(Kind::Joined, thread) => {
                thread.take().expect("it ends once").join().expect("nothing ends it but us");
            }
            Self::Thread(_, thread) => drop(thread.take()),
            Self::Own(kind, handle, is_over, thread) => {
                is_over.store(true, Relaxed);
                if *kind == Kind::Burst {
                    arm(handle)
                } else {
                    handle.stop()
                }
                let joined = thread.take().expect("it ends once").join();
                let meant = joined.as_ref().err().and_then(|payload| payload.downcast_ref::<&str>());
                let is_to_panic = matches!(kind, Kind::Panicked | Kind::Burst);
                assert_eq!(meant, is_to_panic.then_some(&MEANT), "the thread of {handle:?}");
            }
            Self::Run(end, thread) => {
                end.set_result(()).expect("it is set once");
                thread.take().expect("it ends once").join().expect("nothing ends it but us");
            }
        }
    }
}

fn begin(dice: &mut Dice, enough: &Sender<()>) -> io::Result<(Life, Living)> {
    let kind = Kind::ALL[dice.index(Kind::ALL.len())];
    let (handle, living) = match kind {
        Kind::Joined | Kind::Dropped => {
            let thread = LoopThread::spawn_with("looping", builder(dice))?;
            (thread.handle(), Living::Thread(kind, Some(thread)))
        }
        Kind::Run => begin_run(builder(dice)),
        _ => begin_own(kind, builder(dice)),
    };
    // Most are short, so that much is handed in to loops that end.
    let longest = if dice.one_in(4) { LIFE_LIMIT } else { LIFE_LIMIT / 10 };
    let (limit, uses) = (1 + dice.below(longest), AtomicU64::new(0));
    Ok((Life { handle, kind, uses, limit, enough: enough.clone() }, living))
}

fn builder(dice: &mut Dice) -> Builder {
    let builder = EventLoop::builder().name("stressed");
    let builder = match dice.below(4) {
        0 => builder.spin(Spin::Never),
        1 => builder.spin(Spin::For(Duration::from_micros(20))),
        _ => builder,
    };
    if dice.one_in(4) { builder.portable_wait() } else { builder }
}

/// A thread that owns a loop without the help of `LoopThread`.
fn begin_own(kind: Kind, builder: Builder) -> (LoopHandle, Living) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (told, (send, receive)) = (Arc::clone(&is_over), channel());
    let thread = thread::spawn(move || {
        let event_loop = builder.build().expect("there are descriptors left");
        send.send(event_loop.handle()).expect("the keeper waits");
        live(kind, event_loop, &told);
    });
    let handle = receive.recv().expect("the loop was made");
    (handle.clone(), Living::Own(kind, handle, is_over, Some(thread)))
}

fn live(kind: Kind, event_loop: EventLoop, is_over: &AtomicBool) {
    let run = |event_loop: &EventLoop| event_loop.run_forever().expect("it is ours to run");
    match kind {
        Kind::Guest => {
            while !is_over.load(Relaxed) {
                event_loop.run_once(None).expect("it is ours to turn");
            }
        }
        Kind::Ended | Kind::Panicked => {
            // Its thread's own, so it ends with the thread.
            drop(set_event_loop(Some(&event_loop)));
            run(&event_loop);
            drop(event_loop);
            if kind == Kind::Panicked {
                resume_unwind(Box::new(MEANT));
            }
        }
        Kind::Burst => {
            let _bursts = tracing::subscriber::set_default(Bursts);
            run(&event_loop);
        }
        Kind::Closed | Kind::Joined | Kind::Dropped | Kind::Run => {
            run(&event_loop);
            event_loop.close().expect("it does not run any more");
        }
    }
}

fn begin_run(builder: Builder) -> (LoopHandle, Living) {
    let ((end, main), (send, receive)) = (Promise::new(), channel());
    let thread = thread::spawn(move || {
        let run = builder.run(async move {
            send.send(get_running_loop().expect("it runs").handle()).expect("the keeper waits");
            main.await
        });
        run.expect("nobody stops it").expect("the keeper sets it");
    });
    (receive.recv().expect("the loop runs"), Living::Run(end, Some(thread)))
}

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

/// At its next chance the loop's own code panics.
fn arm(handle: &LoopHandle) {
    handle.call_soon_threadsafe(|| IS_ARMED.set(true)).expect("nothing ends it but this");
}

/// A `tracing` subscriber is the one stranger that the loop calls without a net.
struct Bursts;

impl Subscriber for Bursts {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "perloop" && metadata.is_event()
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        // Not an error that the loop reports: that comes out of foreign code, where a panic is contained.
        if *event.metadata().level() == tracing::Level::TRACE && IS_ARMED.replace(false) {
            resume_unwind(Box::new(MEANT));
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
