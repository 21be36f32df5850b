//! A loop as a guest in somebody else's house: a toolkit's main loop, here one of a few lines around `poll`, waits for keys and
//! for the loop's descriptor, until the loop's next deadline, and turns it once each time. So tasks run on the thread that has
//! the windows, may use them as they like, and never hold up a key.
//!
//! `cargo run --release --example guest`

use std::cell::RefCell;
use std::error::Error;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use perloop::{EventLoop, new_event_loop, run_coroutine_threadsafe, set_event_loop, sleep};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What is in the window. It belongs to this thread.
type Window = Rc<RefCell<Vec<String>>>;

/// The toolkit: it calls `on_key` for each key, until that says that it is enough.
struct Toolkit {
    keys: UnixStream,
}

impl Toolkit {
    /// Its main loop, with the guest in it.
    fn run(mut self, guest: &EventLoop, mut on_key: impl FnMut(char) -> bool) -> Result<(), Box<dyn Error>> {
        loop {
            let is_key = self.wait(guest)?;
            // All that is ready runs, and nothing waits.
            guest.run_once(Some(Duration::ZERO))?;
            let mut key = [0];
            if is_key && (self.keys.read(&mut key)? == 0 || !on_key(key[0].into())) {
                return Ok(());
            }
        }
    }

    /// Waits for a key, or until the guest is to be turned. True: there is a key.
    fn wait(&self, guest: &EventLoop) -> Result<bool, Box<dyn Error>> {
        let left = guest.next_deadline().map(|deadline| deadline.saturating_sub(guest.time()));
        let left = left.map(Timespec::try_from).transpose()?;
        let (keys, guests) = (self.keys.as_fd(), guest.as_fd());
        let mut both =
            [PollFd::from_borrowed_fd(keys, PollFlags::IN), PollFd::from_borrowed_fd(guests, PollFlags::IN)];
        match poll(&mut both, left.as_ref()) {
            Ok(_) => Ok(both[0].revents().contains(PollFlags::IN)),
            // By a signal. The guest may have something to do for it.
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Types what `type_it` does, and shows what becomes of it.
fn run(type_it: impl FnOnce(UnixStream) + Send) -> Result<Vec<String>, Box<dyn Error>> {
    let (keys, keyboard) = UnixStream::pair()?;
    let (guest, window) = (new_event_loop()?, Window::default());
    // `create_task` and its kin find it in callbacks of the toolkit, too.
    set_event_loop(Some(&guest));
    let handle = guest.handle();
    let shown = Rc::clone(&window);
    let on_key = |key: char| {
        shown.borrow_mut().push(format!("key {key}"));
        let in_task = Rc::clone(&shown);
        // A task for each key, with the window in its hand.
        let echo = guest.create_task(async move {
            sleep(Duration::from_millis(5)).await;
            in_task.borrow_mut().push(format!("echo of {key}"));
        });
        echo.is_ok() && key != 'q'
    };
    thread::scope(|scope| {
        scope.spawn(|| type_it(keyboard));
        // It takes work from any thread, as all loops do.
        let answer = run_coroutine_threadsafe(async { 6 * 7 }, &handle);
        Toolkit { keys }.run(&guest, on_key)?;
        // The toolkit has ended, and what is left may run by itself.
        window.borrow_mut().push(format!("answer {}", guest.run_until_complete(answer)??));
        guest.run_until_complete(sleep(Duration::from_millis(10)))?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    set_event_loop(None);
    guest.close()?;
    Ok(window.take())
}

fn main() -> Result<(), Box<dyn Error>> {
    let lines = run(|mut keyboard| {
        for key in *b"hello q" {
            thread::sleep(Duration::from_millis(2));
            keyboard.write_all(&[key]).expect("the toolkit listens");
        }
    })?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs() {
        main().expect("nothing in it fails");
    }

    #[test]
    fn keys_and_tasks_share_the_thread() {
        let lines = run(|mut keyboard| keyboard.write_all(b"abq").expect("the toolkit listens"));
        let lines = lines.expect("nothing in it fails");
        let of = |what: &str| lines.iter().filter(|line| line.starts_with(what)).cloned().collect::<Vec<_>>();
        assert_eq!(of("key"), ["key a", "key b", "key q"]);
        assert_eq!(of("echo"), ["echo of a", "echo of b", "echo of q"]);
        assert_eq!(of("answer"), ["answer 42"]);
    }

    #[test]
    fn a_toolkit_whose_keyboard_is_gone_ends() {
        let lines = run(drop).expect("nothing in it fails");
        assert_eq!(lines, ["answer 42"]);
    }
}
