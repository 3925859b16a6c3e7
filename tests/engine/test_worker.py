import os
import signal
import threading
import time

import numpy as np
import pytest

from plugin_server.engine.order import TakeOrder
from plugin_server.engine.worker import Engine, EngineOptions
from plugin_server.errors import BundleDamaged, Cancelled, EngineCrashed, UnknownModel
from tests.toys import write_toy


def order(**changes) -> TakeOrder:
    values = {"prompt": "sea waves", "negative": "", "seconds": 1.0, "seed": 1, "steps": 4, "guidance": 2.0}
    return TakeOrder(**(values | changes))


def ignore(fraction: float, stage: str) -> None:
    pass


def test_a_take_covers_the_seconds_and_names_its_model(engine):
    take = engine.run("toy", order(seconds=1.0), ignore)
    assert take.made.samples.dtype == np.float32
    assert take.made.samples.shape[0] >= take.sample_rate
    assert (take.sample_rate, take.model) == (16000, "toy")
    assert len(take.checksum) == 16
    assert np.abs(take.made.samples).max() > 1e-3


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(engine):
    one, same, other = (engine.run("toy", order(seed=seed), ignore).made.samples for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_another_prompt_gives_another_spectrum(engine):
    one, other = (engine.run("toy", order(prompt=p), ignore).made.samples[:, 0] for p in ("sea waves", "dog"))
    spectra = [np.abs(np.fft.rfft(x)) for x in (one, other)]
    assert np.corrcoef(*spectra)[0, 1] < 0.95


def test_progress_rises_through_the_stages(engine):
    heard = []
    engine.run("toy", order(steps=4), lambda fraction, stage: heard.append((fraction, stage)))
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert list(dict.fromkeys(stage for _, stage in heard)) == ["text", "sampling", "vocoder"]
    assert sum(stage == "sampling" for _, stage in heard) >= 4


def test_a_run_is_cancelled_within_a_step(engine):
    began = time.monotonic()
    threading.Timer(0.4, engine.cancel).start()
    engine.load("slow-toy")
    with pytest.raises(Cancelled):
        engine.run("slow-toy", order(steps=100, seconds=10), ignore)
    assert time.monotonic() - began < 10
    assert engine.run("slow-toy", order(steps=1), ignore).made.samples.size


def test_a_report_that_raises_stops_the_run_and_leaves_nothing_in_the_pipe(engine):
    def refuse(fraction: float, stage: str) -> None:
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        engine.run("slow-toy", order(steps=50), refuse)
    assert engine.run("toy", order(seed=9), ignore).model == "toy"


def test_a_killed_engine_costs_its_order_and_comes_back(toys):
    engine = Engine(EngineOptions((toys,), device="cpu", threads=1))
    try:
        engine.load("slow-toy")
        before = engine.pid

        def kill_when_it_samples(fraction: float, stage: str) -> None:
            if fraction > 0.1 and engine.pid == before:
                os.kill(before, signal.SIGKILL)

        with pytest.raises(EngineCrashed, match="died"):
            engine.run("slow-toy", order(steps=100), kill_when_it_samples)
        assert engine.run("slow-toy", order(steps=1), ignore).made.samples.size
        assert engine.pid != before
    finally:
        engine.stop()


def test_an_engine_killed_while_idle_is_started_again_by_itself(toys):
    engine = Engine(EngineOptions((toys,), device="cpu", threads=1))
    try:
        engine.load("toy")
        before = engine.pid
        os.kill(before, signal.SIGKILL)
        until = time.monotonic() + 15
        while (engine.pid in (before, None) or engine.loaded is None) and time.monotonic() < until:
            time.sleep(0.02)
        assert engine.pid != before
        assert engine.loaded.model == "toy"
    finally:
        engine.stop()


def test_models_that_cannot_be_loaded_are_told_and_the_engine_lives_on(tmp_path):
    write_toy(tmp_path)
    broken = write_toy(tmp_path, "broken")
    (broken / "vocoder.onnx").write_bytes(b"no graph")
    engine = Engine(EngineOptions((tmp_path,), device="cpu", threads=1))
    try:
        with pytest.raises(BundleDamaged, match=r"vocoder\.onnx"):
            engine.run("broken", order(), ignore)
        with pytest.raises(UnknownModel, match="nothing"):
            engine.run("nothing", order(), ignore)
        assert engine.run("toy", order(), ignore).model == "toy"
    finally:
        engine.stop()


def test_a_stopped_engine_leaves_no_process(toys):
    engine = Engine(EngineOptions((toys,), device="cpu", threads=1))
    engine.load("toy")
    pid = engine.pid
    engine.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_order_sent_just_after_an_idle_engine_died_is_made_all_the_same(toys):
    engine = Engine(EngineOptions((toys,), device="cpu", threads=1))
    try:
        for pause in (0.0, 0.002, 0.02):
            engine.load("toy")
            os.kill(engine.pid, signal.SIGKILL)
            time.sleep(pause)
            assert engine.run("toy", order(), ignore).model == "toy"
    finally:
        engine.stop()
