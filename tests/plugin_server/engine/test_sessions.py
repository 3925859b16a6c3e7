import threading

import numpy as np
import pytest

from plugin_server.engine import sessions
from plugin_server.engine.bundles.card import GraphSpec, TensorSpec
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.sessions import (
    CPU,
    CUDA,
    Cancellation,
    GraphSession,
    SessionOptions,
    check_provider,
    choose_provider,
)
from plugin_server.errors import BundleDamaged, Cancelled, EngineFailed


@pytest.fixture(scope="module")
def bundle(toys):
    return BundleRegistry((toys,)).find("slow-toy")


@pytest.fixture(scope="module")
def denoiser(bundle):
    return GraphSession(bundle.path("denoiser"), bundle.card.graphs["denoiser"], SessionOptions(threads=1))


def feeds(frames=8):
    return {
        "noised": np.zeros((1, 8, frames), np.float32),
        "sigma": np.ones(1, np.float32),
        "embedding": np.ones((1, 6), np.float32),
        "seconds": np.ones(1, np.float32),
    }


def test_a_graph_gives_its_outputs_in_the_cards_order(denoiser):
    assert denoiser.run(feeds(), Cancellation())[0].shape == (1, 8, 8)


def test_wrong_input_is_reported_in_one_line(denoiser):
    with pytest.raises(EngineFailed, match="onnxruntime: ") as caught:
        denoiser.run(feeds() | {"embedding": np.ones((1, 5), np.float32)}, Cancellation())
    assert "\n" not in str(caught.value)


def test_a_cancelled_run_never_starts(denoiser):
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        denoiser.run(feeds(), cancellation)


def test_terminate_ends_runs_that_are_under_way(denoiser):
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        for _ in range(2000):
            denoiser.run(feeds(), cancellation)


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec("sigma", "tensor(double)", ("batch",)),
        TensorSpec("other", "tensor(float)", ("batch",)),
        TensorSpec("sigma", "tensor(float)", (3,)),
    ],
)
def test_a_graph_that_differs_from_its_card_is_refused(bundle, spec):
    graph = bundle.card.graphs["denoiser"]
    inputs = tuple(spec if tensor.name == "sigma" else tensor for tensor in graph.inputs)
    with pytest.raises(BundleDamaged, match="the card says"):
        GraphSession(bundle.path("denoiser"), GraphSpec(graph.file, inputs, graph.outputs), SessionOptions())


def test_the_names_of_free_sizes_do_not_matter(bundle):
    graph = bundle.card.graphs["denoiser"]
    inputs = tuple(
        TensorSpec(t.name, t.type, tuple("x" if isinstance(size, str) else size for size in t.shape))
        for t in graph.inputs
    )
    GraphSession(bundle.path("denoiser"), GraphSpec(graph.file, inputs, graph.outputs), SessionOptions())


def test_auto_takes_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(sessions, "count_cuda_devices", lambda: 0)
    monkeypatch.setattr(sessions.ort, "get_available_providers", lambda: [CUDA, CPU])
    assert choose_provider("auto") == CPU
    with pytest.raises(EngineFailed, match="no NVIDIA driver"):
        choose_provider("cuda")
    with pytest.raises(EngineFailed, match="onnxruntime lacks it"):
        choose_provider("coreml")


def test_a_provider_that_was_not_the_requested_one_is_reported(caplog):
    check_provider("cuda", CUDA, CUDA)
    assert not caplog.text
    check_provider("auto", CUDA, CPU)
    assert "runs on CPUExecutionProvider" in caplog.text and "CUDA's libraries" in caplog.text
    with pytest.raises(EngineFailed, match=r"device: got 'cuda', but onnxruntime took CPU.*CUDA's libraries"):
        check_provider("cuda", CUDA, CPU)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : CUDA failure 2: out of memory ; GPU=0", EngineFailed),
        ("Failed to allocate memory for requested buffer of size 9437184", EngineFailed),
        ("std::bad_alloc", EngineFailed),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed.", BundleDamaged),
    ],
)
def test_a_machine_without_room_is_no_damaged_bundle(bundle, monkeypatch, said, error):
    def refuse(*arguments, **named):
        raise RuntimeError(said)

    monkeypatch.setattr(sessions.ort, "InferenceSession", refuse)
    with pytest.raises(error):
        GraphSession(bundle.path("denoiser"), bundle.card.graphs["denoiser"], SessionOptions())


def test_auto_takes_cuda_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(sessions, "count_cuda_devices", lambda: 1)
    monkeypatch.setattr(sessions.ort, "get_available_providers", lambda: [CUDA, CPU])
    assert choose_provider("auto") == CUDA
    assert choose_provider("cpu") == CPU
