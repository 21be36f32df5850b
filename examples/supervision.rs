//! A weather station that is broken again and again, and recovers: sensors on two loops, an archive that they rely on, and
//! two supervisors. What is killed, and what comes back, is told line by line.
//!
//! `cargo run --release --example supervision`
//!
//! ```text
//! station (rest for one)
//! ├── archive
//! └── sensors (one for one)
//!     ├── sensor-0, on the first loop of a group
//!     └── sensor-1, on the second one
//! ```

use std::error::Error;
use std::panic::resume_unwind;
use std::time::Duration;

use perloop::{
    Actor, ActorContext, ActorEnd, Address, AskError, Child, ChildRef, EventLoop, EventLoopGroup,
    GroupHandle, Handler, Intensity, PanicPolicy, Strategy, Supervisor, WhichChildren, sleep,
};

/// Counts its readings, and begins at one in each life.
#[derive(Default)]
struct Sensor {
    readings: u32,
}

struct Read;
struct Break;

impl Actor for Sensor {}

impl Handler<Read> for Sensor {
    type Reply = u32;

    async fn handle(&mut self, _: Read, _: &mut ActorContext<Self>) -> u32 {
        self.readings += 1;
        self.readings
    }
}

impl Handler<Break> for Sensor {
    type Reply = ();

    async fn handle(&mut self, _: Break, _: &mut ActorContext<Self>) {
        // As `panic!`, without a word on the screen.
        resume_unwind(Box::new("a loose wire"));
    }
}

struct Archive;

impl Actor for Archive {}

/// Where the parts of the station are found, life after life.
#[derive(Clone)]
struct Parts {
    archive: ChildRef<Archive>,
    sensors: [ChildRef<Sensor>; 2],
}

/// Each supervisor takes two failures a minute.
const TWO: Intensity = Intensity { restarts: 2, period: Duration::from_secs(60) };

fn sensors(group: &GroupHandle, parts: &Parts) -> Supervisor {
    let mut sensors = Supervisor::builder().name("sensors").intensity(TWO);
    for (index, sensor) in parts.sensors.iter().enumerate() {
        let child = Child::on_group(group, index, format!("sensor-{index}"), Sensor::default);
        sensors = sensors.child(child.known_as(sensor));
    }
    sensors.build()
}

fn station(group: GroupHandle, parts: &Parts) -> Address<Supervisor> {
    let branch = parts.clone();
    Supervisor::builder()
        .name("station")
        .strategy(Strategy::RestForOne)
        .intensity(TWO)
        .child(Child::new("archive", || Archive).known_as(&parts.archive))
        .child(Child::new("sensors", move || sensors(&group, &branch)))
        .create()
}

/// The next reading of a sensor that works, or will in a moment.
async fn read(sensor: &ChildRef<Sensor>) -> u32 {
    loop {
        if let Some(sensor) = sensor.address()
            && let Ok(reading) = sensor.ask(Read).await
        {
            return reading;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Breaks a sensor, and gives what it threw.
async fn break_it(sensor: &ChildRef<Sensor>) -> String {
    loop {
        if let Some(sensor) = sensor.address()
            && let Err(AskError::Panicked(panicked)) = sensor.ask(Break).await
        {
            return panicked.message().to_owned();
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Breaks one part after the other.
async fn story(group: GroupHandle, tell: impl Fn(String)) -> Result<ActorEnd, AskError> {
    let parts = Parts { archive: ChildRef::new(), sensors: [ChildRef::new(), ChildRef::new()] };
    let station = station(group.clone(), &parts);
    let names: Vec<_> = station.ask(WhichChildren).await?.into_iter().map(|child| child.name).collect();
    tell(format!("up: {}", names.join(", ")));
    let [first, second] = &parts.sensors;

    // A panic ends a life; the next one has the same address and mailbox, and a state of its own.
    let before = first.address();
    tell(format!("sensor-0 reads {}, {}", read(first).await, read(first).await));
    tell(format!("sensor-0 panics: {}", break_it(first).await));
    tell(format!(
        "sensor-0 reads {}; its address is the same: {}",
        read(first).await,
        first.address() == before
    ));

    // What relies on the archive is restarted with it.
    let monitor = first.address().map(|sensor| sensor.monitor());
    parts.archive.address().ok_or(AskError::Stopped)?.kill();
    if let Some(monitor) = monitor {
        tell(format!("the archive is killed; {}", monitor.await));
    }
    tell(format!("sensor-0 reads {}", read(first).await));

    // A loop dies, and its sensor lives on the one that comes in its place.
    tell(format!("sensor-1 reads {}", read(second).await));
    let sensor = second.address().ok_or(AskError::Stopped)?;
    let monitor = sensor.monitor();
    drop(sensor.home().call_soon_threadsafe(|| resume_unwind(Box::new("lightning"))));
    tell(monitor.await.to_string());
    tell(format!("sensor-1 reads {} on generation {:?}", read(second).await, group.generation(1)));

    // That was a failure; with two more the sensors' supervisor gives up, and is restarted by its own.
    break_it(first).await;
    break_it(first).await;
    while station.ask(WhichChildren).await?.iter().any(|child| child.restarts == 0 && child.name == "sensors")
    {
        sleep(Duration::from_millis(1)).await;
    }
    tell(format!("the sensors' supervisor gave up, and began anew; sensor-1 reads {}", read(second).await));

    // Once more, and the station gives up as well.
    parts.archive.address().ok_or(AskError::Stopped)?.kill();
    let end = station.ended().await;
    tell(format!("{end}"));
    Ok(end)
}

/// The whole story, on two loops, of which one may be replaced.
fn play(tell: impl Fn(String)) -> Result<ActorEnd, Box<dyn Error>> {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let group = EventLoopGroup::builder().loops(2).settings(settings).replace_dead(1).spawn()?;
    Ok(perloop::run(story(group.handle(), tell))??)
}

fn main() -> Result<(), Box<dyn Error>> {
    play(|line| println!("{line}"))?;
    Ok(())
}

#[test]
fn whatever_breaks_comes_back_until_its_supervisor_gives_up() {
    let lines = std::cell::RefCell::new(Vec::new());
    let end = play(|line| lines.borrow_mut().push(line)).expect("the story comes to its end");
    assert!(matches!(end, ActorEnd::GaveUp(gave_up) if gave_up.child == "archive"));
    let expected = [
        "up: archive, sensors",
        "sensor-0 reads 1, 2",
        "sensor-0 panics: a loose wire",
        "sensor-0 reads 1; its address is the same: true",
        "the archive is killed; actor 'sensor-0' is down: stopped",
        "sensor-0 reads 1",
        "sensor-1 reads 1",
        "actor 'sensor-1' is down: its event loop 'loop-1' died",
        "sensor-1 reads 1 on generation Some(1)",
        "the sensors' supervisor gave up, and began anew; sensor-1 reads 1",
        "supervisor 'station' gave up: 'archive' failed, after 2 restarts within 60s: killed",
    ];
    assert_eq!(*lines.borrow(), expected);
}
