//! What `tracing` hears of actors. One test, since a place of events that two threads find at once may be heard of too late.

mod events;
#[allow(dead_code, reason = "it is for several tests, and each uses its part")]
mod parts;

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use events::Listener;
use parts::{Count, Fail, Habit, Hang, Notes, Part, part, settle};
use perloop::{ActorBuilder, Address, Intensity, Supervisor, WhenFull, WhichChildren, yield_now};

/// Plays a program in a thread of its own, and gives what was told meanwhile of what one looks for.
fn told<F: Future + 'static>(
    of: [&str; 2],
    program: impl FnOnce(Notes) -> F + Send + 'static,
) -> Vec<String> {
    let (sender, heard): (_, Receiver<String>) = mpsc::channel();
    let played = thread::spawn(move || {
        Listener::install(move |message| sender.send(message.to_owned()).expect("somebody listens"));
        parts::play(|notes| async move { drop(program(notes).await) });
    });
    played.join().expect("it does not panic");
    heard.try_iter().filter(|text| of.iter().any(|part| text.contains(part))).collect()
}

/// A part that waits for ever in its handler.
async fn busy(when_full: WhenFull) -> Address<Part> {
    let make = || Part::new("a", &Notes::default(), Habit::None);
    let part = ActorBuilder::new().mailbox(2).when_full(when_full).create(make);
    part.try_tell(Hang).expect("there is room");
    yield_now().await;
    yield_now().await;
    part
}

#[test]
fn restarts_and_who_gives_up_and_each_dead_letter_are_events() {
    let restarts = told(["restarts", "gave up"], |notes| async move {
        let (child, known) = part("a", &notes, Habit::None);
        let intensity = Intensity { restarts: 1, period: Duration::from_secs(60) };
        let tree = Supervisor::builder().name("t").intensity(intensity).child(child).create();
        tree.ask(WhichChildren).await.expect("it lives");
        for _ in 0..2 {
            known.address().expect("it is there").try_tell(Fail).expect("there is room");
        }
        tree.ended().await;
    });
    let gave_up = "supervisor 't' gave up: 'a' failed, after 1 restarts within 60s: panicked: failed";
    assert_eq!(restarts, ["restarts a child", gave_up]);

    let displaced = told(["dead letter"; 2], |_| async {
        let part = busy(WhenFull::DropOldest).await;
        (0..5).for_each(|_| part.try_tell(Count).expect("there is always room"));
        part.kill();
        part.ended().await;
        assert!(part.tell(Count).await.is_err() && part.try_tell(Count).is_err());
        assert_eq!(part.dead_letters(), 7);
    });
    assert_eq!(displaced.len(), 7);

    let refused = told(["dead letter"; 2], |_| async {
        let part = busy(WhenFull::Wait).await;
        (0..2).for_each(|_| part.try_tell(Count).expect("there is room"));
        part.kill();
        part.ended().await;
        assert!(part.tell(Count).await.is_err() && part.tell_blocking(Count).is_err());
        assert!(part.ask(Count).await.is_err() && part.ask_blocking(Count).is_err());
        assert_eq!(part.dead_letters(), 6);
        let unborn = ActorBuilder::new().create(|| Part::new("b", &Notes::default(), Habit::None));
        unborn.try_tell(Count).expect("there is room");
        unborn.kill();
        unborn.ended().await;
        settle().await;
    });
    assert_eq!(refused.len(), 7);
}
