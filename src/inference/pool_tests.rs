//! The pool with real threads.

use super::*;

fn options(workers: usize, places: usize) -> PoolOptions {
    PoolOptions {
        workers,
        places,
        memory: 100,
    }
}

fn pool(workers: usize, places: usize) -> Pool<u32> {
    Pool::start::<std::io::Error, _>(options(workers, places), || Ok(0)).unwrap()
}

#[tokio::test]
async fn results_come_in_the_order_of_the_items() {
    let pool = pool(4, 1);
    let place = pool.enter().unwrap();
    let squares = place
        .map((0..100u64).map(|n| (Cost::SMALL, n)), |_, n| {
            thread::sleep(std::time::Duration::from_micros((100 - n) * 10));
            n * n
        })
        .await;
    let squares: Vec<u64> = squares.into_iter().map(Result::unwrap).collect();
    assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
}

#[tokio::test]
async fn places_are_bounded_and_freed() {
    let pool = pool(1, 2);
    let first = pool.enter();
    let second = pool.enter();
    assert!(first.is_some() && second.is_some() && pool.enter().is_none());
    drop(first);
    assert!(pool.enter().is_some());
}

#[tokio::test]
async fn a_panic_costs_one_item_and_no_worker() {
    let pool = pool(1, 1);
    let place = pool.enter().unwrap();
    let results = place
        .map((0..3).map(|n| (Cost::SMALL, n)), |state, n| {
            *state += 1;
            assert!(n != 1, "this panic is part of the test");
            *state
        })
        .await;
    assert_eq!(*results[0].as_ref().unwrap(), 1);
    assert!(results[1].is_err());
    // The state was made anew after the panic.
    assert_eq!(*results[2].as_ref().unwrap(), 1);
}

const LIMIT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// A pool of one worker whose worker is at a job until the sender is dropped.
fn busy_pool() -> (Pool<u32>, Place<u32>, mpsc::Sender<()>) {
    busy_pool_with(1)
}

fn busy_pool_with(places: usize) -> (Pool<u32>, Place<u32>, mpsc::Sender<()>) {
    let pool = pool(1, places);
    let place = pool.enter().unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (begun, began) = mpsc::channel();
    let _result = place.submit(Cost::SMALL, move |_| {
        let _ = begun.send(());
        let _ = held.recv();
    });
    // A job whose result nobody waits for is not begun.
    began.recv().unwrap();
    (pool, place, release)
}

#[tokio::test]
async fn a_probe_goes_before_whatever_waits() {
    let (pool, place, release) = busy_pool();
    let (order, done) = mpsc::channel();
    const WAITING: usize = 50;
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let order = order.clone();
            place.submit(Cost::SMALL, move |_| order.send("waited").unwrap())
        })
        .collect();
    let shared = pool.shared.clone();
    let releaser = thread::spawn(move || {
        while shared.lock().len() <= WAITING {
            thread::sleep(Duration::from_millis(1));
        }
        drop(release);
    });
    let probed = order.clone();
    assert_eq!(
        pool.probe(LONG, LONG, move |_| probed.send("probe").unwrap()),
        Ok(())
    );
    releaser.join().unwrap();
    for result in waiting {
        result.await.unwrap();
    }
    assert_eq!(done.try_iter().position(|who| who == "probe"), Some(0));
}

#[test]
fn workers_that_do_not_answer_are_told_of() {
    let (pool, _place, release) = busy_pool();
    assert_eq!(pool.probe(LIMIT, LONG, |_| ()), Err(Stall::NoAnswer(LIMIT)));
    let hung = pool.probe(LIMIT, LIMIT / 2, |_| ());
    assert!(matches!(hung, Err(Stall::Hung(_))), "{hung:?}");
    drop(release);
    assert_eq!(pool.probe(LONG, LONG, |_| ()), Ok(()));
}

#[test]
fn a_state_that_cannot_be_made_is_told_at_start() {
    let refused = Pool::<u32>::start::<std::io::Error, _>(options(2, 1), || {
        Err(std::io::Error::other("no such model"))
    });
    assert_eq!(refused.err().unwrap().to_string(), "no such model");
}

const LARGE: Cost = Cost {
    size: Size::Huge,
    memory: 60,
};

#[tokio::test]
async fn large_jobs_leave_the_workers_to_others() {
    let pool = pool(1, 2);
    let place = pool.enter().unwrap();
    let (release, held) = mpsc::channel::<()>();
    let large = place.submit(LARGE, move |_| held.recv().is_err());
    for _ in 0..3 {
        assert!(place.submit(Cost::SMALL, |_| ()).await.is_ok());
    }
    drop(release);
    assert!(large.await.unwrap());
}

#[tokio::test]
async fn large_jobs_get_their_memory_back_even_from_a_panic() {
    let pool = pool(1, 1);
    let place = pool.enter().unwrap();
    let results = place
        .map((0..4).map(|n| (LARGE, n)), |state, n| {
            *state += 1;
            assert!(n != 1, "this panic is part of the test");
            *state
        })
        .await;
    let states: Vec<_> = results.into_iter().map(Result::ok).collect();
    assert_eq!(states, [Some(1), None, Some(1), Some(2)]);
}

#[tokio::test]
async fn a_client_with_much_waiting_work_does_not_hold_up_another() {
    let (pool, _place, release) = busy_pool_with(3);
    let (order, done) = mpsc::channel();
    let run = |who: &'static str, count: usize| {
        let address = if who == "one" {
            [192, 0, 2, 1]
        } else {
            [192, 0, 2, 2]
        };
        let (pool, order) = (&pool, order.clone());
        fairness::asks(fairness::Client::of(address.into()), async move {
            let place = pool.enter().unwrap();
            (0..count)
                .map(|_| {
                    let order = order.clone();
                    place.submit(Cost::SMALL, move |_| order.send(who).unwrap())
                })
                .collect::<Vec<_>>()
        })
    };
    let mut waiting = run("many", 50).await;
    waiting.extend(run("one", 1).await);
    drop(release);
    for result in waiting {
        result.await.unwrap();
    }
    assert!(done.try_iter().position(|who| who == "one").unwrap() <= 1);
}
