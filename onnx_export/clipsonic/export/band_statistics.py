"""Band statistics of the sounds that a model is trained on, measured on its training recordings."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from onnx_export.data.sounds import SoundDataset, frames_per_second
from plugin_server.engine.sampling.band_statistics import BandStatisticsDistribution, compute_band_statistics

N_AXES = 24
"""Nine tenths and more of what differs between recordings of one sound."""
MAX_SECONDS = 10
"""Seconds of a recording that are measured."""
MIN_RECORDINGS = 4
"""A sound with fewer says little about how recordings differ."""


def measure_band_statistics(dataset: SoundDataset, labels: Sequence[str]) -> BandStatisticsDistribution:
    """Measure the statistics of `labels`, in their order, on the training split; every recording counts once.

    Raises:
        KeyError: For a label without a recording.
    """
    recordings = _recordings(dataset)
    means = np.stack([recordings[label].mean(axis=0) for label in labels])
    differences = [rows - rows.mean(axis=0) for rows in recordings.values() if len(rows) >= MIN_RECORDINGS]
    if not differences:
        return BandStatisticsDistribution(means, np.zeros((0, means.shape[1]), np.float32))
    rows = np.concatenate(differences)
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    scaled = axes[:N_AXES] * lengths[:N_AXES, None] / np.sqrt(len(rows))
    return BandStatisticsDistribution(means.astype(np.float32), scaled.astype(np.float32))


def _recordings(dataset: SoundDataset) -> dict[str, np.ndarray]:
    """Return each label's statistics (recordings, 2 * n_mels) of its training recordings, pieces of one together."""
    pieces: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    n_frames = MAX_SECONDS * frames_per_second(dataset.mel_settings)
    for i in dataset.indices("train"):
        sound, mel = dataset.sounds[i], dataset.mel(i)[:n_frames].astype(np.float32)
        statistics = compute_band_statistics(mel.T)
        pieces[sound.label][sound.recording_id].append(np.concatenate([statistics.mean, statistics.deviation])[:, 0])
    return {
        label: np.stack([np.mean(rows, axis=0) for rows in by_recording.values()])
        for label, by_recording in pieces.items()
    }
