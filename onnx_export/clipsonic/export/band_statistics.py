"""Colours of the sounds that a model is taught, measured on its training recordings."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from onnx_export.data.sounds import SoundDataset
from plugin_server.engine.sampling.band_statistics import BandStatisticsDistribution, compute_band_statistics

N_AXES = 24
"""Nine tenths and more of what differs between recordings of one sound."""
MOST_FRAMES = 860
ENOUGH_RECORDINGS = 4
"""A sound with fewer says little of how recordings differ."""


def measure_band_statistics(cache: SoundDataset, labels: Sequence[str]) -> BandStatisticsDistribution:
    """Of `labels`, in their order, on the training split; every recording counts once. Raises KeyError for a label
    without one."""
    recordings = _recordings(cache)
    usual = np.stack([recordings[label].mean(axis=0) for label in labels])
    differences = [rows - rows.mean(axis=0) for rows in recordings.values() if len(rows) >= ENOUGH_RECORDINGS]
    if not differences:
        return BandStatisticsDistribution(usual, np.zeros((0, usual.shape[1]), np.float32))
    rows = np.concatenate(differences)
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    scaled = axes[:N_AXES] * lengths[:N_AXES, None] / np.sqrt(len(rows))
    return BandStatisticsDistribution(usual.astype(np.float32), scaled.astype(np.float32))


def _recordings(cache: SoundDataset) -> dict[str, np.ndarray]:
    """Label to the colours (recordings, 2 * n_mels) of its training recordings, pieces of one taken together."""
    pieces: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for i in cache.indices("train"):
        sound, mel = cache.sounds[i], cache.mel(i)[:MOST_FRAMES].astype(np.float32)
        colour = compute_band_statistics(mel.T)
        pieces[sound.label][sound.recording_id].append(np.concatenate([colour.mean, colour.deviation])[:, 0])
    return {
        label: np.stack([np.mean(rows, axis=0) for rows in by_recording.values()])
        for label, by_recording in pieces.items()
    }
