//! `gather!`: as `gather`, of unlike types.

use std::cell::Cell;
use std::rc::Rc;

use crate::errors::TaskError;
use crate::gather::{Gather, gather_by};
use crate::task::awaited::sealed::{Inside, Sealed};
use crate::task::{Awaitable, Waitable};

/// As [`gather`](fn@crate::gather), of up to eight tasks and futures of unlike types: it makes a [`Gather`] of the
/// tuple of their values. asyncio's `gather(a, b)`.
///
/// # Examples
/// ```
/// use perloop::{create_future, create_task, gather};
///
/// let both = perloop::run(async {
///     let (number, words) = (create_future(), create_task(async { "words" }));
///     let both = gather!(number.clone(), words);
///     number.set_result(42).expect("it is set once");
///     both.await
/// })?;
/// assert_eq!(both, Ok((42, "words")));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[macro_export]
macro_rules! gather {
    ($($awaitable:expr),+ $(,)?) => {
        $crate::GatherTuple::gather(($($awaitable,)+))
    };
}

/// What [`gather!`](crate::gather!) gathers.
#[doc(hidden)]
pub trait GatherTuple {
    /// Their values.
    type Values: 'static;

    /// Gathers them.
    fn gather(self) -> Gather<Self::Values>;
}

/// One of them: its value goes into a slot of its own type, and the types are alike.
struct Kept<A: Awaitable> {
    child: A,
    slot: Slot<A::Value>,
}

type Slot<V> = Rc<Cell<Option<V>>>;

trait ReadIntoSlot {
    fn inside(&self) -> Inside;
    fn read(&self) -> Result<(), TaskError>;
}

impl<A: Awaitable> ReadIntoSlot for Kept<A> {
    fn inside(&self) -> Inside {
        self.child.inside()
    }

    fn read(&self) -> Result<(), TaskError> {
        let value = self.child.read()?;
        drop(self.slot.replace(Some(value)));
        Ok(())
    }
}

struct Alike(Box<dyn ReadIntoSlot>);

impl Sealed for Alike {
    fn inside(&self) -> Inside {
        self.0.inside()
    }
}

impl Waitable for Alike {}

impl Awaitable for Alike {
    type Value = ();

    fn read(&self) -> Result<(), TaskError> {
        self.0.read()
    }

    fn test(&self, test: fn(&()) -> bool) -> Box<dyn FnOnce(Inside) -> bool> {
        Box::new(move |_| test(&()))
    }
}

fn add<A: Awaitable + 'static>(children: &mut Vec<Alike>, child: A) -> Slot<A::Value> {
    let slot: Slot<A::Value> = Rc::default();
    children.push(Alike(Box::new(Kept { child, slot: Rc::clone(&slot) })));
    slot
}

macro_rules! tuple {
    ($($type:ident $child:ident),+) => {
        impl<$($type: Awaitable + 'static),+> GatherTuple for ($($type,)+) {
            type Values = ($($type::Value,)+);

            #[track_caller]
            fn gather(self) -> Gather<Self::Values> {
                let ($($child,)+) = self;
                let mut children = Vec::new();
                $(let $child = add(&mut children, $child);)+
                let collect = move |_| ($($child.take().expect("each has ended with a value"),)+);
                gather_by(children, |ended| ended.map_err(Err), Box::new(collect))
            }
        }
    };
}

tuple!(A a);
tuple!(A a, B b);
tuple!(A a, B b, C c);
tuple!(A a, B b, C c, D d);
tuple!(A a, B b, C c, D d, E e);
tuple!(A a, B b, C c, D d, E e, F f);
tuple!(A a, B b, C c, D d, E e, F f, G g);
tuple!(A a, B b, C c, D d, E e, F f, G g, H h);
