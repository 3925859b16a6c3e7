import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from plugin_server.engine.interface import Engine, ignore_progress
from plugin_server.engine.messages import EngineOptions, GenerationParams, Progress, Reply, Run
from plugin_server.engine.process import client, worker
from plugin_server.engine.process.client import EngineClient
from plugin_server.engine.process.worker import EngineWorker
from plugin_server.errors import BundleDamaged, Cancelled, EngineCrashed, EngineFailed, UnknownModel
from tests.support.toys import write_toy


@pytest.fixture
def fresh_engine(toys) -> Iterator[EngineClient]:
    """An engine for one test, which may kill it."""
    engine = EngineClient(EngineOptions((toys,), device="cpu", threads=1))
    yield engine
    engine.stop()


def params(**changes) -> GenerationParams:
    values = {"prompt": "sea waves", "negative": "", "seconds": 1.0, "seed": 1, "steps": 4, "guidance": 2.0}
    return GenerationParams(**(values | changes))


def test_a_take_covers_the_seconds_and_names_its_model(engine):
    result = engine.run_one("toy", params(seconds=1.0))
    assert result.output.samples.dtype == np.float32
    assert result.output.samples.shape[0] >= result.sample_rate
    assert (result.sample_rate, result.model) == (16000, "toy")
    assert len(result.checksum) == 16
    assert np.abs(result.output.samples).max() > 1e-3


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(engine):
    one, same, other = (engine.run_one("toy", params(seed=seed)).output.samples for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_another_prompt_gives_another_spectrum(engine):
    one, other = (engine.run_one("toy", params(prompt=p)).output.samples[:, 0] for p in ("sea waves", "dog"))
    spectra = [np.abs(np.fft.rfft(x)) for x in (one, other)]
    assert np.corrcoef(*spectra)[0, 1] < 0.95


def test_progress_rises_through_the_stages(engine):
    reports = []
    engine.run_one("toy", params(steps=4), lambda fraction, stage: reports.append((fraction, stage)))
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert list(dict.fromkeys(stage for _, stage in reports)) == ["condition", "sampling", "vocoder"]
    assert sum(stage == "sampling" for _, stage in reports) >= 4


def test_a_run_is_cancelled_within_a_step(engine):
    engine.load("slow-toy")
    began = time.monotonic()
    # Only once it is loaded: on a busy machine the cancel would come before the run.
    threading.Timer(0.4, engine.cancel).start()
    with pytest.raises(Cancelled):
        engine.run_one("slow-toy", params(steps=100, seconds=10))
    assert time.monotonic() - began < 10
    assert engine.run_one("slow-toy", params(steps=1)).output.samples.size


def test_a_report_that_raises_stops_the_run_and_leaves_nothing_in_the_pipe(engine):
    def refuse(_fraction: float, _stage: str) -> None:
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        engine.run_one("slow-toy", params(steps=50), refuse)
    assert engine.run_one("toy", params(seed=9)).model == "toy"


def test_a_killed_engine_costs_its_run_and_comes_back(fresh_engine):
    fresh_engine.load("slow-toy")
    before = fresh_engine.pid

    def kill_when_it_samples(fraction: float, _stage: str) -> None:
        if fraction > 0.1 and fresh_engine.pid == before:
            os.kill(before, signal.SIGKILL)

    with pytest.raises(EngineCrashed, match=r"died .exit code -9.; it is being started again"):
        fresh_engine.run_one("slow-toy", params(steps=100), kill_when_it_samples)
    assert fresh_engine.run_one("slow-toy", params(steps=1)).output.samples.size
    assert fresh_engine.pid != before


def test_an_engine_killed_while_idle_is_started_again_by_itself(fresh_engine):
    fresh_engine.load("toy")
    before = fresh_engine.pid
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + 15
    while (fresh_engine.pid in (before, None) or fresh_engine.loaded is None) and time.monotonic() < until:
        time.sleep(0.02)
    assert fresh_engine.pid != before
    assert fresh_engine.loaded.model == "toy"


def test_an_engine_that_cannot_be_started_again_says_so_and_later_can(fresh_engine, monkeypatch):
    fresh_engine.load("slow-toy")

    def no_more_files() -> None:
        raise OSError(24, "Too many open files")

    def kill_when_it_samples(fraction: float, _stage: str) -> None:
        if fraction > 0.1 and fresh_engine.pid:
            os.kill(fresh_engine.pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(fresh_engine._context, "Pipe", no_more_files)
        with pytest.raises(EngineCrashed, match=r"cannot be started: .*Too many open files"):
            fresh_engine.run_one("slow-toy", params(steps=100), kill_when_it_samples)
        assert fresh_engine.state == "failed"
        with pytest.raises(EngineFailed, match="cannot be started"):
            fresh_engine.run_one("slow-toy", params(steps=1))
    assert fresh_engine.run_one("slow-toy", params(steps=1)).output.samples.size


def test_an_engine_that_sends_nonsense_costs_its_run_and_comes_back(fresh_engine, monkeypatch):
    fresh_engine.load("slow-toy")
    before, handle = fresh_engine.pid, fresh_engine._handle_message

    def misunderstand(message: Reply) -> None:
        if isinstance(message, Progress) and fresh_engine.pid == before:
            raise ValueError("nonsense")
        handle(message)

    monkeypatch.setattr(fresh_engine, "_handle_message", misunderstand)
    assert fresh_engine.run_one("slow-toy", params(steps=1)).output.samples.size
    assert fresh_engine.pid != before


def test_a_stop_amid_several_takes_leaves_no_process(fresh_engine):
    fresh_engine.load("slow-toy")

    def stop_when_it_samples(fraction: float, _stage: str) -> None:
        if fraction > 0.1:
            fresh_engine.stop()

    for _ in range(2):
        with pytest.raises(Cancelled, match="stopped"):
            fresh_engine.run_one("slow-toy", params(steps=50), stop_when_it_samples)
    assert fresh_engine.pid is None
    fresh_engine.start("toy")
    assert fresh_engine.run_one("toy", params()).model == "toy"


def test_waiting_for_a_model_is_reported_and_can_be_cancelled(fresh_engine):
    fresh_engine.start("toy")
    os.kill(fresh_engine.pid, signal.SIGSTOP)
    reports = []

    def wait_a_little(fraction: float, stage: str) -> None:
        reports.append((fraction, stage))
        if len(reports) == 3:
            raise Cancelled("no")

    with pytest.raises(Cancelled):
        fresh_engine.run_one("toy", params(), wait_a_little)
    assert reports == [(0.0, "loading")] * 3
    os.kill(fresh_engine.pid, signal.SIGCONT)
    assert fresh_engine.run_one("toy", params()).model == "toy"


def test_a_model_that_takes_too_long_to_load_says_that_it_still_does(fresh_engine, monkeypatch):
    monkeypatch.setattr(client, "START_TIMEOUT_S", 0.5)
    fresh_engine.start("toy")
    os.kill(fresh_engine.pid, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match=r"toy is still being loaded after 0.5 s"):
        fresh_engine.load("toy")
    os.kill(fresh_engine.pid, signal.SIGCONT)
    monkeypatch.undo()
    assert fresh_engine.load("toy").model == "toy"


def test_a_model_is_unloaded_with_its_process_and_loaded_again_on_demand(fresh_engine):
    fresh_engine.load("toy")
    pid = fresh_engine.pid
    with pytest.raises(UnknownModel, match="got 'slow-toy', but toy is loaded"):
        fresh_engine.unload("slow-toy")
    fresh_engine.unload("toy")
    assert (fresh_engine.pid, fresh_engine.loaded, fresh_engine.state) == (None, None, "unloaded")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UnknownModel, match="but no model is loaded"):
        fresh_engine.unload("toy")
    assert fresh_engine.run_one("toy", params()).model == "toy"


def test_ctrl_c_is_the_daemons_business_alone(fresh_engine):
    fresh_engine.load("toy")
    pid = fresh_engine.pid
    os.kill(pid, signal.SIGINT)
    assert fresh_engine.run_one("toy", params()).model == "toy"
    assert fresh_engine.pid == pid


def test_the_process_ignores_ctrl_c_before_it_imports_anything_heavy():
    code = (
        "import sys, plugin_server.engine.process.entry; print({'numpy', 'onnxruntime'} & set(sys.modules) or 'none')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "none"


def test_an_onnxruntime_that_is_broken_is_reported_in_a_sentence(fresh_engine, tmp_path, monkeypatch, capfd):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libcudart is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineFailed, match="cannot be imported: libcudart is missing"):
        fresh_engine.load("toy")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "darwin", reason="CoreML is there")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_onnxruntime_does_not_take_is_refused_or_warned_of(toys, monkeypatch, caplog):
    monkeypatch.setattr(worker, "choose_provider", lambda _device: "CoreMLExecutionProvider")
    with pytest.raises(EngineFailed, match="device: got 'coreml', but onnxruntime took CPUExecutionProvider"):
        EngineWorker(None, EngineOptions((toys,), "coreml"))._load("toy")
    loaded = EngineWorker(None, EngineOptions((toys,), "auto"))._load("toy")
    assert loaded.provider == "CPUExecutionProvider"
    assert "could not use CoreMLExecutionProvider" in caplog.text


def test_an_engine_without_a_model_refuses_a_run(toys):
    with pytest.raises(EngineFailed, match="holds no model"):
        EngineWorker(None, EngineOptions((toys,)))._run(Run(1, (params(),)))


def test_models_that_cannot_be_loaded_are_reported_and_the_engine_lives_on(tmp_path):
    write_toy(tmp_path)
    broken = write_toy(tmp_path, "broken")
    (broken / "vocoder.onnx").write_bytes(b"no graph")
    engine = EngineClient(EngineOptions((tmp_path,), device="cpu", threads=1))
    try:
        with pytest.raises(BundleDamaged, match=r"vocoder\.onnx"):
            engine.run_one("broken", params())
        with pytest.raises(UnknownModel, match="nothing"):
            engine.run_one("nothing", params())
        assert engine.run_one("toy", params()).model == "toy"
    finally:
        engine.stop()


def test_a_stopped_engine_leaves_no_process(toys):
    engine = EngineClient(EngineOptions((toys,), device="cpu", threads=1))
    engine.load("toy")
    pid = engine.pid
    engine.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_run_sent_just_after_an_idle_engine_died_succeeds_all_the_same(toys):
    engine = EngineClient(EngineOptions((toys,), device="cpu", threads=1))
    try:
        for pause in (0.0, 0.002, 0.02):
            engine.load("toy")
            os.kill(engine.pid, signal.SIGKILL)
            time.sleep(pause)
            assert engine.run_one("toy", params()).model == "toy"
    finally:
        engine.stop()


def test_several_items_are_one_run_and_their_results_come_in_order(engine):
    reports = []
    takes = [params(seed=seed) for seed in (5, 6, 7)]
    results = list(engine.run("toy", takes, lambda fraction, stage: reports.append((fraction, stage))))
    for take, result in zip(takes, results, strict=True):
        assert np.array_equal(result.output.samples, engine.run_one("toy", take).output.samples)
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert [fraction for fraction, stage in reports if stage == "condition"] == [0.0, 1 / 3, 2 / 3]


def test_a_run_that_is_left_early_is_cancelled_and_the_next_is_not_mixed_with_it(engine):
    engine.load("slow-toy")
    began = time.monotonic()
    takes = [params(steps=1), *(params(steps=100, seconds=10) for _ in range(3))]
    with closing(engine.run("slow-toy", takes, ignore_progress)) as results:
        next(results)
    assert time.monotonic() - began < 10
    assert len(list(engine.run("slow-toy", takes[:1], ignore_progress))) == 1


def test_a_killed_engine_keeps_the_results_that_it_gave(fresh_engine):
    fresh_engine.load("slow-toy")
    before = fresh_engine.pid

    def kill_at_the_second(fraction: float, _stage: str) -> None:
        if fraction > 0.6 and fresh_engine.pid == before:
            os.kill(before, signal.SIGKILL)

    results = fresh_engine.run("slow-toy", [params(steps=1), params(steps=100)], kill_at_the_second)
    assert next(results).output.samples.size
    with pytest.raises(EngineCrashed, match="it is being started again"):
        next(results)


def test_the_client_satisfies_the_engine_protocol(fresh_engine):
    def needs_an_engine(engine: Engine) -> str:
        return engine.state

    assert needs_an_engine(fresh_engine) == "unloaded"


def test_messages_cross_the_pipe_unchanged():
    run = Run(3, (params(images=("/a.png",), conditioning="pd"),))
    assert pickle.loads(pickle.dumps(run)) == run
    assert run.items[0].input_files == ("/a.png",)
