"""Judges of sounds: small classifiers that name a sound from its features, and distances between features."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from onnx_export.data.sounds import Sound, SoundDataset, split_of
from onnx_export.evaluation.clip_sets import ClipGroups, Embed, EvalClip
from onnx_export.evaluation.distances import (
    ConfidenceInterval,
    PrincipalComponents,
    bootstrap_mean,
    mean_pairwise_distances,
)
from onnx_export.evaluation.features import AudioFeatures, stack_features

MIN_RECORDINGS = 4
"""A label is evaluated when the training split holds this many recordings of it, and the test split one."""
N_FOLDS = 4
TOP_K = (1, 5)
MAX_DEVIATIONS = 6
RIDGE = 1000.0
"""Of the map from features to sentences: by the validation split the best of 30, 100, 300, 1000, 3000 and 10000."""


@dataclass(frozen=True, slots=True)
class Standardizer:
    """Standardises features by the training split."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray) -> "Standardizer":
        """Fit mean and deviation to rows (n, m)."""
        return cls(rows.mean(axis=0), rows.std(axis=0) + 1e-3)

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows (n, m) in deviations from the mean, float32, none beyond 6."""
        return np.clip((rows - self.mean) / self.std, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)


class LabelClassifiers:
    """Networks that name sounds, each trained on three quarters of the training recordings.

    A training clip is judged by those alone that were not trained on its recording, everything else by all: so a copy
    of a training clip is judged as a new clip would be.
    """

    def __init__(self, labels: Sequence[str], scaler: Standardizer, folds: Mapping[int, nn.Module]):
        """Hold trained networks by fold; `labels` are their outputs, `scaler` what their features go through."""
        self.labels, self.scaler, self.folds = list(labels), scaler, folds

    @classmethod
    def train(cls, rows: np.ndarray, sounds: Sequence[Sound], steps: int = 250) -> "LabelClassifiers":
        """Train one network a fold to name the sounds' labels from their features.

        Args:
            rows: Features (n, m) of `sounds`.
            sounds: Rows of the catalogue, all of the training split; all their labels are learnt.
            steps: Training steps, each of the whole fold.
        """
        labels = sorted({sound.label for sound in sounds})
        scaler = Standardizer.fit(rows)
        x = torch.from_numpy(scaler.transform(rows))
        y = torch.tensor([labels.index(sound.label) for sound in sounds])
        fold = np.array([fold_of(sound.recording_id) for sound in sounds])
        folds = {k: _fit(x[fold != k], y[fold != k], len(labels), steps, seed=k) for k in range(N_FOLDS)}
        return cls(labels, scaler, folds)

    @torch.no_grad()
    def ranks(self, rows: np.ndarray, labels: Sequence[str], recordings: Sequence[str | None]) -> np.ndarray:
        """Return the rank of each label among all, (n, N_FOLDS), 0 for the first.

        It is -1 where a network was trained on the recording.

        Args:
            rows: Features (n, m).
            labels: The right label of each row.
            recordings: The recording behind each row; None for what is none of the corpus.
        """
        x = torch.from_numpy(self.scaler.transform(rows))
        y = torch.tensor([self.labels.index(label) for label in labels])[:, None]
        ranks = np.stack([_ranks(network(x), y) for network in self.folds.values()], axis=1)
        for i, recording in enumerate(recordings):
            if recording is not None and split_of(recording) == "train":
                ranks[i, [k for k in self.folds if k != fold_of(recording)]] = -1
        return ranks


def _ranks(scores: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    return (scores > scores.gather(1, y)).sum(dim=1).numpy()


def fold_of(recording_id: str) -> int:
    """Return the fold whose network is never trained on this recording.

    Another digit of the hash than the split's would do as well.
    """
    return sum(recording_id.encode()) % N_FOLDS


def _fit(x: torch.Tensor, y: torch.Tensor, n_labels: int, steps: int, seed: int) -> nn.Module:
    """Train one hidden layer with rare labels weighted up, in full batches."""
    torch.manual_seed(seed)
    hidden = nn.Sequential(nn.Dropout(0.3), nn.Linear(x.shape[1], 512), nn.GELU())
    network = nn.Sequential(hidden, nn.Dropout(0.5), nn.Linear(512, n_labels))
    importance = torch.bincount(y, minlength=n_labels).float().clamp_min(1) ** -0.5
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(network(x), y, importance, label_smoothing=0.1).backward()
        optimiser.step()
    return network.eval()


def evaluated_labels(sounds: Iterable[Sound]) -> list[str]:
    """Return the labels, sorted, that have enough recordings in both splits to be judged."""
    recordings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sound in sounds:
        recordings[sound.label, split_of(sound.recording_id)].add(sound.recording_id)
    names = sorted({label for label, _ in recordings})
    return [n for n in names if len(recordings[n, "train"]) >= MIN_RECORDINGS and recordings[n, "test"]]


@dataclass(frozen=True, slots=True)
class CaptionRegression:
    """A linear map from the features of a sound to the sentence vector of its caption."""

    weights: np.ndarray
    """(m + 1, 384), the last row a constant."""
    mean: np.ndarray
    """(384,), the mean sentence of the training captions."""
    embed: Embed

    @classmethod
    def fit(cls, rows: np.ndarray, captions: Sequence[str], embed: Embed) -> "CaptionRegression":
        """Fit the map to standardised features (n, m) and their captions by ridge regression."""
        vectors = embed(captions)
        mean = vectors.mean(axis=0)
        return cls(_ridge(rows, vectors - mean), mean, embed)

    def similarity(self, rows: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Return the cosine (n,) between the sentence that each sound maps to and its prompt.

        Both are taken around the mean sentence. It is what the CLAP score is to CLAP.

        Args:
            rows: Standardised features (n, m) of the sounds.
            prompts: The text that each sound was generated for.
        """
        predicted = np.column_stack([rows, np.ones(len(rows))]) @ self.weights
        expected = self.embed(prompts) - self.mean
        return (predicted * expected).sum(1) / (np.linalg.norm(predicted, axis=1) * np.linalg.norm(expected, axis=1))


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the ridge regression with a constant, (m + 1, k), from (n, m) to (n, k)."""
    x = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)


@dataclass(frozen=True, slots=True)
class Judge:
    """One kind of features, with what was learnt of them from the training split."""

    features: AudioFeatures
    classifiers: LabelClassifiers
    window_scaler: Standardizer
    window_components: PrincipalComponents
    """For Fréchet distances."""
    clip_components: PrincipalComponents
    """For distances between whole clips."""
    training_points: np.ndarray
    """The training clips, (n, components)."""
    captions: CaptionRegression | None
    """None without a sentence encoder."""

    @classmethod
    def train(cls, features: AudioFeatures, cache: SoundDataset, labels: Sequence[str], embed: Embed | None) -> "Judge":
        """Train a judge on the training recordings of the evaluated labels.

        Args:
            features: What the judge knows of a sound.
            cache: The corpus.
            labels: The labels that the classifiers learn.
            embed: The sentence encoder; without it sounds are not compared with texts.
        """
        indices = [i for i in cache.indices("train") if cache.sounds[i].label in labels]
        rows = stack_features([cache.wave(i) for i in indices], features.clip_features)
        classifiers = LabelClassifiers.train(rows, [cache.sounds[i] for i in indices])
        windows = np.concatenate([features.window_features(cache.wave(i)) for i in indices[::3]])
        window_scaler = Standardizer.fit(windows)
        points = classifiers.scaler.transform(rows)
        components = PrincipalComponents.fit(points)
        captions = [cache.sounds[i].caption for i in indices]
        return cls(
            features,
            classifiers,
            window_scaler,
            PrincipalComponents.fit(window_scaler.transform(windows)),
            components,
            components.transform(points),
            CaptionRegression.fit(points, captions, embed) if embed else None,
        )

    def clip_features(self, clips: Sequence[EvalClip]) -> np.ndarray:
        """Return the features (n, m) of whole clips."""
        return stack_features([clip.wave for clip in clips], self.features.clip_features)

    def window_points(self, clips: Sequence[EvalClip]) -> list[np.ndarray]:
        """Return the windows (windows, components) of each clip, as Fréchet distances are taken of them."""
        return [
            self.window_components.transform(self.window_scaler.transform(self.features.window_features(clip.wave)))
            for clip in clips
        ]

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Return the coordinates (n, components) of features (n, m)."""
        return self.clip_components.transform(self.classifiers.scaler.transform(rows))

    def top_k_accuracy(self, rows: np.ndarray, clips: Sequence[EvalClip]) -> dict[int, list[float]]:
        """Return for k of 1 and 5 the share of classifiers that have each clip's label among their first k.

        Those count that may judge the clip.

        Args:
            rows: Features (n, m) of `clips`.
            clips: The clips with their right labels.
        """
        ranks = self.classifiers.ranks(rows, [c.label for c in clips], [c.recording_id for c in clips])
        return {k: [float((row[row >= 0] < k).mean()) for row in ranks] for k in TOP_K}

    def diversity(self, groups: ClipGroups) -> dict[str, ConfidenceInterval]:
        """Return the mean distance between the clips of one group, relative to that of the first kind of groups."""
        distances = {
            name: mean_pairwise_distances([self.project(self.clip_features(clips)) for clips in rows])
            for name, rows in groups.items()
        }
        reference = np.mean(next(iter(distances.values())))
        return {name: bootstrap_mean(np.array(values) / reference) for name, values in distances.items() if values}
