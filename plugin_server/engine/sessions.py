"""onnxruntime in one module: providers, sessions checked against the card, cancelling, errors in our own words."""

import ctypes
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from plugin_server.engine.bundles.card import GraphSpec
from plugin_server.errors import BadFile, BundleDamaged, Cancelled, EngineFailed
from plugin_server.untrusted_files import open_file

log = logging.getLogger(__name__)

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"
FATAL_ONLY = 4
MACHINE_ERRORS = ("out of memory", "allocate", "bad_alloc", "cuda failure", "cudnn failure", "cublas failure")
"""Parts of onnxruntime's sentences when the machine, and not the file, is why a graph cannot be opened."""


def choose_provider(device: str) -> str:
    """Return the name of the provider for 'auto', 'cpu', 'cuda' or 'coreml'.

    Raises EngineFailed when one that was asked for by name is not there; 'auto' takes CUDA, then CoreML, then the CPU.
    """
    offered = ort.get_available_providers()
    usable = {CPU: True, CUDA: CUDA in offered and count_cuda_devices() > 0, COREML: COREML in offered}
    if device == "auto":
        return next(provider for provider in (CUDA, COREML, CPU) if usable[provider])
    wanted = {"cpu": CPU, "cuda": CUDA, "coreml": COREML}[device]
    if not usable[wanted]:
        why = "no NVIDIA driver or GPU was found" if wanted == CUDA and CUDA in offered else "onnxruntime lacks it"
        raise EngineFailed(f"device: got {device!r}, but {why}; use --device auto or cpu")
    return wanted


def check_provider(device: str, wanted: str, got: str) -> None:
    """Check that the wanted provider runs the model: onnxruntime takes the CPU where a library is missing.

    Raises EngineFailed when the device was asked for by name; for 'auto' it is a warning.
    """
    if got == wanted:
        return
    hint = "are CUDA's libraries there? See Device in README" if wanted == CUDA else "see its own messages"
    if device != "auto":
        raise EngineFailed(f"device: got {device!r}, but onnxruntime took {got}; {hint}, or use --device auto")
    log.warning("the model runs on %s, since onnxruntime could not use %s; %s", got, wanted, hint)


def count_cuda_devices() -> int:
    """Return the number of GPUs that NVIDIA's driver lists; 0 without a driver.

    The driver itself is asked, since onnxruntime's GPU build offers CUDA on every machine and complains at length when
    a session then fails.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
        return count.value
    except (OSError, AttributeError):
        return 0


class Cancellation:
    """A switch that stops one run: between steps by a flag, inside a long graph by onnxruntime's terminate."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self.run_options = ort.RunOptions()
        self.run_options.log_severity_level = FATAL_ONLY

    def cancel(self) -> None:
        """Ask the run to stop; from any thread, any number of times."""
        self._requested.set()
        self.run_options.terminate = True

    def check(self) -> None:
        """Check whether the run may go on. Raises Cancelled once `cancel` was called."""
        if self._requested.is_set():
            raise Cancelled("the job was cancelled")


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The options that sessions are opened with."""

    provider: str = CPU
    threads: int = 0
    """0 leaves the choice to onnxruntime: one for every core."""


class GraphSession:
    """A graph that is open and verified to be what its card says."""

    def __init__(self, path: Path, spec: GraphSpec, options: SessionOptions) -> None:
        """Open the file at `path`.

        Raises BundleDamaged when it cannot be opened or its inputs or outputs differ from `spec`, and EngineFailed when
        the machine has no room for it.
        """
        self._session = _open(path, options)
        self.provider: str = self._session.get_providers()[0]
        self._outputs = [tensor.name for tensor in spec.outputs]
        self.input_names = tuple(tensor.name for tensor in spec.inputs)
        for side, tensors, found in (
            ("inputs", spec.inputs, self._session.get_inputs()),
            ("outputs", spec.outputs, self._session.get_outputs()),
        ):
            has = [(t.name, t.type, _shape(t.shape)) for t in found]
            wants = [(t.name, t.type, _shape(t.shape)) for t in tensors]
            if has != wants:
                raise BundleDamaged(f"{path}: {side} are {has}, the card says {wants}")

    def run(self, feeds: Mapping[str, NDArray[Any]], cancellation: Cancellation) -> list[NDArray[Any]]:
        """Run the graph and return its outputs in the card's order.

        Raises Cancelled, or EngineFailed with onnxruntime's sentence.
        """
        cancellation.check()
        try:
            outputs: list[NDArray[Any]] = self._session.run(self._outputs, dict(feeds), cancellation.run_options)
        except Exception as error:  # onnxruntime raises classes of its extension module that share no base
            cancellation.check()
            raise EngineFailed(f"onnxruntime: {_first_line(error)}") from error
        return outputs


def _open(path: Path, options: SessionOptions) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    # Idle threads that spin would take the processor from the audio callback and from the host.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = FATAL_ONLY
    # Graphs are optimised once more here for this very processor; the cost is part of start-up and is measured.
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    providers = [options.provider] if options.provider == CPU else [options.provider, CPU]
    if options.provider == CUDA:
        ort.preload_dlls()
    try:
        # What is no file would be waited for.
        open_file(path).close()
    except BadFile as error:
        raise BundleDamaged(str(error)) from error
    try:
        return ort.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # as above
        if any(word in str(error).lower() for word in MACHINE_ERRORS):
            raise EngineFailed(f"onnxruntime: {_first_line(error)}") from error
        raise BundleDamaged(f"{path} cannot be opened: {_first_line(error)}") from error


def _shape(shape: Sequence[int | str | None]) -> tuple[int | str, ...]:
    """Return a shape in which free sizes are equal, however they are named."""
    return tuple(size if isinstance(size, int) else "free" for size in shape)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
