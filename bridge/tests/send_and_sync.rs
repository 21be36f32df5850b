//! Which types may go to other threads, and be used by several: checked when this file is compiled.

use std::cell::Cell;
use std::rc::Rc;

use perloop_bridge::{
    ActorName, Answer, AsCompleted, Asker, Asking, Belfry, Bell, Burial, CallRef, Closing, Completion,
    CrossThreadFuture, Depot, DoneAndPending, Forked, FutureError, GetBlockingError, GroupId, Handing, Home,
    InGroup, InvalidState, Letter, LoopClosed, LoopDied, Mailbox, Members, NameEntry, Opener, Outside,
    Panicked, Permit, PermitError, Permits, PooledFuture, Post, Promise, PutBlockingError, QueueClosed,
    Ready, Received, Refusal, Refused, Remote, Reply, ReturnWhen, RoomWait, Roster, Scope, ScopedFuture,
    Seen, SharedText, Spin, Staff, Stepped, TakePermit, TaskRef, ThreadGet, ThreadPut, ThreadReceiver,
    ThreadSender, TryGetError, TryPutError, Unopened, Watch, WhenFull, Witness, WouldDeadlock,
};

const fn is_send<T: ?Sized + Send>() {}
const fn is_sync<T: ?Sized + Sync>() {}

/// Fails to compile if the type has the trait, since then it is not clear which `check` is meant.
macro_rules! assert_not {
    ($trait:ident: $($type:ty),+ $(,)?) => {$(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn check() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Has;
            impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
            let _ = <$type as Ambiguous<_>>::check;
        };
    )+};
}

macro_rules! assert_both {
    ($($type:ty),+ $(,)?) => {
        const _: () = { $( is_send::<$type>(); is_sync::<$type>(); )+ };
    };
}

// What other threads have.
assert_both!(Remote, dyn Bell, Panicked, FutureError, Refusal, LoopClosed, LoopDied);
assert_both!(Forked, WouldDeadlock, InvalidState, Refused<u8>);
assert_both!(Closing, DoneAndPending, Outside, ReturnWhen, Spin, Stepped);
assert_both!(Depot, Belfry);
assert_not!(Send: Refused<Rc<u8>>);
assert_not!(Sync: Refused<Cell<u8>>);
// A value goes to one thread and is never shared, so it need not be `Sync`.
assert_both!(CrossThreadFuture<Cell<u8>>, Promise<Cell<u8>>, Completion<'static, Cell<u8>>);
assert_both!(ScopedFuture<'static, Cell<u8>>);
assert_not!(Send: CrossThreadFuture<Rc<u8>>, Completion<'static, Rc<u8>>, ScopedFuture<'static, Rc<u8>>);
assert_not!(Sync: CrossThreadFuture<Rc<u8>>, Completion<'static, Rc<u8>>, ScopedFuture<'static, Rc<u8>>);
assert_both!(Handing, Staff, GetBlockingError, TryGetError);
assert_both!(ThreadSender<Cell<u8>>, ThreadReceiver<Cell<u8>>, ThreadGet<'static, Cell<u8>>);
assert_both!(Roster<u8>, GroupId);
assert_not!(Send: Roster<Cell<u8>>);
assert_not!(Sync: Roster<Cell<u8>>);
assert_both!(Members<u8>, Seen<u8>);
assert_not!(Send: Members<Cell<u8>>, Seen<Cell<u8>>);
assert_both!(Permits, Permit, PermitError, TakePermit<'static>);
// These hold the item.
assert_both!(ThreadPut<'static, u8>, QueueClosed<u8>, TryPutError<u8>, PutBlockingError<u8>);
assert_not!(Sync: ThreadPut<'static, Cell<u8>>, QueueClosed<Cell<u8>>, TryPutError<Cell<u8>>);

struct Receiver;
impl Opener for Receiver {
    type Opened<'a> = ();
}
assert_both!(ActorName, Asker, Asking, NameEntry, SharedText);
assert_both!(Post<Receiver>, Unopened<Receiver>, Letter<Receiver>, Received<Receiver>, RoomWait);
assert_both!(Answer<Cell<u8>>, Reply<Cell<u8>>);
assert_both!(Watch, Witness);
assert_both!(Burial, WhenFull);
assert_not!(Send: Mailbox<Receiver>, PooledFuture<'static, u8>);
assert_not!(Sync: Mailbox<Receiver>, PooledFuture<'static, u8>);

// What the loop's own thread has.
assert_not!(Send: InGroup);
assert_not!(Sync: InGroup);
assert_not!(Send: Home, TaskRef, Ready, CallRef, Scope<'static, 'static, ()>, AsCompleted<'static>);
assert_not!(Sync: Home, TaskRef, Ready, CallRef, Scope<'static, 'static, ()>, AsCompleted<'static>);

/// Each type that the crate exports stands in the lists above, which are checked when this file is compiled.
#[test]
fn c_send_sync_matrix() {
    let (library, here) = (include_str!("../src/lib.rs"), include_str!("send_and_sync.rs"));
    let exports = library.split("pub use ").skip(1).flat_map(|rest| rest.split(';').next());
    let words = exports.flat_map(|list| list.split(|c: char| !c.is_alphanumeric()));
    let types: Vec<_> = words.filter(|word| word.starts_with(char::is_uppercase)).collect();
    assert!(types.len() > 25, "{types:?}");
    // Traits, of which nothing is made: it is their implementors' own business.
    let traits = ["AnyFuture", "Call", "Open", "Opener", "Question", "Record"];
    let checked: String = here.lines().filter(|line| line.starts_with("assert_")).collect();
    let is_checked = |name: &str| checked.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
    let missing: Vec<_> =
        types.into_iter().filter(|name| !traits.contains(name) && !is_checked(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The sizes that every submission pays for.
#[test]
fn handles_are_small() {
    assert_eq!(size_of::<Remote>(), size_of::<usize>());
    assert_eq!(size_of::<Option<TaskRef>>(), size_of::<usize>());
    assert_eq!(size_of::<Result<u64, FutureError>>(), 2 * size_of::<usize>());
    assert!(size_of::<CrossThreadFuture<[u8; 100]>>() <= 6 * size_of::<usize>());
}
