//! A loop of a group that dies: who is told, and who comes in its place. This runs on the thread that dies.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use perloop_bridge::Panicked;

use crate::event_loop_group::Shared;
use crate::event_loop_group::member::Member;

/// A loop of a group has died: a panic ended its thread. All that was submitted to it has ended with
/// [`LoopDied`](crate::LoopDied) by then.
///
/// # Examples
/// ```
/// use std::sync::mpsc;
/// use perloop::{EventLoop, EventLoopGroup, LoopDeath, PanicPolicy};
///
/// let (sender, deaths) = mpsc::channel::<LoopDeath>();
/// let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
/// let group = EventLoopGroup::builder().loops(2).settings(settings).replace_dead(1);
/// let group = group.on_death(move |death| drop(sender.send(death.clone()))).spawn()?;
/// group.get(1).unwrap().call_soon_threadsafe(|| panic!("nobody will ask"))?;
/// let death = deaths.recv()?;
/// assert_eq!((death.index, death.generation, death.is_replaced), (1, 0, true));
/// assert_eq!(death.panicked.message(), "nobody will ask");
/// assert_eq!(group.get(1).unwrap().block_on(async { 42 }), Ok(42)); // another loop
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoopDeath {
    /// The loop's name.
    pub name: String,
    /// Its index in the group.
    pub index: usize,
    /// How many loops there were of this index before it.
    pub generation: u64,
    /// The panic.
    pub panicked: Panicked,
    /// Is there another loop in its place by now?
    pub is_replaced: bool,
}

/// Who wants to hear of deaths.
#[derive(Clone)]
pub(super) struct OnDeath(Arc<dyn Fn(&LoopDeath) + Send + Sync>);

impl OnDeath {
    pub(super) fn new(tell: impl Fn(&LoopDeath) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for OnDeath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDeath(..)")
    }
}

impl Shared {
    /// The loop of this index and generation has died.
    pub(super) fn mourn(self: &Arc<Self>, name: &str, index: usize, generation: u64, panicked: Panicked) {
        let is_replaced = generation < self.settings.replacements && self.replace(index, generation + 1);
        let death = LoopDeath { name: name.to_owned(), index, generation, panicked, is_replaced };
        contained(|| {
            let panic = death.panicked.message();
            tracing::error!(target: "perloop", event_loop = name, generation, panic, is_replaced, "a loop died");
        });
        if let Some(OnDeath(tell)) = &self.settings.on_death {
            contained(|| tell(&death));
        }
    }

    /// False: there is none in its place, since the group ends, or the system gives no thread.
    fn replace(self: &Arc<Self>, index: usize, generation: u64) -> bool {
        let started = Member::start(&self.settings, self.handle.id(), index, generation, self.core_of(index));
        let (member, life) = match started {
            Ok(started) => started,
            Err(error) => {
                contained(
                    || tracing::error!(target: "perloop", index, %error, "a loop that died is not replaced"),
                );
                return false;
            }
        };
        life.begin(self);
        let seat = member.seat();
        // First, so that who closes the roster after it was given its seat finds the thread. A group of daemons may be gone,
        // and then nobody joins it.
        drop(self.births.send(member));
        let seated = self.handle.0.roster.replace(index, seat);
        // None would end it otherwise.
        seated.map_err(|late| late.handle.stop()).is_ok()
    }
}

/// Runs foreign code. A panic in it was reported by the panic hook.
fn contained(code: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(code)));
}
