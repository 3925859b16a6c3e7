"""Crops of recorded sound, gathered on the device that trains."""

import math
import warnings

import numpy as np
import torch

from onnx_export.data.sounds import SoundDataset

GAIN_DB = (-9.0, 0.0)
"""Range of the random gain."""
FASTEST = 1.12
"""Largest change of speed. Sounds get faster alone: slower ones would have no highs."""
MARGIN = 1024
"""Samples at both ends of a crop that are thrown away after a change of speed: its ends ring."""


class CropSampler:
    """Random crops of recorded sound; a recording is drawn in the square root of its length, one-shots as a crop."""

    def __init__(self, dataset: SoundDataset, length: int, min_source_rate_hz: int, split: str = "train"):
        """Take the sounds of a split that have the bandwidth.

        Args:
            dataset: The sounds.
            length: Samples in a crop.
            min_source_rate_hz: Sources of a lower rate are left out.
            split: 'train', 'valid' or 'test'.
        """
        self.length = length
        sizes, sounds = np.diff(dataset.sample_bounds), dataset.sounds
        wide = [i for i in dataset.indices(split) if sounds[i].source_rate_hz >= min_source_rate_hz and sizes[i] > 0]
        self.indices = np.array(wide, np.int64)
        self.starts, self.sizes = dataset.sample_bounds[:-1][self.indices], sizes[self.indices]
        weights = np.sqrt(np.maximum(self.sizes, length))
        self.odds = weights / weights.sum() if len(weights) else weights

    def __len__(self) -> int:
        return len(self.indices)

    def places(self, n: int, rng: np.random.Generator, length: int | None = None) -> np.ndarray:
        """Draw where crops lie: int64 (n, 4) of where each sound begins and ends, where the crop begins, its length.

        A crop of a sound that is shorter begins before it, or ends behind it.
        """
        length = length or self.length
        rows = rng.choice(len(self.indices), n, p=self.odds)
        low, size = self.starts[rows], self.sizes[rows]
        slack = size - length
        start = low + np.floor(np.minimum(slack, 0) + rng.random(n) * (np.abs(slack) + 1)).astype(np.int64)
        return np.stack([low, low + size, start, np.full(n, length)], axis=1)

    def draw_gains(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw factors, float32 (n,), of which half turn the polarity."""
        return (rng.choice([-1.0, 1.0], n) * 10 ** (rng.uniform(*GAIN_DB, n) / 20)).astype(np.float32)


class WaveTable:
    """All samples of a dataset on one device, from which crops are gathered there."""

    def __init__(self, dataset: SoundDataset, device: torch.device):
        """Move the samples, 2 bytes each, to the device; on a processor they stay in their file."""
        with warnings.catch_warnings():
            # PyTorch knows no arrays that cannot be written to; these are only read.
            warnings.simplefilter("ignore", UserWarning)
            self.samples = torch.from_numpy(dataset.samples).to(device)
        self.device = device

    def gather(self, places: np.ndarray) -> torch.Tensor:
        """Return crops, float32 (n, length) within -1 and 1, of places as `CropSampler.places` draws them."""
        low, high, start = torch.from_numpy(places[:, :3].T.copy()).to(self.device)[:, :, None]
        index = start + torch.arange(int(places[0, 3]), device=self.device)
        inside = (index >= low) & (index < high)
        found = self.samples[index.clamp(0, len(self.samples) - 1)]
        return found.float() * inside / 32767

    def draw(self, crops: CropSampler, n: int, rng: np.random.Generator, *, faster: float = 0.0) -> torch.Tensor:
        """Draw samples (n, length) with random gain; the share `faster` of the batches is played faster."""
        if rng.random() < faster:
            speed = rng.uniform(1.0, FASTEST)
            source = math.ceil((crops.length + 2 * MARGIN) * speed / 2) * 2
            longer = self.gather(crops.places(n, rng, source))
            waves = resample(longer, round(source / speed))[:, MARGIN : MARGIN + crops.length]
        else:
            waves = self.gather(crops.places(n, rng))
        gains = torch.from_numpy(crops.draw_gains(n, rng)).to(self.device)
        return waves * gains[:, None]


def resample(samples: torch.Tensor, length: int) -> torch.Tensor:
    """Return samples (batch, n) as (batch, length) over the same time, by their spectrum; the ends ring."""
    spectrum = torch.fft.rfft(samples)
    return torch.fft.irfft(spectrum[:, : length // 2 + 1], n=length) * (length / samples.shape[1])
