//! A main thread as a GUI or a game has it: it draws one frame after the other and never blocks. What takes time is done on a
//! loop of another thread; in each frame the main thread looks which answers have come.
//!
//! `cargo run --release --example frames`

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use perloop::{CrossThreadFuture, FutureError, LoopHandle, LoopThread, run_coroutine_threadsafe, sleep};

const FRAME: Duration = Duration::from_millis(16);

/// What the user does.
enum Click {
    Open(&'static str),
    Cancel(&'static str),
}

/// A document on the screen.
struct Document {
    name: &'static str,
    /// None: it was shown before.
    text: Result<String, CrossThreadFuture<Result<String, String>>>,
}

struct App {
    background: LoopHandle,
    documents: Vec<Document>,
    frames: u32,
}

/// What opens a document, on the loop. It may take as long as it likes.
async fn load(name: &'static str) -> Result<String, String> {
    sleep(Duration::from_millis(40)).await;
    if name == "missing" {
        Err("there is no such document".to_owned())
    } else {
        Ok(format!("the text of {name}"))
    }
}

impl App {
    fn new(background: LoopHandle) -> Self {
        Self { background, documents: Vec::new(), frames: 0 }
    }

    fn click(&mut self, click: Click) {
        match click {
            Click::Open(name) => {
                let text = Err(run_coroutine_threadsafe(load(name), &self.background));
                self.documents.push(Document { name, text });
            }
            Click::Cancel(name) => {
                let is_it = |document: &&Document| document.name == name;
                if let Some(Err(loading)) = self.documents.iter().find(is_it).map(|document| &document.text) {
                    // The loop is asked to drop what it has begun. Nobody waits for that.
                    loading.cancel();
                }
            }
        }
    }

    /// Draws what there is. It never waits, for whatever is under way.
    fn frame(&mut self) -> String {
        self.frames += 1;
        let mut picture = String::new();
        for Document { name, text } in &mut self.documents {
            if let Err(loading) = text
                && let Some(outcome) = loading.try_result()
            {
                *text = Ok(match outcome {
                    Ok(Ok(text)) => text,
                    Ok(Err(reason)) => format!("({reason})"),
                    Err(FutureError::Cancelled) => "(cancelled)".to_owned(),
                    Err(error) => format!("({error})"),
                });
            }
            let shown = text.as_deref().unwrap_or("loading ...");
            writeln!(picture, "{name:>8}: {shown}").expect("a String takes all");
        }
        picture
    }

    fn is_loading(&self) -> bool {
        self.documents.iter().any(|document| document.text.is_err())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let background = LoopThread::spawn("background")?;
    let mut app = App::new(background.handle());
    let mut clicks = VecDeque::from([
        Click::Open("letter"),
        Click::Open("missing"),
        Click::Open("novel"),
        Click::Cancel("novel"),
    ]);
    let mut last = String::new();
    while !clicks.is_empty() || app.is_loading() {
        let start = Instant::now();
        if let Some(click) = clicks.pop_front() {
            app.click(click);
        }
        let picture = app.frame();
        if picture != last {
            println!("frame {}\n{picture}", app.frames);
        }
        last = picture;
        // What waits for the screen to take the next frame.
        thread::sleep(FRAME.saturating_sub(start.elapsed()));
    }
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
    fn frames_are_drawn_while_the_loop_is_busy_and_show_what_has_come() {
        let background = LoopThread::spawn("background").expect("a thread");
        let (release, released) = std::sync::mpsc::channel::<()>();
        // Nothing is loaded as long as this blocks the loop.
        let block = move || assert!(released.recv().is_err(), "nothing is sent");
        background.call_soon_threadsafe(block).expect("it is open");
        let mut app = App::new(background.handle());
        ["letter", "missing", "novel"].into_iter().for_each(|name| app.click(Click::Open(name)));
        app.click(Click::Cancel("novel"));
        for _ in 0..100 {
            let picture = app.frame();
            let shown = "  letter: loading ...\n missing: loading ...\n   novel: (cancelled)\n";
            assert_eq!(picture, shown);
        }
        drop(release);
        while app.is_loading() {
            app.frame();
            thread::yield_now();
        }
        let shown =
            "  letter: the text of letter\n missing: (there is no such document)\n   novel: (cancelled)\n";
        assert_eq!(app.frame(), shown);
        assert!(app.frames > 100);
    }
}
