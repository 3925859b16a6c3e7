import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from plugin_server.errors import Cancelled, DuplicateJob, EngineCrashed, QueueFull, UnknownJob
from plugin_server.studio.jobs import ClipMade, Done, Failed, Jobs, Progress, Queued
from plugin_server.studio.requests import Generate, RenderBank


class FakeRunner:
    """Makes nothing, one request at a time, when it is released."""

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


class NeverSet(threading.Event):
    """An event that never happens."""

    def set(self):
        pass


class Recorder:
    """Remembers events."""

    def __init__(self):
        self.events = []

    def __call__(self, job, event):
        self.events.append((job.id, event))

    def of(self, job_id):
        return [event for name, event in self.events if name == job_id]


@pytest.fixture
def runner():
    return FakeRunner()


@contextmanager
def working(runner):
    jobs = Jobs(runner, size=3)
    jobs.start()
    yield jobs
    runner.go.release(100)
    jobs.stop(lambda: None)


@pytest.fixture
def jobs(runner):
    with working(runner) as jobs:
        yield jobs


def wait_until(condition, timeout=5.0):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.002)


def test_a_job_is_queued_makes_clips_and_is_done(jobs, runner):
    recorder = Recorder()
    job = jobs.submit(Generate("rain"), recorder)
    runner.go.release()
    assert jobs.wait([job], 5)
    kinds = [type(event) for event in recorder.of(job.id)]
    assert kinds == [Queued, Progress, ClipMade, Done]
    assert recorder.of(job.id)[-1] == Done(1)


def test_jobs_run_in_the_order_they_came_and_know_their_position(jobs, runner):
    recorder = Recorder()
    made = [jobs.submit(Generate(str(name)), recorder) for name in "abc"]
    positions = [recorder.of(job.id)[0].position for job in made]
    runner.go.release(3)
    assert jobs.wait(made, 5)
    assert runner.made == list("abc")
    assert positions[1:] == [positions[0] + 1, positions[0] + 2]


def test_a_full_queue_refuses_and_takes_more_later(jobs, runner):
    first = jobs.submit(Generate("first"), Recorder())
    wait_until(lambda: first.state == "running")
    waiting = [jobs.submit(Generate(f"w{i}"), Recorder()) for i in range(3)]
    with pytest.raises(QueueFull, match="3 jobs"):
        jobs.submit(Generate("one too many"), Recorder())
    runner.go.release(4)
    assert jobs.wait([first, *waiting], 5)
    runner.go.release()
    assert jobs.wait([jobs.submit(Generate("now"), Recorder())], 5)


def test_a_waiting_job_is_cancelled_without_running(jobs, runner):
    recorder = Recorder()
    first, second = jobs.submit(Generate("a"), recorder), jobs.submit(Generate("b"), recorder)
    jobs.cancel(second.id)
    runner.go.release()
    assert jobs.wait([first, second], 5)
    assert runner.made == ["a"]
    assert recorder.of(second.id)[-1].code == "cancelled"


def test_a_running_job_is_cancelled(jobs):
    recorder = Recorder()
    job = jobs.submit(Generate("a"), recorder)
    wait_until(lambda: job.state == "running" and any(isinstance(e, Progress) for e in recorder.of(job.id)))
    jobs.cancel(job.id)
    assert jobs.wait([job], 5)
    assert recorder.of(job.id)[-1].code == "cancelled"
    with pytest.raises(UnknownJob):
        jobs.cancel(job.id)


def test_cancelling_all_counts_them(jobs):
    recorder = Recorder()
    made = [jobs.submit(Generate(name), recorder) for name in "abc"]
    assert jobs.cancel_all() == 3
    assert jobs.wait(made, 5)
    assert [recorder.of(job.id)[-1].code for job in made] == ["cancelled"] * 3


def test_an_error_costs_one_job(jobs, runner):
    recorder = Recorder()
    runner.error = EngineCrashed("gone")
    bad = jobs.submit(Generate("a"), recorder)
    runner.go.release()
    assert jobs.wait([bad], 5)
    runner.error = None
    good = jobs.submit(Generate("b"), recorder)
    runner.go.release()
    assert jobs.wait([good], 5)
    assert recorder.of(bad.id)[-1] == Failed("engine_crashed", "gone")
    assert recorder.of(good.id)[-1] == Done(1)


def test_an_unforeseen_error_ends_its_job_too(jobs, runner):
    recorder = Recorder()
    runner.error = ZeroDivisionError("oops")
    job = jobs.submit(Generate("a"), recorder)
    runner.go.release()
    assert jobs.wait([job], 5)
    assert "oops" in recorder.of(job.id)[-1].message


def test_asking_twice_with_one_id_makes_one_job(jobs, runner):
    one, two = Recorder(), Recorder()
    job = jobs.submit(Generate("a", id="mine"), one)
    assert jobs.submit(Generate("a", id="mine"), two) is job
    runner.go.release()
    assert jobs.wait([job], 5)
    assert runner.made == ["a"]
    assert two.of("mine")[-1] == Done(1)
    late = Recorder()
    jobs.submit(Generate("a", id="mine"), late)
    assert [type(event) for event in late.of("mine")] == [Queued, ClipMade, Done]
    with pytest.raises(DuplicateJob, match="'mine'"):
        jobs.submit(Generate("b", id="mine"), Recorder())


def test_a_cancelled_job_has_ended_at_once_and_says_nothing_more(jobs, runner):
    recorder = Recorder()
    job = jobs.submit(Generate("a"), recorder)
    wait_until(lambda: any(isinstance(e, Progress) for e in recorder.of(job.id)))
    # The runner is about to hand over its clip: it neither sees the cancelling nor stops for it.
    runner.cancelled = NeverSet()
    jobs.cancel(job.id)
    assert job.ended and jobs.active() == []
    runner.go.release()
    wait_until(lambda: runner.made)
    after = jobs.submit(Generate("b"), recorder)
    runner.go.release()
    assert jobs.wait([after], 5)
    assert [type(event) for event in recorder.of(job.id)] == [Queued, Progress, Failed]
    assert runner.refused == ["a"]


@pytest.mark.parametrize("how", ["failed", "cancelled", "cancelled while it waited"])
def test_an_id_that_failed_or_was_cancelled_is_made_anew(jobs, runner, how):
    recorder, request = Recorder(), Generate("a", id="mine")
    before = jobs.submit(Generate("before"), Recorder())
    first = jobs.submit(request, recorder)
    if how != "cancelled while it waited":
        runner.go.release()
        wait_until(lambda: first.state == "running")
    if how == "failed":
        runner.error = EngineCrashed("gone")
        runner.go.release()
    else:
        jobs.cancel("mine")
    assert jobs.wait([first], 5)
    runner.error = None
    again = jobs.submit(Generate("another prompt", id="mine"), recorder)
    assert again is not first
    runner.go.release(2)
    assert jobs.wait([before, again], 5)
    assert recorder.of("mine")[-1] == Done(1)


def test_a_subscriber_gets_every_event_once_and_no_replay(jobs, runner):
    subscriber, one, two = Recorder(), Recorder(), Recorder()
    jobs.subscribe(subscriber)
    job = jobs.submit(Generate("a", id="mine"), one)
    jobs.submit(Generate("a", id="mine"), two)
    runner.go.release()
    assert jobs.wait([job], 5)
    jobs.submit(Generate("a", id="mine"), two)
    assert [type(event) for event in subscriber.of("mine")] == [Queued, Progress, ClipMade, Done]
    assert job.listeners == []


def test_a_client_that_joins_amid_the_events_gets_each_once():
    class Takes(FakeRunner):
        def run(self, _request, _report, on_clip):
            for i in range(200):
                on_clip(ClipMade("c", Path("/x.wav"), 1.0, i, 0))

    jobs = Jobs(Takes(), size=3)
    recorders = [Recorder() for _ in range(50)]
    jobs.submit(Generate("a", id="mine"), recorders[0])
    jobs.start()
    for recorder in recorders[1:]:
        jobs.submit(Generate("a", id="mine"), recorder)
    assert jobs.wait([jobs.submit(Generate("a", id="mine"), Recorder())], 10)
    for recorder in recorders:
        assert [e.take for e in recorder.of("mine") if isinstance(e, ClipMade)] == list(range(200))
        assert isinstance(recorder.of("mine")[-1], Done)
    jobs.stop(lambda: None)


def test_stopping_ends_every_job_and_takes_no_more(jobs):
    recorder = Recorder()
    made = [jobs.submit(Generate(name), recorder) for name in "ab"]
    jobs.stop(lambda: None)
    assert [recorder.of(job.id)[-1].code for job in made] == ["cancelled"] * 2
    with pytest.raises(Cancelled, match="stopped"):
        jobs.submit(Generate("c"), recorder)


def test_jobs_that_were_never_started_can_be_stopped(runner):
    Jobs(runner, size=3).stop(lambda: None)


def test_a_listener_that_fails_harms_nobody(jobs, runner):
    def broken(_job, _event):
        raise RuntimeError("broken")

    job = jobs.submit(Generate("a"), broken)
    runner.go.release()
    assert jobs.wait([job], 5)
    assert job.state == "done"


class InParts(FakeRunner):
    """Makes a bank a slot at a time."""

    def run(self, request, report, on_clip):
        if not isinstance(request, RenderBank):
            return super().run(request, report, on_clip)
        super().run(request.slots[request.n_done], report, on_clip)
        n_done = request.n_done + 1
        return replace(request, n_done=n_done) if n_done < len(request.slots) else None


@pytest.fixture
def part_runner():
    return InParts()


@pytest.fixture
def part_jobs(part_runner):
    with working(part_runner) as jobs:
        yield jobs


def bank_of(*prompts):
    return RenderBank("bank", tuple(Generate(prompt) for prompt in prompts))


def test_who_asks_while_a_bank_is_rendered_waits_for_one_slot_only(part_jobs, part_runner):
    recorder = Recorder()
    bank = part_jobs.submit(bank_of("a", "b", "c"), recorder)
    wait_until(lambda: bank.state == "running")
    other = part_jobs.submit(Generate("other"), recorder)
    part_runner.go.release(4)
    assert part_jobs.wait([bank, other], 5)
    assert part_runner.made == ["a", "other", "b", "c"]
    assert recorder.of(bank.id)[-1] == Done(3)
    assert [type(event) for event in recorder.of(bank.id)].count(Queued) == 1


def test_a_bank_is_cancelled_between_its_slots(part_jobs, part_runner):
    recorder = Recorder()
    bank = part_jobs.submit(bank_of("a", "b"), recorder)
    wait_until(lambda: bank.state == "running")
    other = part_jobs.submit(Generate("other"), recorder)
    part_runner.go.release()
    wait_until(lambda: other.state == "running")
    assert part_jobs.active() == [other, bank]
    part_jobs.cancel(bank.id)
    part_runner.go.release(2)
    assert part_jobs.wait([bank, other], 5)
    assert part_runner.made == ["a", "other"]
    assert recorder.of(bank.id)[-1].code == "cancelled"


def test_a_bank_that_is_cancelled_within_a_slot_is_not_continued(part_jobs, part_runner):
    recorder = Recorder()
    bank = part_jobs.submit(bank_of("a", "b"), recorder)
    wait_until(lambda: any(isinstance(event, Progress) for event in recorder.of(bank.id)))
    part_jobs.cancel(bank.id)
    part_runner.go.release(5)
    after = part_jobs.submit(Generate("after"), recorder)
    assert part_jobs.wait([after], 5)
    assert "b" not in part_runner.made
