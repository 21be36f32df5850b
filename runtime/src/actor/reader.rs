//! A descriptor of which an actor is told when it can be read.
//!
//! The loop tells in every turn in which it can. So who has been told stops the watching, until the actor has handled that
//! and is ready for more.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use perloop_bridge::Letter;

use crate::actor::envelope::{Place, Told};
use crate::actor::streams::Source;
use crate::actor::{Actor, ActorContext, AttachedKey, Handler};
use crate::current;
use crate::handle::LoopHandle;

struct Reader<S: AsFd + 'static, F> {
    source: Rc<S>,
    to_message: F,
    home: LoopHandle,
    watch: Rc<Watch>,
}

#[derive(Default)]
struct Watch {
    is_on: Cell<bool>,
    /// Could it be read since the actor was last told?
    has_news: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl<S: AsFd + 'static, F> Reader<S, F> {
    fn watch(&self) -> io::Result<()> {
        let (source, watch) = (Rc::clone(&self.source), Rc::clone(&self.watch));
        let tell = move || {
            watch.is_on.set(false);
            watch.has_news.set(true);
            let removed = current::with_running(|running| running.remove_reader(&*source));
            debug_assert_eq!(removed, Ok(true), "it was called as a reader");
            watch.waker.take().into_iter().for_each(Waker::wake);
        };
        current::with_running(|running| running.add_reader(&*self.source, tell))
            .map_err(io::Error::other)??;
        self.watch.is_on.set(true);
        Ok(())
    }
}

// What it has is never pinned.
impl<S: AsFd + 'static, F> Unpin for Reader<S, F> {}

impl<A, M, S, F> Source<A> for Reader<S, F>
where
    A: Handler<M>,
    M: Send + 'static,
    S: AsFd + 'static,
    F: FnMut(io::Result<()>) -> M,
{
    fn poll_message(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(Letter<Place<A>>, bool)> {
        let news = if self.watch.has_news.take() {
            Ok(())
        } else {
            self.watch.waker.set(Some(cx.waker().clone()));
            match if self.watch.is_on.get() { Ok(()) } else { self.watch() } {
                Ok(()) => return Poll::Pending,
                Err(error) => Err(error),
            }
        };
        let is_last = news.is_err();
        Poll::Ready((Letter::new(Told((self.to_message)(news))), is_last))
    }
}

impl<S: AsFd + 'static, F> Drop for Reader<S, F> {
    fn drop(&mut self) {
        // A loop that is closed watches nothing.
        if let Ok(home) = self.home.event_loop()
            && self.watch.is_on.get()
        {
            home.remove_reader(&*self.source);
        }
    }
}

impl<A: Actor> ActorContext<A> {
    /// Has the actor told when `source`, a socket or pipe, can be read without blocking, by the message that `to_message`
    /// makes of `Ok`; and, when that was handled and it still can or can again, once more. An `Err` says that the system cannot
    /// watch it, as it is a plain file for instance, and comes last. The handler should read until that would block, or
    /// little enough to leave others their turns.
    ///
    /// All else is as for [`attach`](Self::attach), of which this is the counterpart for what is no stream. As with
    /// [`EventLoop::add_reader`](crate::EventLoop::add_reader), a descriptor has one reader on a loop; another one replaces it.
    ///
    /// # Examples
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use std::rc::Rc;
    /// use perloop::{Actor, ActorContext, Handler, create_actor};
    ///
    /// struct Connection(Rc<UnixStream>);
    /// struct Readable;
    ///
    /// impl Actor for Connection {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         context.attach_reader(Rc::clone(&self.0), |news| {
    ///             news.expect("a socket can be watched");
    ///             Readable
    ///         });
    ///     }
    /// }
    /// impl Handler<Readable> for Connection {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: Readable, context: &mut ActorContext<Self>) {
    ///         let mut bytes = [0; 64];
    ///         let length = (&*self.0).read(&mut bytes).expect("it can be read");
    ///         assert_eq!(&bytes[..length], b"hello");
    ///         context.stop();
    ///     }
    /// }
    ///
    /// let (here, mut there) = UnixStream::pair()?;
    /// perloop::run(async {
    ///     let connection = create_actor(|| Connection(Rc::new(here)));
    ///     there.write_all(b"hello")?;
    ///     connection.ended().await;
    ///     Ok::<_, std::io::Error>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach_reader<M>(
        &mut self,
        source: impl AsFd + 'static,
        to_message: impl FnMut(io::Result<()>) -> M + 'static,
    ) -> AttachedKey
    where
        A: Handler<M>,
        M: Send + 'static,
    {
        let (source, watch) = (Rc::new(source), Rc::default());
        let home =
            current::with_running(crate::EventLoop::handle).expect("an actor lives on a loop that runs");
        self.attach_source(Reader { source, to_message, home, watch })
    }
}
