//! Streams that are attached to an actor: their order, their ends, and who keeps whom alive.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use perloop::{
    Actor, ActorContext, ActorEnd, Address, AttachedKey, EventLoop, Handler, create_actor, get_running_loop,
    interval, run, sleep, yield_now,
};

type Notes = Rc<RefCell<Vec<String>>>;
type Words = Pin<Box<dyn Stream<Item = &'static str>>>;

/// Notes what it is told, and what its streams give it.
struct Reader {
    notes: Notes,
    streams: Vec<Words>,
    keys: Vec<AttachedKey>,
}

struct Note(String);
struct Slowly;
struct Detach(usize);
struct Fail;

impl Reader {
    fn create(notes: &Notes, streams: Vec<Words>) -> Address<Self> {
        let notes = Rc::clone(notes);
        create_actor(|| Self { notes, streams, keys: Vec::new() })
    }
}

impl Actor for Reader {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        for words in std::mem::take(&mut self.streams) {
            self.keys.push(context.attach(words, |word| Note(word.unwrap_or("end").to_owned())));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.notes.borrow_mut().push("dropped".to_owned());
    }
}

impl Handler<Note> for Reader {
    type Reply = ();

    async fn handle(&mut self, Note(text): Note, _: &mut ActorContext<Self>) {
        self.notes.borrow_mut().push(text);
    }
}

impl Handler<Slowly> for Reader {
    type Reply = ();

    async fn handle(&mut self, _: Slowly, _: &mut ActorContext<Self>) {
        sleep(Duration::from_millis(10)).await;
    }
}

impl Handler<Detach> for Reader {
    type Reply = bool;

    async fn handle(&mut self, Detach(stream): Detach, context: &mut ActorContext<Self>) -> bool {
        context.detach(self.keys[stream])
    }
}

impl Handler<Fail> for Reader {
    type Reply = ();

    async fn handle(&mut self, _: Fail, _: &mut ActorContext<Self>) {
        panic!("meant");
    }
}

/// Notes when it is dropped.
struct Watched(Notes, &'static str);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.borrow_mut().push(format!("{} is gone", self.1));
    }
}

/// These words, and then no more, also no end.
fn unending(notes: &Notes, name: &'static str, words: &'static [&'static str]) -> Words {
    let watched = Watched(Rc::clone(notes), name);
    let words = stream::iter(words.iter().copied()).chain(stream::pending());
    words.inspect(move |_| _ = &watched).boxed_local()
}

fn words(words: &'static [&'static str]) -> Words {
    stream::iter(words.iter().copied()).boxed_local()
}

/// A program on virtual time, on one loop.
fn play<F: Future + 'static>(program: impl FnOnce(Notes) -> F) -> Vec<String> {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &perloop::ExceptionContext| {}));
    let notes = Notes::default();
    event_loop.run_until_complete(program(Rc::clone(&notes))).expect("it ends by itself");
    event_loop.close().expect("it does not run");
    notes.take()
}

fn moment() -> perloop::Sleep {
    sleep(Duration::from_millis(1))
}

#[test]
fn items_and_the_end_come_as_messages_and_keep_the_actor_alive() {
    let notes = play(|notes| async move {
        drop(Reader::create(&notes, vec![words(&["a", "b"])]));
        moment().await;
    });
    assert_eq!(notes, ["a", "b", "end", "dropped"]);
}

#[test]
fn whom_its_streams_keep_alive_has_an_address_as_long_as_they_do() {
    play(|notes| async move {
        let reader = Reader::create(&notes, vec![unending(&notes, "it", &[])]);
        yield_now().await;
        let weak = reader.downgrade();
        drop(reader);
        moment().await;
        assert_eq!(weak.upgrade().expect("it lives").ask(Detach(0)).await, Ok(true));
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn streams_and_mailbox_take_turns() {
    let notes = play(|notes| async move {
        let streams = vec![words(&["a1", "a2", "a3"]), words(&["b1"])];
        let reader = Reader::create(&notes, streams);
        for text in ["m1", "m2", "m3"] {
            reader.tell(Note(text.to_owned())).await.expect("it lives");
        }
        drop(reader);
        moment().await;
    });
    assert_eq!(notes, ["a1", "m1", "b1", "m2", "a2", "m3", "end", "a3", "end", "dropped"]);
}

#[test]
fn a_stream_is_asked_for_no_more_while_a_message_is_handled() {
    let notes = play(|notes| async move {
        let asked = Rc::clone(&notes);
        let ticks = interval(Duration::from_millis(3)).map(move |at| {
            asked.borrow_mut().push(format!("asked at {}", at.as_millis()));
            "tick"
        });
        let reader = Reader::create(&notes, vec![ticks.boxed_local()]);
        moment().await;
        reader.ask(Slowly).await.expect("it lives");
        reader.stop();
    });
    assert_eq!(notes[..2], ["asked at 0", "tick"]);
    assert!(!notes.iter().any(|note| note == "asked at 6"), "{notes:?}");
}

#[test]
fn an_actor_that_stops_drops_its_streams() {
    let notes = play(|notes| async move {
        let reader = Reader::create(&notes, vec![unending(&notes, "it", &["a"])]);
        moment().await;
        reader.stop();
        assert_eq!(reader.ended().await, ActorEnd::Stopped);
    });
    assert_eq!(notes, ["a", "dropped", "it is gone"]);
}

#[test]
fn a_panic_or_the_end_of_the_loop_drops_them_too() {
    let notes = play(|notes| async move {
        let first = Reader::create(&notes, vec![unending(&notes, "first", &[])]);
        let second = Reader::create(&notes, vec![unending(&notes, "second", &[])]);
        assert!(first.ask(Fail).await.is_err());
        notes.borrow_mut().push("closes".to_owned());
        drop(second);
    });
    assert_eq!(notes, ["dropped", "first is gone", "closes", "dropped", "second is gone"]);
}

#[test]
fn what_is_detached_is_dropped_and_gives_nothing_more() {
    let notes = play(|notes| async move {
        let streams = vec![unending(&notes, "first", &["a"]), unending(&notes, "second", &["b"])];
        let reader = Reader::create(&notes, streams);
        moment().await;
        assert_eq!(reader.ask(Detach(0)).await, Ok(true));
        assert_eq!(reader.ask(Detach(0)).await, Ok(false));
        assert_eq!(reader.ask(Detach(1)).await, Ok(true));
        drop(reader);
        moment().await;
    });
    assert_eq!(notes, ["a", "b", "first is gone", "second is gone", "dropped"]);
}

#[test]
fn a_stream_that_panics_ends_its_actor() {
    let notes = play(|notes| async move {
        let bad = stream::poll_fn(|_: &mut Context<'_>| -> Poll<Option<&'static str>> { panic!("meant") });
        let reader = Reader::create(&notes, vec![bad.boxed_local()]);
        let ActorEnd::Panicked(panicked) = reader.ended().await else { panic!("it panicked") };
        assert_eq!(panicked.message(), "meant");
    });
    assert_eq!(notes, ["dropped"]);
}

#[test]
fn a_stop_comes_before_a_stream_that_is_always_ready() {
    let notes = play(|notes| async move {
        let endless = stream::repeat("again").boxed_local();
        let reader = Reader::create(&notes, vec![endless]);
        yield_now().await;
        reader.stop();
        assert_eq!(reader.ended().await, ActorEnd::Stopped);
    });
    // It gives others their turn after so many messages of whatever kind.
    assert!(notes.len() <= 2 * 64 + 1, "{}", notes.len());
}

/// Reads so much each time that it is told.
struct Connection(Rc<UnixStream>, Notes);
struct Readable(Result<(), String>);

impl Actor for Connection {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        let told = |news: std::io::Result<()>| Readable(news.map_err(|error| error.kind().to_string()));
        context.attach_reader(Rc::clone(&self.0), told);
    }
}

impl Handler<Readable> for Connection {
    type Reply = ();

    async fn handle(&mut self, Readable(news): Readable, context: &mut ActorContext<Self>) {
        news.expect("a socket can be watched");
        let mut bytes = [0; 4];
        let read = (&*self.0).read(&mut bytes).expect("it can be read");
        self.1.borrow_mut().push(String::from_utf8_lossy(&bytes[..read]).into_owned());
        if read == 0 {
            context.stop();
        }
    }
}

#[test]
fn a_reader_is_told_as_long_as_there_is_something_and_again_when_more_comes() {
    let notes = Notes::default();
    let kept = Rc::clone(&notes);
    let (here, mut there) = UnixStream::pair().expect("a pair");
    here.set_nonblocking(true).expect("it is a socket");
    let watched = here.try_clone().expect("a descriptor");
    let end = run(async move {
        let connection = create_actor(|| Connection(Rc::new(here), kept));
        there.write_all(b"abcdef").expect("it is open");
        sleep(Duration::from_millis(2)).await;
        // It keeps its actor alive.
        let weak = connection.downgrade();
        drop(connection);
        sleep(Duration::from_millis(2)).await;
        there.write_all(b"g").expect("it is open");
        sleep(Duration::from_millis(2)).await;
        drop(there);
        while weak.upgrade().is_some_and(|connection| !connection.has_ended()) {
            yield_now().await;
        }
        get_running_loop().map(|running| running.remove_reader(&watched))
    });
    assert_eq!(end.expect("it ends by itself"), Ok(false), "nobody watches any more");
    assert_eq!(*notes.borrow(), ["abcd", "ef", "g", ""]);
}

#[test]
fn an_actor_that_ends_watches_no_more() {
    let notes = Notes::default();
    let (here, _there) = UnixStream::pair().expect("a pair");
    let watched = here.try_clone().expect("a descriptor");
    let end = run(async move {
        let connection = create_actor(|| Connection(Rc::new(here), notes));
        sleep(Duration::from_millis(2)).await;
        connection.stop();
        connection.ended().await;
        get_running_loop().map(|running| running.remove_reader(&watched))
    });
    assert_eq!(end.expect("it ends by itself"), Ok(false), "nobody watches any more");
}

#[test]
fn what_cannot_be_watched_is_told_and_ends() {
    struct Reads(Notes);
    impl Actor for Reads {
        async fn started(&mut self, context: &mut ActorContext<Self>) {
            let file = std::fs::File::open("/proc/self/exe").expect("our own program");
            context.attach_reader(file, |news| Readable(news.map_err(|error| error.kind().to_string())));
        }
    }
    impl Handler<Readable> for Reads {
        type Reply = ();

        async fn handle(&mut self, Readable(news): Readable, _: &mut ActorContext<Self>) {
            self.0.borrow_mut().push(news.expect_err("it is a plain file"));
        }
    }
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let weak = create_actor(|| Reads(kept)).downgrade();
        moment().await;
        assert!(weak.upgrade().is_none());
    });
    assert_eq!(notes.len(), 1, "{notes:?}");
}
