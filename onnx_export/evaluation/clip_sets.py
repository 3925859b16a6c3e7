"""Sets of clips that are evaluated: recordings, copies and clips generated from prompts, each with its right label."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from onnx_export.data.sounds import SoundDataset, normalise_level
from plugin_server.audio.spectral import log_mel
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation

PARAPHRASES = Path(__file__).parent / "paraphrases.csv"
MAX_PER_LABEL = 4
"""At most so many test clips of one label: a label with many should not speak for all."""
CLIP_SECONDS = 5.0
MAX_SECONDS = 10.0
FIRST_TAKE_SEED = 100

Embed: TypeAlias = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit vectors (n, m)."""


@dataclass(frozen=True, slots=True)
class EvalClip:
    """One sound that is evaluated, and what it should be."""

    wave: np.ndarray
    """Float32 (n,) at the corpus' rate, at the corpus' level."""
    label: str
    prompt: str
    category: str
    recording_id: str | None = None
    """The recording behind it; None for what was generated."""

    def with_wave(self, wave: np.ndarray) -> "EvalClip":
        """Return a generated clip of the same label, prompt and category."""
        return EvalClip(wave, self.label, self.prompt, self.category)


ClipSets: TypeAlias = dict[str, list[EvalClip]]
"""Clips that are judged one by one, by the name of their set in the report."""
ClipGroups: TypeAlias = dict[str, list[list[EvalClip]]]
"""Groups of clips that should be one sound, by the name of their kind: judged by how they differ."""


def read_paraphrases() -> list[tuple[str, str]]:
    """Return the (prompt, label) pairs that were written for this test and trained nothing."""
    with open(PARAPHRASES, newline="", encoding="utf-8") as file:
        return [(row["prompt"], row["label"]) for row in csv.DictReader(file)]


def corpus_clips(cache: SoundDataset, indices: Iterable[int]) -> list[EvalClip]:
    """Return sounds of the corpus by their indices, each with its caption as prompt."""
    sounds = [(i, cache.sounds[i]) for i in indices]
    return [EvalClip(cache.wave(i), s.label, s.caption, s.category, s.recording_id) for i, s in sounds]


def select_test_clips(cache: SoundDataset, labels: Sequence[str]) -> list[int]:
    """Return the indices of test recordings of the evaluated labels, at most `MAX_PER_LABEL` of each."""
    count: Counter[str] = Counter()
    indices = []
    for i in cache.indices("test"):
        label = cache.sounds[i].label
        if label in labels and count[label] < MAX_PER_LABEL:
            count[label] += 1
            indices.append(i)
    return indices


def same_label_clips(cache: SoundDataset, clips: Sequence[EvalClip]) -> list[EvalClip]:
    """Return for each clip a random training recording of the same label; none twice while others are left."""
    rng = np.random.default_rng(0)
    remaining: dict[str, list[int]] = {}
    by_label = _training_by_label(cache)
    indices = []
    for clip in clips:
        if not remaining.get(clip.label):
            remaining[clip.label] = list(rng.permutation(by_label[clip.label]))
        indices.append(int(remaining[clip.label].pop()))
    return corpus_clips(cache, indices)


def _training_by_label(cache: SoundDataset) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = defaultdict(list)
    for i in cache.indices("train"):
        indices[cache.sounds[i].label].append(i)
    return indices


class CaptionSearch:
    """A sample search to compare with: training clips by the similarity of their captions to the prompt."""

    def __init__(self, cache: SoundDataset, embed: Embed):
        """Embed the captions of the training split."""
        self.cache, self.embed = cache, embed
        self.indices = cache.indices("train")
        self.vectors = embed([cache.sounds[i].caption for i in self.indices])

    def search(self, prompts: Sequence[tuple[str, str]], n: int = 1) -> list[list[EvalClip]]:
        """Return the `n` best clips for each (prompt, label), best first; ties fall at random.

        The clips carry the prompt and the label that were searched for, and their own category and recording.
        """
        rng = np.random.default_rng(0)
        results = []
        for (prompt, label), vector in zip(prompts, self.embed([prompt for prompt, _ in prompts]), strict=True):
            similarity = self.vectors @ vector + 1e-5 * rng.random(len(self.vectors))
            best = [self.indices[row] for row in np.argsort(-similarity)[:n]]
            hits = corpus_clips(self.cache, best)
            results.append([EvalClip(hit.wave, label, prompt, hit.category, hit.recording_id) for hit in hits])
        return results


def resynthesised(model: Clipsonic, clips: Sequence[EvalClip]) -> list[EvalClip]:
    """Return each clip after its way through mel spectrogram and vocoder, as long as before."""
    mel = model.card.mel
    waves = [model.vocode(log_mel(clip.wave, mel), Cancellation())[: len(clip.wave)] for clip in clips]
    return [EvalClip(w, c.label, c.prompt, c.category, c.recording_id) for w, c in zip(waves, clips, strict=True)]


def matching_length(model: Clipsonic, wave: np.ndarray) -> float:
    """Return the seconds of a recording (n,), within the model's lengths and at most `MAX_SECONDS`."""
    lengths = model.card.lengths
    return float(np.clip(len(wave) / model.sample_rate, lengths.minimum, min(MAX_SECONDS, lengths.maximum)))


def generated_for(model: Clipsonic, clips: Sequence[EvalClip]) -> list[EvalClip]:
    """Return a clip generated from each caption, as long as the recording it stands for."""
    return [
        clip.with_wave(generate(model, clip.prompt, matching_length(model, clip.wave), seed))
        for seed, clip in enumerate(clips)
    ]


def generated_from_prompts(
    model: Clipsonic, prompts: Sequence[tuple[str, str]], n_takes: int = 1
) -> list[list[EvalClip]]:
    """Return `n_takes` clips of different seeds for each (prompt, label)."""
    return [
        [
            EvalClip(generate(model, prompt, CLIP_SECONDS, FIRST_TAKE_SEED + take), label, prompt, "")
            for take in range(n_takes)
        ]
        for prompt, label in prompts
    ]


def generate(
    model: Clipsonic, prompt: str, seconds: float, seed: int, images: tuple[str, ...] = (), conditioning: str = ""
) -> np.ndarray:
    """Return the samples (n,) of a clip with the card's settings, at the level that the corpus has.

    Args:
        model: An open bundle.
        prompt: Words; empty for a clip of pictures alone.
        seconds: Length of the clip.
        seed: The random seed of the clip.
        images: Files of pictures.
        conditioning: How words become an embedding, one of `card.conditionings`; the card's own choice when empty.
    """
    sampling = model.card.sampling
    params = GenerationParams(
        prompt,
        "",
        seconds,
        seed,
        sampling.steps,
        sampling.guidance,
        images=images,
        blend=0.0 if prompt else 1.0,
        conditioning=conditioning or model.card.default_conditioning,
    )
    samples = model.run(params, lambda _fraction, _stage: None, Cancellation()).samples[:, 0]
    return normalise_level(samples[: round(seconds * model.sample_rate)], model.sample_rate)


def white_noise_for(clips: Sequence[EvalClip], sample_rate: int) -> list[EvalClip]:
    """Return white noise as long as each of the clips, at the corpus' level."""
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(len(clip.wave)).astype(np.float32) for clip in clips)
    waves = [normalise_level(wave, sample_rate) for wave in noise]
    return [clip.with_wave(wave) for wave, clip in zip(waves, clips, strict=True)]
