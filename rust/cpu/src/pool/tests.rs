use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

#[test]
fn barriers_order_what_workers_write() {
    for n_threads in [1, 2, 3, 5] {
        let mut pool = Pool::spawn(n_threads).unwrap();
        let cells: Vec<AtomicUsize> = (0..n_threads).map(|_| AtomicUsize::new(0)).collect();
        for run in 0..200 {
            let job = |worker: &Worker<'_>| {
                for round in 0..20 {
                    // Each reads what its neighbour wrote in the round before.
                    let neighbour = cells[(worker.index + 1) % n_threads].load(Relaxed);
                    assert_eq!(neighbour, 20 * run + round);
                    worker.barrier()?;
                    cells[worker.index].store(20 * run + round + 1, Relaxed);
                    worker.barrier()?;
                }
                Ok(())
            };
            pool.run(&job).unwrap();
        }
    }
}

#[test]
fn a_panic_anywhere_is_an_error_and_the_pool_stays_usable() {
    let mut pool = Pool::spawn(3).unwrap();
    for round in 0..30 {
        let job = |worker: &Worker<'_>| {
            worker.barrier()?;
            assert_ne!(worker.index, round % 3, "on purpose");
            worker.barrier()?;
            worker.barrier()
        };
        let failed = pool.run(&job).unwrap_err();
        assert!(matches!(&failed, PoolError::Panicked(what) if what.contains("on purpose")), "{failed:?}");
        let met = AtomicUsize::new(0);
        let count = |worker: &Worker<'_>| {
            met.fetch_add(1, Relaxed);
            worker.barrier()
        };
        pool.run(&count).unwrap();
        assert_eq!(met.load(Relaxed), 3);
    }
}

#[test]
fn dropping_a_pool_ends_its_workers() {
    for round in 0..50 {
        let mut pool = Pool::spawn(4).unwrap();
        let shared = Arc::clone(&pool.shared);
        if round % 2 == 0 {
            pool.run(&|worker: &Worker<'_>| worker.barrier()).unwrap();
        }
        if round % 10 == 0 {
            // Long enough for the workers to sleep.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        drop(pool);
        assert_eq!(Arc::strong_count(&shared), 1, "a worker still holds the pool");
    }
}

#[test]
fn workers_may_come_from_elsewhere() {
    let mut pool = Pool::remote(3);
    let job = |worker: &Worker<'_>| worker.barrier();
    assert_eq!(pool.run(&job), Err(PoolError::Incomplete { joined: 0, expected: 2 }));
    let hosts: Vec<_> = (0..2)
        .map(|_| {
            let invitation = pool.invitation();
            // SAFETY: each invitation is used once.
            std::thread::spawn(move || unsafe { join(invitation) })
        })
        .collect();
    while !pool.is_complete() {
        std::thread::yield_now();
    }
    for _ in 0..100 {
        pool.run(&job).unwrap();
    }
    drop(pool);
    hosts.into_iter().for_each(|host| host.join().unwrap());
}

#[test]
fn one_thread_panics_as_if_there_were_no_pool() {
    let caught = catch_unwind(|| Pool::alone().run(&|_: &Worker<'_>| panic!("to the caller")));
    assert!(caught.is_err());
}
