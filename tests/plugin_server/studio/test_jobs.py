import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from plugin_server.errors import Cancelled, DuplicateJob, EngineCrashed, QueueFull, UnknownJob
from plugin_server.studio.jobs import ClipMade, Done, Failed, Jobs, Progress, Queued
from plugin_server.studio.requests import Generate, RenderBank


class JobRunner:
    """Makes nothing, one request at a time, when it is let."""

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.cancelled = threading.Event()
        self.made = []
        self.refused = []
        self.error = None

    def run(self, request, report, on_clip):
        self.cancelled.clear()
        report(0.5, "sampling")
        while not self.go.acquire(timeout=0.01):
            if self.cancelled.is_set():
                raise Cancelled("cancelled")
        if self.error:
            raise self.error
        self.made.append(request.prompt)
        try:
            on_clip(ClipMade("c1", Path("/x.wav"), 1.0, 1, 3))
        except Cancelled:
            self.refused.append(request.prompt)
            raise

    def cancel(self):
        self.cancelled.set()


class Deaf(threading.Event):
    """An event that never happens."""

    def set(self):
        pass


class Ear:
    """Remembers events."""

    def __init__(self):
        self.heard = []

    def __call__(self, job, event):
        self.heard.append((job.id, event))

    def of(self, job_id):
        return [event for name, event in self.heard if name == job_id]


@pytest.fixture
def maker():
    return JobRunner()


@contextmanager
def working(maker):
    jobs = Jobs(maker, size=3)
    jobs.start()
    yield jobs
    maker.go.release(100)
    jobs.stop(lambda: None)


@pytest.fixture
def jobs(maker):
    with working(maker) as jobs:
        yield jobs


def wait_until(condition, timeout=5.0):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.002)


def test_a_job_is_queued_makes_clips_and_is_done(jobs, maker):
    ear = Ear()
    job = jobs.submit(Generate("rain"), ear)
    maker.go.release()
    assert jobs.wait([job], 5)
    kinds = [type(event) for event in ear.of(job.id)]
    assert kinds == [Queued, Progress, ClipMade, Done]
    assert ear.of(job.id)[-1] == Done(1)


def test_jobs_run_in_the_order_they_came_and_know_their_position(jobs, maker):
    ear = Ear()
    made = [jobs.submit(Generate(str(name)), ear) for name in "abc"]
    positions = [ear.of(job.id)[0].position for job in made]
    maker.go.release(3)
    assert jobs.wait(made, 5)
    assert maker.made == list("abc")
    assert positions[1:] == [positions[0] + 1, positions[0] + 2]


def test_a_full_queue_refuses_and_takes_more_later(jobs, maker):
    first = jobs.submit(Generate("first"), Ear())
    wait_until(lambda: first.state == "running")
    waiting = [jobs.submit(Generate(f"w{i}"), Ear()) for i in range(3)]
    with pytest.raises(QueueFull, match="3 jobs"):
        jobs.submit(Generate("one too many"), Ear())
    maker.go.release(4)
    assert jobs.wait([first, *waiting], 5)
    maker.go.release()
    assert jobs.wait([jobs.submit(Generate("now"), Ear())], 5)


def test_a_waiting_job_is_cancelled_without_running(jobs, maker):
    ear = Ear()
    first, second = jobs.submit(Generate("a"), ear), jobs.submit(Generate("b"), ear)
    jobs.cancel(second.id)
    maker.go.release()
    assert jobs.wait([first, second], 5)
    assert maker.made == ["a"]
    assert ear.of(second.id)[-1].code == "cancelled"


def test_a_running_job_is_cancelled(jobs):
    ear = Ear()
    job = jobs.submit(Generate("a"), ear)
    wait_until(lambda: job.state == "running" and any(isinstance(e, Progress) for e in ear.of(job.id)))
    jobs.cancel(job.id)
    assert jobs.wait([job], 5)
    assert ear.of(job.id)[-1].code == "cancelled"
    with pytest.raises(UnknownJob):
        jobs.cancel(job.id)


def test_cancelling_all_counts_them(jobs):
    ear = Ear()
    made = [jobs.submit(Generate(name), ear) for name in "abc"]
    assert jobs.cancel_all() == 3
    assert jobs.wait(made, 5)
    assert [ear.of(job.id)[-1].code for job in made] == ["cancelled"] * 3


def test_an_error_costs_one_job(jobs, maker):
    ear = Ear()
    maker.error = EngineCrashed("gone")
    bad = jobs.submit(Generate("a"), ear)
    maker.go.release()
    assert jobs.wait([bad], 5)
    maker.error = None
    good = jobs.submit(Generate("b"), ear)
    maker.go.release()
    assert jobs.wait([good], 5)
    assert ear.of(bad.id)[-1] == Failed("engine_crashed", "gone")
    assert ear.of(good.id)[-1] == Done(1)


def test_what_nobody_foresaw_is_told_too(jobs, maker):
    ear = Ear()
    maker.error = ZeroDivisionError("oops")
    job = jobs.submit(Generate("a"), ear)
    maker.go.release()
    assert jobs.wait([job], 5)
    assert "oops" in ear.of(job.id)[-1].message


def test_asking_twice_with_one_id_makes_one_job(jobs, maker):
    one, two = Ear(), Ear()
    job = jobs.submit(Generate("a", id="mine"), one)
    assert jobs.submit(Generate("a", id="mine"), two) is job
    maker.go.release()
    assert jobs.wait([job], 5)
    assert maker.made == ["a"]
    assert two.of("mine")[-1] == Done(1)
    late = Ear()
    jobs.submit(Generate("a", id="mine"), late)
    assert [type(event) for event in late.of("mine")] == [Queued, ClipMade, Done]
    with pytest.raises(DuplicateJob, match="'mine'"):
        jobs.submit(Generate("b", id="mine"), Ear())


def test_a_cancelled_job_has_ended_at_once_and_says_nothing_more(jobs, maker):
    ear = Ear()
    job = jobs.submit(Generate("a"), ear)
    wait_until(lambda: any(isinstance(e, Progress) for e in ear.of(job.id)))
    # The maker is about to hand over its clip: it neither hears of the cancel nor stops for it.
    maker.cancelled = Deaf()
    jobs.cancel(job.id)
    assert job.ended and jobs.active() == []
    maker.go.release()
    wait_until(lambda: maker.made)
    after = jobs.submit(Generate("b"), ear)
    maker.go.release()
    assert jobs.wait([after], 5)
    assert [type(event) for event in ear.of(job.id)] == [Queued, Progress, Failed]
    assert maker.refused == ["a"]


@pytest.mark.parametrize("how", ["failed", "cancelled", "cancelled while it waited"])
def test_an_id_that_failed_or_was_cancelled_is_made_anew(jobs, maker, how):
    ear, request = Ear(), Generate("a", id="mine")
    before = jobs.submit(Generate("before"), Ear())
    first = jobs.submit(request, ear)
    if how != "cancelled while it waited":
        maker.go.release()
        wait_until(lambda: first.state == "running")
    if how == "failed":
        maker.error = EngineCrashed("gone")
        maker.go.release()
    else:
        jobs.cancel("mine")
    assert jobs.wait([first], 5)
    maker.error = None
    again = jobs.submit(Generate("another prompt", id="mine"), ear)
    assert again is not first
    maker.go.release(2)
    assert jobs.wait([before, again], 5)
    assert ear.of("mine")[-1] == Done(1)


def test_the_audience_hears_every_job_once_and_no_replay(jobs, maker):
    audience, one, two = Ear(), Ear(), Ear()
    jobs.subscribe(audience)
    job = jobs.submit(Generate("a", id="mine"), one)
    jobs.submit(Generate("a", id="mine"), two)
    maker.go.release()
    assert jobs.wait([job], 5)
    jobs.submit(Generate("a", id="mine"), two)
    assert [type(event) for event in audience.of("mine")] == [Queued, Progress, ClipMade, Done]
    assert job.listeners == []


def test_whoever_joins_amid_the_events_hears_each_once(maker):
    class Takes(JobRunner):
        def run(self, request, report, on_clip):
            for i in range(200):
                on_clip(ClipMade("c", Path("/x.wav"), 1.0, i, 0))

    jobs = Jobs(Takes(), size=3)
    ears = [Ear() for _ in range(50)]
    jobs.submit(Generate("a", id="mine"), ears[0])
    jobs.start()
    for ear in ears[1:]:
        jobs.submit(Generate("a", id="mine"), ear)
    assert jobs.wait([jobs.submit(Generate("a", id="mine"), Ear())], 10)
    for ear in ears:
        assert [e.take for e in ear.of("mine") if isinstance(e, ClipMade)] == list(range(200))
        assert isinstance(ear.of("mine")[-1], Done)
    jobs.stop(lambda: None)


def test_stopping_ends_every_job_and_takes_no_more(jobs, maker):
    ear = Ear()
    made = [jobs.submit(Generate(name), ear) for name in "ab"]
    jobs.stop(lambda: None)
    assert [ear.of(job.id)[-1].code for job in made] == ["cancelled"] * 2
    with pytest.raises(Cancelled, match="stopped"):
        jobs.submit(Generate("c"), ear)


def test_jobs_that_were_never_started_can_be_stopped(maker):
    Jobs(maker, size=3).stop(lambda: None)


def test_a_listener_that_fails_harms_nobody(jobs, maker):
    def broken(job, event):
        raise RuntimeError("deaf")

    job = jobs.submit(Generate("a"), broken)
    maker.go.release()
    assert jobs.wait([job], 5)
    assert job.state == "done"


class InParts(JobRunner):
    """Makes a bank a slot at a time."""

    def run(self, request, report, on_clip):
        if not isinstance(request, RenderBank):
            return super().run(request, report, on_clip)
        super().run(request.slots[request.n_done], report, on_clip)
        n_done = request.n_done + 1
        return replace(request, n_done=n_done) if n_done < len(request.slots) else None


@pytest.fixture
def part_maker():
    return InParts()


@pytest.fixture
def part_jobs(part_maker):
    with working(part_maker) as jobs:
        yield jobs


def bank_of(*prompts):
    return RenderBank("bank", tuple(Generate(prompt) for prompt in prompts))


def test_who_asks_while_a_bank_is_rendered_waits_for_one_slot_only(part_jobs, part_maker):
    ear = Ear()
    bank = part_jobs.submit(bank_of("a", "b", "c"), ear)
    wait_until(lambda: bank.state == "running")
    other = part_jobs.submit(Generate("other"), ear)
    part_maker.go.release(4)
    assert part_jobs.wait([bank, other], 5)
    assert part_maker.made == ["a", "other", "b", "c"]
    assert ear.of(bank.id)[-1] == Done(3)
    assert [type(event) for event in ear.of(bank.id)].count(Queued) == 1


def test_a_bank_is_cancelled_between_its_slots(part_jobs, part_maker):
    ear = Ear()
    bank = part_jobs.submit(bank_of("a", "b"), ear)
    wait_until(lambda: bank.state == "running")
    other = part_jobs.submit(Generate("other"), ear)
    part_maker.go.release()
    wait_until(lambda: other.state == "running")
    assert part_jobs.active() == [other, bank]
    part_jobs.cancel(bank.id)
    part_maker.go.release(2)
    assert part_jobs.wait([bank, other], 5)
    assert part_maker.made == ["a", "other"]
    assert ear.of(bank.id)[-1].code == "cancelled"


def test_a_bank_that_is_cancelled_within_a_slot_is_not_gone_on_with(part_jobs, part_maker):
    ear = Ear()
    bank = part_jobs.submit(bank_of("a", "b"), ear)
    wait_until(lambda: any(isinstance(event, Progress) for event in ear.of(bank.id)))
    part_jobs.cancel(bank.id)
    part_maker.go.release(5)
    after = part_jobs.submit(Generate("after"), ear)
    assert part_jobs.wait([after], 5)
    assert "b" not in part_maker.made
