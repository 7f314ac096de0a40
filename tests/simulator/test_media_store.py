"""Media are made off the loop that serves: once for all who wait, and kept within bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from simulator.media.making import Makers
from simulator.media.store import Store, Unmade


def test_what_is_kept_is_bounded_in_bytes() -> None:
    store = Store(bytes_max=100)
    for number in range(10):
        store.get(b"%d" % number, lambda: b"x" * 30)
    assert store.bytes == 90
    made: list[str] = []
    store.get(b"9", lambda: made.append("kept") or b"")  # type: ignore[func-returns-value]
    store.get(b"0", lambda: made.append("gone") or b"y" * 30)  # type: ignore[func-returns-value]
    assert made == ["gone"]


def test_a_failure_is_kept_and_told_each_time() -> None:
    store, tries = Store(), []

    def make() -> bytes:
        tries.append(1)
        raise ValueError("no sound")

    for _ in range(3):
        with pytest.raises(ValueError, match="no sound"):
            store.get(b"key", make)
    assert len(tries) == 1


def test_where_it_serves_nothing_is_made() -> None:
    store = Store()
    with store.serving():
        with pytest.raises(Unmade) as unmade:
            store.get(b"key", lambda: b"made")
        elsewhere = threading.Thread(target=store.make, args=(unmade.value.key, unmade.value.make))
        elsewhere.start()
        elsewhere.join()
        assert store.get(b"key", lambda: b"again") == b"made"
    assert store.get(b"other", lambda: b"here") == b"here"


def run(store: Store, *writes: Callable[[], bytes]) -> list[bytes | BaseException]:
    """What each gives, all begun at once on a loop that serves."""

    async def all_of_them() -> list[bytes | BaseException]:
        makers = Makers(store)
        with store.serving():
            found = await asyncio.gather(*(makers.done(write) for write in writes), return_exceptions=True)
        makers.close()
        return found

    return asyncio.run(all_of_them())


def test_it_is_made_once_for_all_who_wait() -> None:
    store, threads = Store(), []

    def make() -> bytes:
        threads.append(threading.get_ident())
        return b"made"

    assert run(store, *[lambda: store.get(b"key", make)] * 5) == [b"made"] * 5
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_a_store_too_small_for_a_reply_still_gives_it() -> None:
    store = Store(bytes_max=10)
    parts = [b"%d" % at * 9 for at in range(5)]
    whole = run(store, lambda: b"".join(store.get(part[:1], lambda part=part: part) for part in parts))  # type: ignore[misc]
    assert whole == [b"".join(parts)]


def test_a_failure_reaches_who_asked() -> None:
    store = Store()

    def make() -> bytes:
        raise ValueError("no sound")

    def broken() -> bytes:
        raise KeyError("a bug")

    first, second = run(store, lambda: store.get(b"one", make), lambda: store.get(b"two", broken))
    assert isinstance(first, ValueError)
    assert isinstance(second, KeyError)
