"""Everything that crosses the border between the daemon and an engine: plain data that can be pickled.

The daemon sends a `Request`, the engine answers with a `Reply`; both ends dispatch on the class with `match`, so that a
new message is a new dataclass, a member of the union and a case at either end. Nothing here means something inside one
process alone (no callback, no open file, no lock), so that an engine may run on another machine as well.

What is still to come has its room in three unions:

- `Params` is what one item of a run is made from. Another kind of result, as notes or stems, gets params of its own.
  Files that are inputs (today pictures and videos, later audio or MIDI) are listed in `input_files`, apart from words:
  an engine without the daemon's disk must be sent them.
- `ModelOutput` is what a model makes of them: `AudioOutput` today. Whoever takes one matches on its class.
- A `Run` holds several items and is answered by an `ItemFinished` for each, in order, then by one `RunFinished`; or
  by a `RunFailed` at any moment. Progress names its item.

Imports nothing heavy: the daemon reads this page, and so does the engine process before it ignores Ctrl-C.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ProgressCallback = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and the name of the stage; may raise Cancelled to stop the work."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The options that an engine process is started with."""

    bundle_folders: tuple[Path, ...]
    device: str = "auto"
    threads: int = 0
    """0 leaves the choice to onnxruntime: one for every core."""


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """The parameters of one clip, every choice made."""

    prompt: str
    negative: str
    seconds: float
    seed: int
    steps: int
    guidance: float
    loop: bool = False
    """The end flows into the start."""
    stereo: float = 0.0
    """0 for one channel; above, two that share less of their noise the higher it is, up to 1."""
    images: tuple[str, ...] = ()
    """Absolute paths of pictures or videos."""
    frames: int = 1
    """Frames of each video: 1 is its first, more are spread over its length."""
    blend: float = 0.0
    """0 for the words alone, 1 for the pictures alone."""
    conditioning: str = "text"
    """How the words reach the denoiser, one of the card's conditionings."""

    @property
    def input_files(self) -> tuple[str, ...]:
        """Return the absolute paths of all files that the engine reads for this item."""
        return self.images


Params = GenerationParams
"""One item of a run; to be a union when there are other kinds."""


@dataclass(frozen=True, slots=True)
class AudioOutput:
    """The sound that a model makes of its parameters."""

    samples: "NDArray[np.float32]"
    """Float32 (frames, channels). For a loop whole frames of the model, nearest to the length; else at least it."""
    confidence: float = 1.0
    """0 to 1: how near the prompt lies to a label that the model was trained on."""
    nearest: str = ""
    """That label, empty where the bundle does not say."""
    n_heard: int = 0
    """Words that fit into the model's context, of `n_words`: those of the prompt, and of the negative prompt where that
    is cut off, too."""
    n_words: int = 0


ModelOutput = AudioOutput
"""The result of one item as the model gives it; to be a union when there are other kinds."""


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """The result of one item: the model's output and where it comes from."""

    output: ModelOutput
    sample_rate: int
    """Hertz."""
    model: str
    checksum: str
    """Checksum of the bundle that made it."""
    seconds_spent: float
    """Time that the model itself took."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The bundle that an engine holds."""

    model: str
    checksum: str
    provider: str
    """Name of onnxruntime's provider that runs the heaviest graph."""
    sample_rate: int
    """Hertz."""


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model, and let go of another one first."""

    model: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run the loaded model for several items, one after the other."""

    number: int
    """Counts the runs of a daemon, upwards."""
    items: tuple[Params, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a run, also one that has not begun yet, and all before it."""

    number: int


Request = Load | Run | Cancel
"""From the daemon to the engine."""


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """The model of the last Load is ready."""

    loaded: LoadedModel


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model could not be loaded."""

    model: str
    code: str
    """Code of an error class."""
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one item of a run is."""

    number: int
    """Number of the run."""
    item: int
    """Index of the item in its run."""
    fraction: float
    """0 to 1."""
    stage: str


@dataclass(frozen=True, slots=True)
class ItemFinished:
    """The result of one item of a run."""

    number: int
    """Number of the run."""
    item: int
    """Index of the item in its run."""
    result: GenerationResult


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Every item of a run was answered."""

    number: int


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run ended with an error, or was cancelled; items that are not answered yet never will be."""

    number: int
    code: str
    """Code of an error class."""
    message: str


RunReply = Progress | ItemFinished | RunFinished | RunFailed
"""Replies to a Run."""
Reply = ModelLoaded | LoadFailed | RunReply
"""From the engine to the daemon."""
