//! Which types may go to other threads, and be used by several: checked when this file is compiled.

use std::cell::Cell;
use std::rc::Rc;

use perloop_bridge::{
    AsCompleted, Bell, CallRef, Completion, CrossThreadFuture, Forked, FutureError, Home, InvalidState,
    LoopClosed, LoopDied, Panicked, Promise, Ready, Refusal, Refused, Remote, Scope, ScopedFuture, TaskRef,
    WouldDeadlock,
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
// A value goes to one thread and is never shared, so it need not be `Sync`.
assert_both!(CrossThreadFuture<Cell<u8>>, Promise<Cell<u8>>, Completion<'static, Cell<u8>>);
assert_both!(ScopedFuture<'static, Cell<u8>>);
assert_not!(Send: CrossThreadFuture<Rc<u8>>, Completion<'static, Rc<u8>>, ScopedFuture<'static, Rc<u8>>);
assert_not!(Sync: CrossThreadFuture<Rc<u8>>, Completion<'static, Rc<u8>>, ScopedFuture<'static, Rc<u8>>);

// What the loop's own thread has.
assert_not!(Send: Home, TaskRef, TaskRef, Ready, CallRef, Scope<'static, 'static, ()>, AsCompleted<'static>);
assert_not!(Sync: Home, TaskRef, TaskRef, Ready, CallRef, Scope<'static, 'static, ()>, AsCompleted<'static>);

/// The sizes that every submission pays for.
#[test]
fn handles_are_small() {
    assert_eq!(size_of::<Remote>(), size_of::<usize>());
    assert_eq!(size_of::<Option<TaskRef>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<TaskRef>>(), size_of::<usize>());
    assert!(size_of::<CrossThreadFuture<[u8; 100]>>() <= 6 * size_of::<usize>());
}
