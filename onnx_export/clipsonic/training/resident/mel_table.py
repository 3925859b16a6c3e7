"""All log-mels of a dataset on one device, with copies that are played faster and slower."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from onnx_export.clipsonic.models.vocoder import LogMel
from onnx_export.data.sounds import SoundDataset
from plugin_server.audio.spectral import LOG_FLOOR

UNIT = 2048
"""Samples: transforms are of multiples of a hundred of it, so that few sizes occur, all of small factors."""

FRAME_UNIT = 64
"""Frames: mels are computed of multiples of it, for the same reason."""


@dataclass(frozen=True, slots=True)
class MelTable:
    """Frames of all clips, one after another, and where each clip begins, in every copy; the last frame is silence."""

    frames: torch.Tensor
    """float16 (total frames + 1, n_mels), log-mel."""
    starts: torch.Tensor
    """int64 (copies, clips): row of a clip's first frame. The first copy is the sound as it is."""
    lengths: torch.Tensor
    """int64 (copies, clips): frames of a clip."""

    @property
    def silence(self) -> int:
        """Row of the silent frame."""
        return len(self.frames) - 1


def build_mel_table(dataset: SoundDataset, length_percent: Sequence[int], device: torch.device) -> MelTable:
    """Put a dataset's mels on the device, with a copy of every sound for each length in percent of its own."""
    plain = torch.from_numpy(np.array(dataset.mels)).to(device)
    parts, lengths = [plain], [np.diff(dataset.mel_bounds)]
    log_mel = LogMel(dataset.mel_settings).to(device)
    for percent in length_percent:
        copies = [_changed_mel(dataset, i, percent, log_mel, device) for i in range(len(dataset.sounds))]
        parts += copies
        lengths.append(np.array([len(copy) for copy in copies]))
    silence = torch.full((1, plain.shape[1]), float(np.log(LOG_FLOOR)), dtype=plain.dtype, device=device)
    counts = torch.from_numpy(np.stack(lengths).astype(np.int64)).to(device)
    ends = counts.flatten().cumsum(0)
    return MelTable(torch.cat([*parts, silence]), (ends - counts.flatten()).reshape(counts.shape), counts)


def _changed_mel(
    dataset: SoundDataset, index: int, percent: int, log_mel: LogMel, device: torch.device
) -> torch.Tensor:
    """Return the log-mel, float16 (frames, n_mels), of a sound that is played in a part or a multiple of its time."""
    low, high = dataset.sample_bounds[index : index + 2]
    samples = torch.from_numpy(np.array(dataset.samples[low:high])).to(device).float() / 32767
    changed = change_length(samples, percent)
    mel = dataset.mel_settings
    n_frames = mel.n_frames(len(changed))
    # A GPU plans a transform anew for each number of frames.
    whole = -(-n_frames // FRAME_UNIT) * FRAME_UNIT * mel.hop
    return log_mel(torch.nn.functional.pad(changed, (0, whole - len(changed)))[None])[0].T[:n_frames].half()


def change_length(samples: torch.Tensor, percent: int) -> torch.Tensor:
    """Return samples (n,) resampled to so many percent of their number, by their spectrum: nothing is aliased."""
    n = len(samples)
    whole = -(-n // (100 * UNIT)) * 100 * UNIT
    changed = whole // 100 * percent
    spectrum = torch.fft.rfft(samples, whole)
    bins = changed // 2 + 1
    kept = torch.nn.functional.pad(spectrum[:bins], (0, max(0, bins - len(spectrum))))
    return torch.fft.irfft(kept, changed)[: max(1, round(n * percent / 100))] * (percent / 100)
