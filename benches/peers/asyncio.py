"""asyncio and uvloop, doing what the workloads beside this file do: WORKLOAD LOOP OPERATIONS SECONDS."""

import asyncio
import os
import resource
import signal
import sys
import time


def mean(began, operations):
    return (time.perf_counter() - began) / operations * 1e9


async def one_yield():
    await asyncio.sleep(0)
    return 0


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


async def memory(n):
    before = resident()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(n)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    used = resident() - before
    assert len(tasks) == n
    return {"resident a task": used / n}


async def sleeps(n):
    began = time.process_time()
    # As many a second as the other contestants sleep.
    span = n / 1e6
    tasks = [asyncio.create_task(asyncio.sleep(span * ((i * 7919) % n + 1) / n)) for i in range(n)]
    for task in tasks:
        await task
    return {"CPU time": (time.process_time() - began) / n * 1e9}


async def timeout(n):
    began = time.perf_counter()
    for _ in range(n):
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)
    return {"mean": mean(began, n)}


async def gather(n):
    began = time.perf_counter()
    await asyncio.gather(*[asyncio.create_task(one_yield()) for _ in range(n)])
    return {"mean": mean(began, n)}


async def pass_on(n, maxsize):
    queue = asyncio.Queue(maxsize)

    async def put():
        for i in range(n):
            await queue.put(i)
            if maxsize == 0 and i % 1024 == 1023:
                await asyncio.sleep(0)

    async def get():
        return sum([await queue.get() for _ in range(n)])

    began = time.perf_counter()
    await asyncio.gather(put(), get())
    return {"mean": mean(began, n)}


async def unbounded(n):
    return await pass_on(n, 0)


async def bounded(n):
    return await pass_on(n, 1024)


async def uncontended(n, lock):
    began = time.perf_counter()
    for _ in range(n):
        async with lock:
            pass
    return {"mean": mean(began, n)}


async def contended(n, lock):
    async def hold(times):
        for _ in range(times):
            async with lock:
                await asyncio.sleep(0)

    began = time.perf_counter()
    await asyncio.gather(*[hold(n // 10) for _ in range(10)])
    return {"mean": mean(began, n)}


async def lock(n):
    return await uncontended(n, asyncio.Lock())


async def lock_contended(n):
    return await contended(n, asyncio.Lock())


async def semaphore(n):
    return await uncontended(n, asyncio.Semaphore(2))


async def semaphore_contended(n):
    return await contended(n, asyncio.Semaphore(2))


async def event(n):
    event = asyncio.Event()
    began = time.perf_counter()
    for _ in range(n):
        event.set()
        await event.wait()
        event.clear()
    return {"mean": mean(began, n)}


async def event_contended(n):
    event, waits, waiters = asyncio.Event(), 0, 100
    rounds = n // waiters

    async def wait():
        nonlocal waits
        for _ in range(rounds):
            waits += 1
            await event.wait()

    tasks = [asyncio.create_task(wait()) for _ in range(waiters)]
    began = time.perf_counter()
    for number in range(1, rounds + 1):
        while waits < number * waiters:
            await asyncio.sleep(0)
        event.set()
        event.clear()
    for task in tasks:
        await task
    return {"mean": mean(began, rounds * waiters)}


async def turns(n, players):
    condition, turn = asyncio.Condition(), 0

    async def play(mine, following, times):
        nonlocal turn
        for _ in range(times):
            async with condition:
                while turn != mine:
                    await condition.wait()
                turn = following
                condition.notify()

    began = time.perf_counter()
    await asyncio.gather(*[play(i, (i + 1) % players, n // players) for i in range(players)])
    return {"mean": mean(began, n)}


async def condition(n):
    return await turns(n, 1)


async def condition_contended(n):
    return await turns(n, 2)


def main():
    workload, loop, operations, seconds = sys.argv[1:5]
    signal.alarm(int(seconds))
    if loop == "uvloop":
        try:
            import uvloop
        except ImportError:
            print("failed:SKIPPED: this Python has no uvloop")
            return
        factory = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        measured = runner.run(globals()[workload](int(operations)))
        print("measured:" + ";".join(f"{name}={value}" for name, value in measured.items()), flush=True)
        # A million tasks need not be torn down.
        os._exit(0)


main()
