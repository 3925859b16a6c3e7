"""What the judges hear: recordings, copies and clips made from words, each with the sound it should be."""

import csv
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_export.data.sounds import SoundDataset, normalise_level
from plugin_server.audio.spectral import log_mel
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation

log = logging.getLogger(__name__)

PARAPHRASES = Path(__file__).parent / "paraphrases.csv"
PER_LABEL = 4
"""At most so many test clips of one concept: a concept with many should not speak for all."""
TAKE_SECONDS = 5.0
LONGEST_S = 10.0

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit vectors (n, m)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One sound that is played to the judges."""

    wave: np.ndarray
    """Float32 (n,) at the corpus' rate, at the corpus' level."""
    label: str
    prompt: str
    category: str
    recording_id: str | None = None
    """Of a recording; None for what was made."""


def read_paraphrases() -> list[tuple[str, str]]:
    """(prompt, label) pairs written for this test and part of no lesson."""
    with open(PARAPHRASES, newline="", encoding="utf-8") as file:
        return [(row["prompt"], row["label"]) for row in csv.DictReader(file)]


def of_cache(cache: SoundDataset, indices: Iterable[int]) -> list[Heard]:
    """Sounds of the corpus."""
    picked = [(i, cache.sounds[i]) for i in indices]
    return [Heard(cache.wave(i), s.label, s.caption, s.category, s.recording_id) for i, s in picked]


def pick_test_clips(cache: SoundDataset, labels: Sequence[str]) -> list[int]:
    """Indices of test recordings of the judged concepts."""
    count: Counter[str] = Counter()
    chosen = []
    for i in cache.indices("test"):
        label = cache.sounds[i].label
        if label in labels and count[label] < PER_LABEL:
            count[label] += 1
            chosen.append(i)
    return chosen


def same_sounds(cache: SoundDataset, clips: Sequence[Heard]) -> list[Heard]:
    """For each clip a training recording of the same label, by chance; none twice while others are left."""
    rng = np.random.default_rng(0)
    left: dict[str, list[int]] = {}
    by_label = _training_by_label(cache)
    chosen = []
    for clip in clips:
        if not left.get(clip.label):
            left[clip.label] = list(rng.permutation(by_label[clip.label]))
        chosen.append(int(left[clip.label].pop()))
    return of_cache(cache, chosen)


def _training_by_label(cache: SoundDataset) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for i in cache.indices("train"):
        groups[cache.sounds[i].label].append(i)
    return groups


class Search:
    """What a sample search would give: training clips by likeness of their captions to the prompt."""

    def __init__(self, cache: SoundDataset, embed: Embed):
        self.cache, self.embed = cache, embed
        self.indices = cache.indices("train")
        self.vectors = embed([cache.sounds[i].caption for i in self.indices])

    def find(self, prompts: Sequence[tuple[str, str]], n: int = 1) -> list[list[Heard]]:
        """The `n` best for each (prompt, label), best first; ties fall by chance."""
        rng = np.random.default_rng(0)
        found = []
        for (prompt, label), vector in zip(prompts, self.embed([prompt for prompt, _ in prompts]), strict=True):
            likeness = self.vectors @ vector + 1e-5 * rng.random(len(self.vectors))
            best = [self.indices[row] for row in np.argsort(-likeness)[:n]]
            found.append([self._as(label, prompt, hit) for hit in of_cache(self.cache, best)])
        return found

    @staticmethod
    def _as(label: str, prompt: str, hit: Heard) -> Heard:
        return Heard(hit.wave, label, prompt, hit.category, hit.recording_id)


def revoiced(model: Clipsonic, clips: Sequence[Heard]) -> list[Heard]:
    """Each through its mel spectrogram and the vocoder."""
    mel = model.card.mel
    waves = [model.vocode(log_mel(clip.wave, mel), Cancellation())[: len(clip.wave)] for clip in clips]
    return [Heard(w, c.label, c.prompt, c.category, c.recording_id) for w, c in zip(waves, clips, strict=True)]


def made_like(model: Clipsonic, clips: Sequence[Heard]) -> list[Heard]:
    """A clip from each caption, as long as the recording it stands for."""
    lengths = model.card.lengths
    most = min(LONGEST_S, lengths.maximum)
    seconds = [float(np.clip(len(c.wave) / model.sample_rate, lengths.minimum, most)) for c in clips]
    waves = [make(model, c.prompt, s, seed) for seed, (c, s) in enumerate(zip(clips, seconds, strict=True))]
    return [Heard(w, c.label, c.prompt, c.category) for w, c in zip(waves, clips, strict=True)]


def made_from(model: Clipsonic, prompts: Sequence[tuple[str, str]], n_takes: int = 1) -> list[list[Heard]]:
    """Takes for each (prompt, label)."""
    return [
        [Heard(make(model, prompt, TAKE_SECONDS, 100 + take), label, prompt, "") for take in range(n_takes)]
        for prompt, label in prompts
    ]


def make(
    model: Clipsonic, prompt: str, seconds: float, seed: int, images: tuple[str, ...] = (), via: str = ""
) -> np.ndarray:
    """Samples of a clip with the card's settings, at the level that the corpus has."""
    sampling = model.card.sampling
    order = GenerationParams(
        prompt,
        "",
        seconds,
        seed,
        sampling.steps,
        sampling.guidance,
        images=images,
        blend=0.0 if prompt else 1.0,
        conditioning=via or model.card.default_conditioning,
    )
    made = model.run(order, lambda fraction, stage: None, Cancellation()).samples[:, 0]
    return normalise_level(made[: round(seconds * model.sample_rate)])


def noise_like(clips: Sequence[Heard]) -> list[Heard]:
    """White noise of the same lengths."""
    rng = np.random.default_rng(0)
    waves = [normalise_level(rng.standard_normal(len(clip.wave)).astype(np.float32)) for clip in clips]
    return [Heard(w, c.label, c.prompt, c.category) for w, c in zip(waves, clips, strict=True)]
