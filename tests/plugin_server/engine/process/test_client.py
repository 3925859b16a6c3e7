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
def own(toys) -> Iterator[EngineClient]:
    """An engine for one test, which may do to it what it likes."""
    engine = EngineClient(EngineOptions((toys,), device="cpu", threads=1))
    yield engine
    engine.stop()


def params(**changes) -> GenerationParams:
    values = {"prompt": "sea waves", "negative": "", "seconds": 1.0, "seed": 1, "steps": 4, "guidance": 2.0}
    return GenerationParams(**(values | changes))


def test_a_take_covers_the_seconds_and_names_its_model(engine):
    take = engine.run_one("toy", params(seconds=1.0))
    assert take.output.samples.dtype == np.float32
    assert take.output.samples.shape[0] >= take.sample_rate
    assert (take.sample_rate, take.model) == (16000, "toy")
    assert len(take.checksum) == 16
    assert np.abs(take.output.samples).max() > 1e-3


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(engine):
    one, same, other = (engine.run_one("toy", params(seed=seed)).output.samples for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_another_prompt_gives_another_spectrum(engine):
    one, other = (engine.run_one("toy", params(prompt=p)).output.samples[:, 0] for p in ("sea waves", "dog"))
    spectra = [np.abs(np.fft.rfft(x)) for x in (one, other)]
    assert np.corrcoef(*spectra)[0, 1] < 0.95


def test_progress_rises_through_the_stages(engine):
    heard = []
    engine.run_one("toy", params(steps=4), lambda fraction, stage: heard.append((fraction, stage)))
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert list(dict.fromkeys(stage for _, stage in heard)) == ["condition", "sampling", "vocoder"]
    assert sum(stage == "sampling" for _, stage in heard) >= 4


def test_a_run_is_cancelled_within_a_step(engine):
    began = time.monotonic()
    threading.Timer(0.4, engine.cancel).start()
    engine.load("slow-toy")
    with pytest.raises(Cancelled):
        engine.run_one("slow-toy", params(steps=100, seconds=10))
    assert time.monotonic() - began < 10
    assert engine.run_one("slow-toy", params(steps=1)).output.samples.size


def test_a_report_that_raises_stops_the_run_and_leaves_nothing_in_the_pipe(engine):
    def refuse(fraction: float, stage: str) -> None:
        raise Cancelled("no")

    with pytest.raises(Cancelled):
        engine.run_one("slow-toy", params(steps=50), refuse)
    assert engine.run_one("toy", params(seed=9)).model == "toy"


def test_a_killed_engine_costs_its_order_and_comes_back(own):
    own.load("slow-toy")
    before = own.pid

    def kill_when_it_samples(fraction: float, stage: str) -> None:
        if fraction > 0.1 and own.pid == before:
            os.kill(before, signal.SIGKILL)

    with pytest.raises(EngineCrashed, match=r"died .exit code -9.; it is being started again"):
        own.run_one("slow-toy", params(steps=100), kill_when_it_samples)
    assert own.run_one("slow-toy", params(steps=1)).output.samples.size
    assert own.pid != before


def test_an_engine_killed_while_idle_is_started_again_by_itself(own):
    own.load("toy")
    before = own.pid
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + 15
    while (own.pid in (before, None) or own.loaded is None) and time.monotonic() < until:
        time.sleep(0.02)
    assert own.pid != before
    assert own.loaded.model == "toy"


def test_an_engine_that_cannot_be_started_again_says_so_and_later_can(own, monkeypatch):
    own.load("slow-toy")

    def no_more_files() -> None:
        raise OSError(24, "Too many open files")

    def kill_when_it_samples(fraction: float, stage: str) -> None:
        if fraction > 0.1 and own.pid:
            os.kill(own.pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(own._context, "Pipe", no_more_files)
        with pytest.raises(EngineCrashed, match=r"cannot be started: .*Too many open files"):
            own.run_one("slow-toy", params(steps=100), kill_when_it_samples)
        assert own.state == "failed"
        with pytest.raises(EngineFailed, match="cannot be started"):
            own.run_one("slow-toy", params(steps=1))
    assert own.run_one("slow-toy", params(steps=1)).output.samples.size


def test_an_engine_that_talks_nonsense_costs_its_order_and_comes_back(own, monkeypatch):
    own.load("slow-toy")
    before, handle = own.pid, own._handle_message

    def misunderstand(message: Reply) -> None:
        if isinstance(message, Progress) and own.pid == before:
            raise ValueError("nonsense")
        handle(message)

    monkeypatch.setattr(own, "_handle_message", misunderstand)
    assert own.run_one("slow-toy", params(steps=1)).output.samples.size
    assert own.pid != before


def test_a_stop_amid_several_takes_leaves_no_process(own):
    own.load("slow-toy")

    def stop_when_it_samples(fraction: float, stage: str) -> None:
        if fraction > 0.1:
            own.stop()

    for _ in range(2):
        with pytest.raises(Cancelled, match="stopped"):
            own.run_one("slow-toy", params(steps=50), stop_when_it_samples)
    assert own.pid is None
    own.start("toy")
    assert own.run_one("toy", params()).model == "toy"


def test_whoever_waits_for_a_model_hears_of_it_and_may_stop_waiting(own):
    own.start("toy")
    os.kill(own.pid, signal.SIGSTOP)
    heard = []

    def wait_a_little(fraction: float, stage: str) -> None:
        heard.append((fraction, stage))
        if len(heard) == 3:
            raise Cancelled("no")

    with pytest.raises(Cancelled):
        own.run_one("toy", params(), wait_a_little)
    assert heard == [(0.0, "loading")] * 3
    os.kill(own.pid, signal.SIGCONT)
    assert own.run_one("toy", params()).model == "toy"


def test_a_model_that_takes_too_long_to_load_says_that_it_still_does(own, monkeypatch):
    monkeypatch.setattr(client, "START_TIMEOUT_S", 0.5)
    own.start("toy")
    os.kill(own.pid, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match=r"toy is still being loaded after 0.5 s"):
        own.load("toy")
    os.kill(own.pid, signal.SIGCONT)
    monkeypatch.undo()
    assert own.load("toy").model == "toy"


def test_a_model_is_unloaded_with_its_process_and_loaded_again_on_demand(own):
    own.load("toy")
    pid = own.pid
    with pytest.raises(UnknownModel, match="got 'slow-toy', but toy is loaded"):
        own.unload("slow-toy")
    own.unload("toy")
    assert (own.pid, own.loaded, own.state) == (None, None, "unloaded")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UnknownModel, match="but no model is loaded"):
        own.unload("toy")
    assert own.run_one("toy", params()).model == "toy"


def test_ctrl_c_is_the_daemons_business_alone(own):
    own.load("toy")
    pid = own.pid
    os.kill(pid, signal.SIGINT)
    assert own.run_one("toy", params()).model == "toy"
    assert own.pid == pid


def test_the_process_is_deaf_to_ctrl_c_before_it_imports_anything_heavy():
    code = (
        "import sys, plugin_server.engine.process.entry; print({'numpy', 'onnxruntime'} & set(sys.modules) or 'none')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "none"


def test_an_onnxruntime_that_is_broken_is_told_in_a_sentence(own, tmp_path, monkeypatch, capfd):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libcudart is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineFailed, match="cannot be imported: libcudart is missing"):
        own.load("toy")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "darwin", reason="CoreML is there")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_onnxruntime_does_not_take_is_refused_or_told(toys, monkeypatch, caplog):
    monkeypatch.setattr(worker, "choose_provider", lambda device: "CoreMLExecutionProvider")
    with pytest.raises(EngineFailed, match="device: got 'coreml', but onnxruntime took CPUExecutionProvider"):
        EngineWorker(None, EngineOptions((toys,), "coreml"))._load("toy")
    loaded = EngineWorker(None, EngineOptions((toys,), "auto"))._load("toy")
    assert loaded.provider == "CPUExecutionProvider"
    assert "could not use CoreMLExecutionProvider" in caplog.text


def test_an_engine_without_a_model_refuses_an_params(toys):
    with pytest.raises(EngineFailed, match="holds no model"):
        EngineWorker(None, EngineOptions((toys,)))._run(Run(1, (params(),)))


def test_models_that_cannot_be_loaded_are_told_and_the_engine_lives_on(tmp_path):
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


def test_an_order_sent_just_after_an_idle_engine_died_is_made_all_the_same(toys):
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


def test_a_killed_engine_keeps_the_results_that_it_gave(own):
    own.load("slow-toy")
    before = own.pid

    def kill_at_the_second(fraction: float, stage: str) -> None:
        if fraction > 0.6 and own.pid == before:
            os.kill(before, signal.SIGKILL)

    results = own.run("slow-toy", [params(steps=1), params(steps=100)], kill_at_the_second)
    assert next(results).output.samples.size
    with pytest.raises(EngineCrashed, match="it is being started again"):
        next(results)


def test_the_client_has_the_face_of_an_engine(own):
    def needs_an_engine(engine: Engine) -> str:
        return engine.state

    assert needs_an_engine(own) == "unloaded"


def test_messages_cross_the_pipe_unchanged():
    run = Run(3, (params(images=("/a.png",), conditioning="pd"),))
    assert pickle.loads(pickle.dumps(run)) == run
    assert run.items[0].input_files == ("/a.png",)
