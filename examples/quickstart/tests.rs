//! The program on small trees, and cancelled.

use super::*;

fn loops() -> Vec<LoopThread> {
    (0..3).map(|n| LoopThread::spawn(format!("loop {n}")).unwrap()).collect()
}

#[test]
fn totals_equal_those_of_a_sequential_pass() {
    let root = std::env::temp_dir().join(format!("perloop-quickstart-{}", std::process::id()));
    fs::create_dir_all(root.join("below")).unwrap();
    (0..50).for_each(|n| fs::write(root.join(format!("below/{n}")), "Än owl!\n".repeat(n)).unwrap());
    fs::write(root.join("binary"), b"\xff\0owl").unwrap();
    std::os::unix::fs::symlink(&root, root.join("circle")).unwrap();
    let loops = loops();
    let answers = index_tree(&root, &[], &loops).unwrap();
    let (totals, plain) = (totals(&loops).unwrap(), sequential(&root, &[]));
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(differences(&totals, &plain), []);
    assert_eq!((totals.files, answers.received), (51, 51));
    assert_eq!(totals.commonest(), [("owl", 1226), ("än", 1225)]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let (missing, loops) = (PathBuf::from("/no/such/thing"), loops());
    let answers = index_tree(&missing, &[], &loops).unwrap();
    assert_eq!(answers.unreadable[0].0, missing);
    let answer = run_coroutine_threadsafe(index_file(missing.clone()), &loops[0]);
    assert_eq!(answer.result().unwrap().unwrap_err().0, missing);
}

/// What Ctrl-C does, which comes to the main thread only.
#[test]
fn a_cancelled_pass_cancels_what_is_outstanding() {
    let loops = loops();
    let never = |on: &LoopThread| run_coroutine_threadsafe(std::future::pending(), on);
    let (mut promise, walked) = Promise::new();
    let outstanding = loops.iter().map(never).collect();
    promise.set_result(Ok(Answers { outstanding, ..Answers::default() })).unwrap();
    let stop = Rc::new(AtomicBool::new(false));
    let in_task = Rc::clone(&stop);
    let answers = perloop::run(async {
        let task = perloop::create_task(async move { settle([walked].into(), &in_task).await });
        perloop::yield_now().await;
        task.cancel();
        task.await
    });
    assert_eq!(answers.unwrap().unwrap().unwrap().cancelled, Some(3));
    assert!(stop.load(Relaxed));
}
