//! How a task group fails, and why it takes no task.

use std::error::Error;
use std::fmt;

use perloop_bridge::Panicked;

/// Why a [`TaskGroup`](crate::TaskGroup) takes no new task: asyncio's `RuntimeError`.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use perloop::{GroupRefused, TaskGroup};
///
/// perloop::run(async {
///     let group = TaskGroup::<Infallible>::new();
///     group.run(async { Ok(()) }).await.expect("nothing failed");
///     assert_eq!(group.create_task(async {}).unwrap_err(), GroupRefused::Finished);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupRefused {
    /// Its scope has not begun.
    NotEntered,
    /// It is being stopped: a child or the body has failed, it was cancelled, or the task that runs it was.
    ShuttingDown,
    /// All its children have ended, and the body has.
    Finished,
}

impl fmt::Display for GroupRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEntered => "the task group has not begun; add tasks inside of `TaskGroup::run`",
            Self::ShuttingDown => "the task group is shutting down, and takes no more tasks",
            Self::Finished => "the task group is finished; make another one",
        })
    }
}

impl Error for GroupRefused {}

/// How a child of a [`TaskGroup`](crate::TaskGroup) failed, or its body: one exception of asyncio's group.
///
/// # Examples
/// ```
/// use perloop::{GroupedError, TaskGroup};
///
/// perloop::run(async {
///     let group = TaskGroup::<&str>::new();
///     let body = async {
///         group.create_task(async { panic!("out of paper") }).expect("it is open");
///         Ok(())
///     };
///     let errors = group.run(body).await.unwrap_err().into_errors();
///     let [GroupedError::Panicked(panicked)] = &*errors else { unreachable!() };
///     assert_eq!(panicked.message(), "out of paper");
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum GroupedError<E> {
    /// It gave an `Err`.
    Failed(E),
    /// It panicked.
    Panicked(Panicked),
}

impl<E: fmt::Display> fmt::Display for GroupedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(error) => write!(f, "panicked: {}", error.message()),
        }
    }
}

impl<E: Error + 'static> Error for GroupedError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Panicked(error) => Some(error),
        }
    }
}

/// All that failed in a [`TaskGroup`](crate::TaskGroup), and never nothing: asyncio's `ExceptionGroup`.
///
/// # Examples
/// ```
/// use perloop::{ExceptionGroup, TaskGroup};
///
/// perloop::run(async {
///     let group = TaskGroup::new();
///     let body = async {
///         group.try_create_task(async { Err::<(), _>("out of paper") }).expect("it is open");
///         perloop::yield_now().await;
///         Err::<(), _>("out of ink")
///     };
///     let failed: ExceptionGroup<&str> = group.run(body).await.unwrap_err();
///     assert_eq!(failed.to_string(), "2 errors in a task group: out of paper; out of ink");
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ExceptionGroup<E> {
    pub(super) errors: Vec<GroupedError<E>>,
}

impl<E> ExceptionGroup<E> {
    /// Returns the errors, the children's in the order in which they ended, the body's last: Python's
    /// `group.exceptions` in asyncio's order.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let failed = perloop::TaskGroup::new().run(async { Err::<(), _>("out of ink") }).await.unwrap_err();
    ///     assert_eq!(failed.errors().len(), 1);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[doc(alias = "exceptions")]
    pub fn errors(&self) -> &[GroupedError<E>] {
        &self.errors
    }

    /// Gives the errors.
    ///
    /// # Examples
    /// ```
    /// use perloop::{GroupedError, TaskGroup};
    ///
    /// perloop::run(async {
    ///     let failed = TaskGroup::new().run(async { Err::<(), _>("out of ink") }).await.unwrap_err();
    ///     assert_eq!(failed.into_errors(), [GroupedError::Failed("out of ink")]);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn into_errors(self) -> Vec<GroupedError<E>> {
        self.errors
    }
}

impl<E: fmt::Display> fmt::Display for ExceptionGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        write!(f, "{count} error{} in a task group: ", if count == 1 { "" } else { "s" })?;
        for (at, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for ExceptionGroup<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|error| error as &(dyn Error + 'static))
    }
}
