//! The one allocation of a task: header, the loop's record of it, and the body, which its output replaces.

use std::any::TypeId;
use std::cell::Cell as StdCell;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit, needs_drop};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use crate::core::LoopCore;
use crate::errors::{FutureError, Panicked};
use crate::foreign::{contain, drop_contained};
use crate::inbox::Node;
use crate::pool;
use crate::sync::{Alive, Mutex, ThreadToken, UnsafeCell, thread_cell};
use crate::task::local::Local;
use crate::task::state::State;
use crate::watchers::Watchers;

/// What the loop keeps with each of its tasks. It lives on the loop's thread and is dropped there; what comes along
/// with a submission is its seed. `()` is the record of a loop that keeps nothing.
///
/// All tasks of a loop have records of one type.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// use perloop_bridge::{Ready, Record};
///
/// struct Name(String);
///
/// impl Record for Name {
///     type Seed = &'static str;
///
///     fn adopt(seed: &'static str) -> Self {
///         Self(seed.to_owned())
///     }
/// }
///
/// let future = home.remote().submit::<Name, _>("answer", async { 42 });
/// let Some(Ready::Adopt(task)) = home.pop() else { unreachable!() };
/// assert!(task.adopt());
/// assert_eq!(task.record::<Name>().0, "answer");
/// # drop(future);
/// ```
pub trait Record: Sized + 'static {
    /// What the submitting thread gives.
    type Seed: Send + 'static;

    /// Makes the record, on the loop's thread, when the loop takes the submission up.
    fn adopt(seed: Self::Seed) -> Self;
}

impl Record for () {
    type Seed = ();

    fn adopt((): ()) {}
}

/// The front of every cell, whatever its body, as large as a cache line. Who may touch which field is said in
/// [`task`](crate::task).
#[repr(C)]
pub(crate) struct Header {
    alive: Alive,
    vtable: &'static VTable,
    pub(crate) state: State,
    next: UnsafeCell<*mut Header>,
    /// None for a bare future.
    pub(crate) core: Option<NonNull<LoopCore>>,
    pub(crate) local: Local,
    pub(crate) thread: ThreadToken,
    /// None if nobody ever watched.
    pub(crate) watchers: Mutex<Option<Box<Watchers>>>,
}

/// The record has the same place in every cell of a loop, whatever the body.
#[repr(C)]
struct Front<R: Record> {
    header: Header,
    record: UnsafeCell<RecordSlot<R>>,
}

enum RecordSlot<R: Record> {
    Seed(R::Seed),
    Kept(R),
    Gone,
}

/// See the [module](self).
#[repr(C)]
pub(crate) struct Cell<R: Record, B: Future> {
    front: Front<R>,
    stage: UnsafeCell<Stage<B>>,
}

/// What the slot holds. An output is dropped by hand, since taking one from another thread leaves its bits behind.
enum Stage<B: Future> {
    Body(B),
    Output(ManuallyDrop<Result<B::Output, FutureError>>),
    Gone,
}

impl<B: Future> Stage<B> {
    fn output(output: Result<B::Output, FutureError>) -> Self {
        Self::Output(ManuallyDrop::new(output))
    }
}

/// What can be done with a cell whose body's type is forgotten. Each demands a live cell of that type, and the right
/// to touch the field that it is about (see [`task`](crate::task)).
pub(crate) struct VTable {
    record_type: TypeId,
    /// None if the home thread may not take it.
    output_type: Option<TypeId>,
    poll: unsafe fn(CellPtr, &mut Context<'_>) -> Polled,
    fail: unsafe fn(CellPtr, FutureError),
    drop_stage: unsafe fn(CellPtr),
    adopt_record: unsafe fn(CellPtr),
    drop_record: unsafe fn(CellPtr),
    take_output: unsafe fn(CellPtr, *mut ()),
    copy_output: unsafe fn(CellPtr, *mut ()),
    error: unsafe fn(CellPtr) -> Option<FutureError>,
    output: unsafe fn(CellPtr) -> *const (),
    drop_value: unsafe fn(CellPtr),
    free: unsafe fn(CellPtr),
    /// Whether freeing the cell may free others: its output has a destructor.
    is_deep: bool,
}

/// What a poll of a body has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polled {
    Pending,
    Value,
    Error,
}

/// A pointer to a cell, with the right to the whole allocation. It counts nothing by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellPtr(NonNull<Header>);

/// How many cells may be freed one inside of the other.
const DEEPEST: u32 = 16;

thread_cell! {
    /// How many cells this thread is freeing one inside of the other, and the first of those that wait.
    static FREEING: (u32, *mut Header) = (0, ptr::null_mut());
}

/// How a new cell's header begins.
pub(crate) struct Birth {
    pub(crate) vtable: &'static VTable,
    pub(crate) state: State,
    pub(crate) local: Local,
    pub(crate) core: Option<NonNull<LoopCore>>,
    pub(crate) thread: ThreadToken,
}

impl<R: Record, B: Future + 'static> Cell<R, B> {
    /// Of a task that was made at home.
    pub(crate) const TAKEABLE: VTable =
        VTable { output_type: Some(TypeId::of::<B::Output>()), ..Self::VTABLE };
}

impl<R: Record, B: Future> Cell<R, B> {
    pub(crate) const VTABLE: VTable = VTable {
        record_type: TypeId::of::<R>(),
        output_type: None,
        poll: Self::poll,
        fail: Self::fail,
        drop_stage: Self::drop_stage,
        adopt_record: Self::adopt_record,
        drop_record: Self::drop_record,
        take_output: Self::take_output,
        copy_output: Self::copy_output,
        error: Self::error,
        output: Self::output_at,
        drop_value: Self::drop_value,
        free: Self::free,
        is_deep: needs_drop::<B::Output>(),
    };

    /// A cell that comes from another thread.
    pub(crate) fn seeded(birth: Birth, seed: R::Seed, body: B) -> CellPtr {
        Self::allocate(birth, || RecordSlot::Seed(seed), Stage::Body(body))
    }

    /// A cell that is made on its loop.
    #[inline]
    pub(crate) fn kept(birth: Birth, record: impl FnOnce() -> R, body: B) -> CellPtr {
        Self::allocate(birth, || RecordSlot::Kept(record()), Stage::Body(body))
    }

    /// A cell that has no body and waits for its output.
    pub(crate) fn bare(birth: Birth, seed: R::Seed) -> CellPtr {
        Self::allocate(birth, || RecordSlot::Seed(seed), Stage::Gone)
    }

    /// `record` is called when there is a place for what it gives: as nothing can go wrong after that, the compiler builds
    /// the cell where it stays. It must not panic.
    #[inline]
    fn allocate(birth: Birth, record: impl FnOnce() -> RecordSlot<R>, stage: Stage<B>) -> CellPtr {
        let header = Header {
            alive: Alive::new(),
            state: birth.state,
            next: UnsafeCell::new(ptr::null_mut()),
            local: birth.local,
            watchers: Mutex::new(None),
            core: birth.core,
            thread: birth.thread,
            vtable: birth.vtable,
        };
        let place = pool::allocate::<Self>();
        let front = Front { header, record: UnsafeCell::new(record()) };
        // SAFETY: the memory is new, and of this type's layout.
        unsafe { place.write(Self { front, stage: UnsafeCell::new(stage) }) };
        CellPtr(place.cast())
    }

    /// # Safety
    /// `cell` points to a live cell of this very type.
    #[inline]
    unsafe fn of<'a>(cell: CellPtr) -> &'a Self {
        // SAFETY: the caller's promise; the header stands first, and the pointer covers the allocation.
        unsafe { cell.0.cast::<Self>().as_ref() }
    }

    /// # Safety
    /// As `of`; on the home thread, with the body in place and not in use.
    #[inline]
    unsafe fn poll(cell: CellPtr, cx: &mut Context<'_>) -> Polled {
        // SAFETY: the caller's promise.
        let this = unsafe { Self::of(cell) };
        let polled = this.stage.with_mut(|stage| {
            // SAFETY: rule 5: until the body has ended the home thread alone touches the stage.
            let Stage::Body(body) = (unsafe { &mut *stage }) else { unreachable!("polled after its end") };
            // SAFETY: the body does not move before it is dropped in place: the cell is on the heap, and `replace`
            // drops before it writes.
            let body = unsafe { Pin::new_unchecked(body) };
            contain(|| body.poll(cx))
        });
        match polled {
            Ok(Poll::Pending) => Polled::Pending,
            Ok(Poll::Ready(output)) => this.end_body(Ok(output)),
            Err(panicked) => this.end_body(Err(FutureError::Panicked(panicked))),
        }
    }

    /// Drops the body where it lies, then puts its output there. A panic in its destructor is the outcome, if there
    /// was not another error before.
    #[inline]
    fn end_body(&self, output: Result<B::Output, FutureError>) -> Polled {
        let slot = self.stage.with_mut(|slot| slot);
        let output = match Self::drop_slot(slot) {
            Ok(()) => output,
            Err(panicked) => after_panic(output, panicked),
        };
        let ended = if output.is_ok() { Polled::Value } else { Polled::Error };
        // SAFETY: rule 5; what lay there was just dropped.
        self.stage.with_mut(|slot| unsafe { ptr::write(slot, Stage::output(output)) });
        ended
    }

    /// Drops what is in the slot, and leaves it empty.
    #[inline]
    fn empty(&self) -> Result<(), Panicked> {
        let dropped = Self::drop_slot(self.stage.with_mut(|slot| slot));
        // SAFETY: rule 5; what lay there was just dropped.
        self.stage.with_mut(|slot| unsafe { ptr::write(slot, Stage::Gone) });
        dropped
    }

    /// Drops what is in the slot, where it lies. The caller writes over it, also if a destructor has panicked. Foreign code
    /// runs outside the closures that loom watches.
    #[inline]
    fn drop_slot(slot: *mut Stage<B>) -> Result<(), Panicked> {
        // SAFETY: rule 5, by our callers: nobody else touches the slot until they are done.
        match unsafe { &mut *slot } {
            // SAFETY: as above, and it is not dropped again.
            Stage::Body(body) if needs_drop::<B>() => contain(|| unsafe { ptr::drop_in_place(body) }),
            Stage::Output(output) if output.is_err() || needs_drop::<B::Output>() => {
                // SAFETY: as above; an output that was taken is never emptied (rule 7).
                contain(|| unsafe { ManuallyDrop::drop(output) })
            }
            Stage::Body(_) | Stage::Output(_) | Stage::Gone => Ok(()),
        }
    }

    /// # Safety
    /// As `of`, with the right to the stage (rule 5).
    unsafe fn fail(cell: CellPtr, error: FutureError) {
        // SAFETY: the caller's promise.
        let ended = unsafe { Self::of(cell) }.end_body(Err(error));
        debug_assert!(ended == Polled::Error);
    }

    /// # Safety
    /// As `fail`.
    unsafe fn drop_stage(cell: CellPtr) {
        // SAFETY: the caller's promise.
        let dropped = unsafe { Self::of(cell) }.empty();
        drop(dropped);
    }

    /// Puts the output of a bare future into its slot.
    ///
    /// # Safety
    /// As `fail`.
    pub(crate) unsafe fn set_output(cell: CellPtr, output: Result<B::Output, FutureError>) {
        // SAFETY: the caller's promise.
        let _ = unsafe { Self::of(cell) }.end_body(output);
    }

    /// Takes the body of a refused submission back.
    ///
    /// # Safety
    /// As `fail`, and the cell was made by `seeded` and never published or polled, so that its body is not pinned.
    pub(crate) unsafe fn take_body(cell: CellPtr) -> B {
        // SAFETY: the caller's promise.
        let this = unsafe { Self::of(cell) };
        // SAFETY: the caller's promise: nobody else knows of the cell.
        match this.stage.with_mut(|stage| unsafe { ptr::replace(stage, Stage::Gone) }) {
            Stage::Body(body) => body,
            Stage::Output(_) | Stage::Gone => unreachable!("a submission that was never run has its body"),
        }
    }

    /// # Safety
    /// As `of`, on the home thread.
    unsafe fn adopt_record(cell: CellPtr) {
        // SAFETY: the caller's promise.
        let slot = &unsafe { Self::of(cell) }.front.record;
        // SAFETY: rule 6: only the home thread touches the record of a published cell.
        let seed = match slot.with_mut(|slot| unsafe { ptr::replace(slot, RecordSlot::Gone) }) {
            RecordSlot::Seed(seed) => seed,
            RecordSlot::Kept(_) | RecordSlot::Gone => unreachable!("adopted once"),
        };
        let record = RecordSlot::Kept(R::adopt(seed));
        // SAFETY: rule 6; what is written over is `Gone`, which owns nothing.
        slot.with_mut(|slot| unsafe { ptr::write(slot, record) });
    }

    /// # Safety
    /// As `adopt_record`, or nobody else knows of the cell.
    #[inline]
    unsafe fn drop_record(cell: CellPtr) {
        // SAFETY: the caller's promise.
        let slot = &unsafe { Self::of(cell) }.front.record;
        let slot = slot.with_mut(|slot| slot);
        // SAFETY: rule 6, and no reference to the record is left, since those borrow from a `TaskRef`. It is written over
        // below, also if its destructor panics, and not dropped again.
        drop(contain(|| unsafe { ptr::drop_in_place(slot) }));
        // SAFETY: rule 6; what lay there was dropped above.
        unsafe { ptr::write(slot, RecordSlot::Gone) };
    }

    /// Home: moves the output out, for a task that no other thread knows.
    ///
    /// # Safety
    /// As `fail`; `to` takes a `Result<B::Output, FutureError>`, and the output is there.
    unsafe fn take_output(cell: CellPtr, to: *mut ()) {
        // SAFETY: the caller's promise.
        let stage = &unsafe { Self::of(cell) }.stage;
        // SAFETY: rule 5.
        let Stage::Output(output) = stage.with_mut(|stage| unsafe { ptr::replace(stage, Stage::Gone) })
        else {
            unreachable!("taken without an output")
        };
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Result<B::Output, FutureError>>().write(ManuallyDrop::into_inner(output)) };
    }

    /// Any thread: copies the output's bits out, and leaves dead ones behind.
    ///
    /// # Safety
    /// As `of`; `to` takes a `Result<B::Output, FutureError>`; the caller has won the right to the output (rule 7).
    unsafe fn copy_output(cell: CellPtr, to: *mut ()) {
        // SAFETY: the caller's promise.
        unsafe { Self::of(cell) }.stage.with(|stage| {
            // SAFETY: rule 7: nobody writes to the slot any more.
            let Stage::Output(output) = (unsafe { &*stage }) else { unreachable!("taken without an output") };
            // SAFETY: rule 7: nobody else takes it, and nobody drops the bits that stay.
            let output = unsafe { ptr::read(output) };
            // SAFETY: the caller's promise.
            unsafe { to.cast::<Result<B::Output, FutureError>>().write(ManuallyDrop::into_inner(output)) };
        });
    }

    /// Any thread: drops a published value, and leaves its dead bits behind.
    ///
    /// # Safety
    /// As `of`; the output is a value, and the caller has won the right to it (rule 7).
    unsafe fn drop_value(cell: CellPtr) {
        let mut value = MaybeUninit::<Result<B::Output, FutureError>>::uninit();
        // SAFETY: the caller's promise.
        unsafe { Self::copy_output(cell, value.as_mut_ptr().cast()) };
        // SAFETY: `copy_output` has written it.
        drop_contained(unsafe { value.assume_init() });
    }

    /// # Safety
    /// As `of`, and the output is published (rule 7).
    unsafe fn error(cell: CellPtr) -> Option<FutureError> {
        // SAFETY: the caller's promise.
        unsafe { Self::of(cell) }.stage.with(|stage| {
            // SAFETY: rule 7: nobody writes to the slot any more. A clone of an error touches no value.
            match unsafe { &*stage } {
                Stage::Output(output) => output.as_ref().err().cloned(),
                Stage::Body(_) | Stage::Gone => None,
            }
        })
    }

    /// Home: where the output lies, a `Result<B::Output, FutureError>`.
    ///
    /// # Safety
    /// As `fail`, and the output is there.
    unsafe fn output_at(cell: CellPtr) -> *const () {
        // SAFETY: the caller's promise.
        unsafe { Self::of(cell) }.stage.with(|stage| {
            // SAFETY: rule 5.
            let Stage::Output(output) = (unsafe { &*stage }) else {
                unreachable!("looked at without an output")
            };
            ptr::from_ref::<Result<B::Output, FutureError>>(output).cast()
        })
    }

    /// # Safety
    /// As `of`; nobody else has a reference.
    #[inline]
    unsafe fn free(cell: CellPtr) {
        let header = cell.header();
        // SAFETY: the caller's promise.
        let this = unsafe { Self::of(cell) };
        if !header.state.load().is_taken() {
            drop(this.empty());
        }
        header.alive.bury();
        if needs_drop::<Header>() {
            drop_contained(DropHeader(cell));
        }
        // SAFETY: it comes from `allocate`, this was the last pointer to it, and nothing is left in it: the header was just
        // dropped, the record when its seed was refused or with the last `TaskRef` (rule 6), and the output above, unless
        // it was taken.
        unsafe { pool::free(cell.0.cast::<Self>()) };
    }
}

/// What becomes of a body that would have ended so, had not its destructor panicked.
#[cold]
fn after_panic<T>(output: Result<T, FutureError>, panicked: Panicked) -> Result<T, FutureError> {
    match output {
        Ok(output) => {
            drop_contained(output);
            Err(FutureError::Panicked(panicked))
        }
        // An error out of the clean-up replaces the cancellation, as in asyncio.
        Err(FutureError::Cancelled) => Err(FutureError::Panicked(panicked)),
        Err(error) => Err(error),
    }
}

/// Drops what the header of a cell has, with the watchers that were never told.
struct DropHeader(CellPtr);

impl Drop for DropHeader {
    fn drop(&mut self) {
        // SAFETY: by `free`, which makes it: nobody else has a pointer, and it is dropped once.
        unsafe { self.0.0.drop_in_place() };
    }
}

impl Node for CellPtr {
    type Head = Header;

    #[inline]
    fn from_raw(raw: *mut Header) -> Option<Self> {
        Self::from_raw(raw)
    }

    #[inline]
    fn as_ptr(self) -> *mut Header {
        self.as_ptr()
    }

    #[inline]
    fn next(self) -> *mut Header {
        self.next()
    }

    #[inline]
    fn set_next(self, node: *mut Header) {
        self.set_next(node);
    }
}

impl CellPtr {
    /// Is the output a `T` that the home thread may take?
    #[inline]
    pub(crate) fn has_output<T: 'static>(self) -> bool {
        self.header().vtable.output_type == Some(TypeId::of::<T>())
    }

    pub(crate) fn from_raw(raw: *mut Header) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// The front of the cell, for as long as the caller's reference keeps it.
    #[inline]
    pub(crate) fn header<'a>(self) -> &'a Header {
        // SAFETY: rule 1: who holds a pointer holds a reference, or has just won the last one.
        let header = unsafe { self.0.as_ref() };
        header.alive.check();
        header
    }

    #[inline]
    pub(crate) fn next(self) -> *mut Header {
        // SAFETY: rule 3: the node is in a batch, which its taker owns, or the cell is ours alone.
        self.header().next.with(|next| unsafe { *next })
    }

    #[inline]
    pub(crate) fn set_next(self, node: *mut Header) {
        // SAFETY: rule 3: the node is not published yet, or in a batch, which its taker owns, or the cell is ours alone.
        self.header().next.with_mut(|next| unsafe { *next = node });
    }

    #[inline]
    pub(crate) fn retain(self) {
        self.header().state.retain();
    }

    /// Gives one reference back, and frees the cell with the last one.
    #[inline]
    pub(crate) fn release(self) {
        if self.header().state.release() {
            self.free();
        }
    }

    /// Home: gives the home thread's reference back.
    #[inline]
    pub(crate) fn release_home(self) {
        if self.header().state.release_home() {
            self.free();
        }
    }

    /// Frees the cell. Its output may hold the last reference to another cell, whose output may hold another, and so
    /// on: beyond a few of them they wait in a list, or a long chain would use up the stack.
    #[inline]
    fn free(self) {
        let vtable = self.header().vtable;
        if !vtable.is_deep {
            // SAFETY: rule 1: the last reference is ours.
            return unsafe { (vtable.free)(self) };
        }
        self.free_deep();
    }

    fn free_deep(self) {
        let (depth, put_off) = FREEING.with(StdCell::get);
        if depth == DEEPEST {
            self.set_next(put_off);
            return FREEING.with(|freeing| freeing.set((depth, self.as_ptr())));
        }
        FREEING.with(|freeing| freeing.set((depth + 1, put_off)));
        self.free_now();
        while depth == 0
            && let Some(cell) = Self::from_raw(FREEING.with(StdCell::get).1)
        {
            FREEING.with(|freeing| freeing.set((1, cell.next())));
            cell.free_now();
        }
        FREEING.with(|freeing| freeing.set((depth, freeing.get().1)));
    }

    fn free_now(self) {
        // SAFETY: rule 1: the last reference is ours.
        unsafe { (self.header().vtable.free)(self) };
    }

    /// Home: polls the body once. Ready: it is dropped, and its output in its place.
    #[inline]
    pub(crate) fn poll(self, cx: &mut Context<'_>) -> Polled {
        // SAFETY: rule 5, by our caller `TaskRef`, which asserts that the body is there and not in use.
        unsafe { (self.header().vtable.poll)(self, cx) }
    }

    /// Drops the body, if it is there still, and puts an error in its place.
    pub(crate) fn fail(self, error: FutureError) {
        // SAFETY: rule 5, by our callers.
        unsafe { (self.header().vtable.fail)(self, error) }
    }

    /// Drops what the slot holds.
    pub(crate) fn drop_stage(self) {
        // SAFETY: rule 5, or the last reference is ours (rule 1).
        unsafe { (self.header().vtable.drop_stage)(self) }
    }

    pub(crate) fn adopt_record(self) {
        // SAFETY: rule 6, by our caller `TaskRef::adopt`, which runs once.
        unsafe { (self.header().vtable.adopt_record)(self) }
    }

    #[inline]
    pub(crate) fn drop_record(self) {
        // SAFETY: rule 6, by our callers: no `TaskRef` is left, or the submission was refused.
        unsafe { (self.header().vtable.drop_record)(self) }
    }

    /// Home: moves the output of a home-made task out.
    ///
    /// # Safety
    /// The task was made with a body whose output is `T`, it has ended, and its output is there.
    pub(crate) unsafe fn take_output<T>(self) -> Result<T, FutureError> {
        let mut output = MaybeUninit::<Result<T, FutureError>>::uninit();
        // SAFETY: the caller's promise.
        unsafe { (self.header().vtable.take_output)(self, output.as_mut_ptr().cast()) };
        // SAFETY: `take_output` has written it.
        unsafe { output.assume_init() }
    }

    /// Home: looks at the output, which stays.
    ///
    /// # Safety
    /// As `take_output`; and it is neither taken nor dropped as long as `look` runs.
    pub(crate) unsafe fn look_at_output<T, R>(self, look: impl FnOnce(&Result<T, FutureError>) -> R) -> R {
        // SAFETY: the caller's promise.
        let output = unsafe { (self.header().vtable.output)(self) }.cast::<Result<T, FutureError>>();
        // SAFETY: it is of that type, and stays, by the caller's promise.
        look(unsafe { &*output })
    }

    /// Any thread: takes the output of a submission.
    ///
    /// # Safety
    /// The cell's output is a `T`, it is published, and the caller has won `State::take`.
    pub(crate) unsafe fn copy_output<T>(self) -> Result<T, FutureError> {
        let mut output = MaybeUninit::<Result<T, FutureError>>::uninit();
        // SAFETY: the caller's promise.
        unsafe { (self.header().vtable.copy_output)(self, output.as_mut_ptr().cast()) };
        // SAFETY: `copy_output` has written it.
        unsafe { output.assume_init() }
    }

    /// Drops a published value that nobody took.
    pub(crate) fn drop_value(self) {
        // SAFETY: rule 7, by our caller, who has seen that it is a value and has won `State::take`.
        unsafe { (self.header().vtable.drop_value)(self) }
    }

    /// The published output's error.
    pub(crate) fn error(self) -> Option<FutureError> {
        // SAFETY: rule 7, by our callers, who have seen FINISHED; or rule 5.
        unsafe { (self.header().vtable.error)(self) }
    }

    /// The loop's record of the task.
    ///
    /// # Safety
    /// On the home thread, for no longer than a `TaskRef` is held.
    #[inline]
    pub(crate) unsafe fn record<'a, R: Record>(self) -> &'a R {
        assert!(self.header().vtable.record_type == TypeId::of::<R>(), "a record of another type");
        // SAFETY: the record has the same place in each cell with a record of type `R`, which was just checked.
        let front = unsafe { self.0.cast::<Front<R>>().as_ref() };
        // SAFETY: rule 6: a seed is the home thread's too, once that has a `TaskRef`. The reference lives no longer than the
        // record, by the caller's promise.
        match front.record.with(|slot| unsafe { &*slot }) {
            RecordSlot::Kept(record) => record,
            RecordSlot::Seed(_) | RecordSlot::Gone => panic!("adopt the task first"),
        }
    }
}
