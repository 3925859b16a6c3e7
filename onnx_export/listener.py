"""A listener: names the sound in a spectrogram. Small and linear, so that its verdict can be explained."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from onnx_export.corpus import Cache, split_of

LEAST_RECORDINGS = 4
"""A concept is judged when the training split holds this many recordings of it, and the test split one."""


def describe(log_mel: np.ndarray) -> np.ndarray:
    """What a log-mel (frames, n_mels) sounds like on the whole, float32 (6 * n_mels,), whatever its level and length.

    Mean, deviation, loud and soft levels of each band, how much it moves from frame to frame, and how much over a
    tenth of a second; quiet frames are left out of the levels.
    """
    mel = log_mel.astype(np.float32)
    loudness = mel.mean(axis=1)
    loud = mel[loudness > loudness.max() - 4.5]
    level = loud.mean()
    soft, high = np.quantile(loud, [0.1, 0.9], axis=0)
    moves = np.abs(np.diff(mel, axis=0)).mean(axis=0) if len(mel) > 1 else np.zeros(mel.shape[1])
    slow = np.abs(mel[9:] - mel[:-9]).mean(axis=0) if len(mel) > 9 else moves
    return np.concatenate([loud.mean(0) - level, loud.std(0), soft - level, high - level, moves, slow]).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True)
class Listener:
    """Logistic regression over `describe`."""

    labels: Sequence[str]
    mean: np.ndarray
    std: np.ndarray
    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def train(cls, cache: Cache, steps: int = 400) -> "Listener":
        """On crops of the training split, as often for each concept."""
        labels = concepts(cache)
        mine = [i for i in cache.indices("train") if cache.sounds[i].label in labels]
        rows, targets = _crops(cache, mine, labels)
        mean, std = rows.mean(axis=0), rows.std(axis=0) + 1e-3
        x, y = torch.from_numpy((rows - mean) / std), torch.tensor(targets)
        share = torch.bincount(y, minlength=len(labels)).float()
        importance = (1 / share.clamp_min(1)).to(torch.float32)
        torch.manual_seed(0)
        layer = torch.nn.Linear(x.shape[1], len(labels))
        optimiser = torch.optim.AdamW(layer.parameters(), lr=3e-3, weight_decay=0.3)
        for _ in range(steps):
            optimiser.zero_grad()
            functional.cross_entropy(layer(x), y, importance, label_smoothing=0.1).backward()
            optimiser.step()
        return cls(labels, mean, std, layer.weight.detach(), layer.bias.detach())

    def rank(self, log_mel: np.ndarray, label: str) -> int:
        """Place of `label` among all concepts, 0 for the first."""
        x = torch.from_numpy((describe(log_mel) - self.mean) / self.std)
        order = torch.argsort(self.weight @ x + self.bias, descending=True)
        return int((order == self.labels.index(label)).nonzero()[0, 0])


def concepts(cache: Cache) -> list[str]:
    """Labels with enough recordings to be judged."""
    recordings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sound in cache.sounds:
        recordings[sound.label, split_of(sound.recording_id)].add(sound.recording_id)
    names = sorted({label for label, _ in recordings})
    return [n for n in names if len(recordings[n, "train"]) >= LEAST_RECORDINGS and recordings[n, "test"]]


def _crops(cache: Cache, indices: Sequence[int], labels: Sequence[str]) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(0)
    rows, targets = [], []
    for i in indices:
        mel = cache.mel(i)
        for _ in range(3):
            length = int(rng.uniform(0.5, 1.0) * len(mel))
            start = int(rng.integers(0, len(mel) - length + 1))
            rows.append(describe(mel[start : start + max(length, 8)]))
            targets.append(labels.index(cache.sounds[i].label))
    return np.stack(rows), targets
