"""A clerk does one thing at a time beside whoever gave it."""

import gc
from threading import Event, Thread, current_thread

import pytest

from rest_api.clerk import Clerk


def wait_for(event: Event) -> None:
    assert event.wait(30)


def test_who_gives_an_errand_goes_on_and_waits_for_its_end() -> None:
    may_end, has_ended = Event(), Event()

    def work() -> None:
        wait_for(may_end)
        has_ended.set()

    errand = Clerk().take(work)
    assert errand is not None
    assert not has_ended.is_set()
    may_end.set()
    errand.result()
    assert has_ended.is_set()


def test_a_busy_clerk_takes_nothing_and_a_free_one_the_next() -> None:
    clerk, may_end = Clerk(), Event()
    errand = clerk.take(lambda: wait_for(may_end))
    assert errand is not None
    assert clerk.take(may_end.set) is None
    may_end.set()
    errand.result()
    assert clerk.take(may_end.set) is not None


def test_who_waits_is_told_what_went_wrong_and_the_next_errand_is_done() -> None:
    def fail() -> None:
        raise OSError("no space left")

    clerk, done = Clerk(), Event()
    errand = clerk.take(fail)
    assert errand is not None
    with pytest.raises(OSError, match="no space left"):
        errand.result()
    following = clerk.take(done.set)
    assert following is not None
    following.result()
    assert done.is_set()


def test_its_thread_ends_with_it() -> None:
    threads: list[Thread] = []
    clerk = Clerk()
    errand = clerk.take(lambda: threads.append(current_thread()))
    assert errand is not None
    errand.result()
    del clerk, errand
    gc.collect()
    (thread,) = threads
    thread.join(30)
    assert not thread.is_alive()
