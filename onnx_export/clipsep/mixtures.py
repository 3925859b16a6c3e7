"""Mixtures for training the separator, made on the device that trains: crops, loudness, rooms, equalisation, queries.

The waveforms of all recordings lie in its memory; a batch is a few gathers and one Fourier transform.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from onnx_export.clipsep.spectrum import StftSettings, stft
from onnx_export.data.sounds import SoundDataset

HALF_BAND_TAPS = 63
CHUNK = 1 << 23
"""Samples that are halved in rate at a time."""
LOUD_BLOCK_S = 0.02
"""Blocks of which the louder half tells how loud a source is."""
TARGET_RMS = 0.08
SILENT_RMS = 1e-4


@dataclass(frozen=True, slots=True)
class MixtureTraining:
    """How mixtures and queries are drawn."""

    batch: int = 48
    frames: int = 256
    """Length of a mixture in frames, a multiple of `FRAME_MULTIPLE`."""
    third: float = 0.2
    """Probability of a third source."""
    hard: float = 0.5
    """Probability that the second source's label is like the first's."""
    gain_db: float = 5.0
    """Sources are this much louder or softer at most."""
    speed: float = 0.6
    """Probability that a source is played at another speed."""
    octaves: float = 0.25
    """Largest change of speed."""
    room: float = 0.2
    """Probability of a room."""
    equalised: float = 0.4
    """Probability of another equalisation."""
    absent: float = 0.7
    """Probability that the third query is for a sound that is not there; else it is for all but the first."""
    pictures: float = 0.2
    """Probability that a picture asks, where the label has some."""
    averaged: float = 0.3
    """Probability that a query is the mean of three wordings."""
    query_noise: float = 0.7
    """Largest length of the noise added to a query."""
    same: float = 0.8
    """Labels whose embeddings have a larger cosine mean the same and are not mixed."""
    like: float = 0.3
    """Labels whose embeddings have a larger cosine are alike."""
    label_power: float = 0.3
    """A label is drawn in the length of its recordings to this power."""


@dataclass(frozen=True, slots=True)
class Mixtures:
    """A batch of mixtures, with three queries each and what these should give."""

    mixture: torch.Tensor
    """Spectra, complex64 (batch, n_bins, frames)."""
    targets: torch.Tensor
    """Spectra, complex64 (batch, 3, n_bins, frames); zero where the sound asked for is not there."""
    queries: torch.Tensor
    """Embeddings (batch, 3, n), unit length; zeros where all but the first is asked for."""
    present: torch.Tensor
    """1 where the sound asked for is there (batch, 3)."""
    named: torch.Tensor
    """1 where a label is asked for, 0 where all but the first (batch, 3)."""
    labels: torch.Tensor
    """Numbers of the labels asked for (batch, 3)."""


@dataclass(frozen=True, slots=True)
class SeparationData:
    """Recordings, and the embeddings that ask for each label."""

    dataset: SoundDataset
    words: Mapping[str, np.ndarray]
    """A label's embeddings (n, size) of its wordings."""
    pictures: Mapping[str, np.ndarray] | None = None
    """The same of pictures of its source; None to ask by words alone."""


class EmbeddingTable:
    """Embeddings of several labels in one array on the device; drawn by the number of the label."""

    def __init__(self, embeddings: Mapping[str, np.ndarray], labels: list[str], device: torch.device):
        rows = [embeddings.get(label, np.zeros((0, next(iter(embeddings.values())).shape[1]))) for label in labels]
        self.counts = torch.tensor([len(r) for r in rows], device=device)
        self.starts = torch.cumsum(self.counts, 0) - self.counts
        self.rows = torch.from_numpy(np.concatenate(rows).astype(np.float32)).to(device)

    def draw(self, labels: torch.Tensor) -> torch.Tensor:
        """Return one embedding (n, size) of each label (n,); any row where a label has none."""
        chance = torch.rand(labels.shape, device=labels.device)
        index = self.starts[labels] + (chance * self.counts[labels]).long()
        return self.rows[index.clamp_max(len(self.rows) - 1)]


class MixtureSampler:
    """Draws batches of mixtures from the recordings of one split."""

    def __init__(
        self,
        data: SeparationData,
        training: MixtureTraining,
        settings: StftSettings,
        device: torch.device,
        split: str = "train",
    ):
        """Put waveforms and embeddings on the device. Raises ValueError when the split has fewer than four labels."""
        self.training, self.settings, self.device = training, settings, device
        dataset, words = data.dataset, data.words
        indices = [i for i in dataset.indices(split) if dataset.sounds[i].label in words]
        self.labels = sorted({dataset.sounds[i].label for i in indices})
        if len(self.labels) < 4:
            raise ValueError(f"{split!r} has {len(self.labels)} labels with embeddings, expected 4 at least")
        indices.sort(key=lambda i: dataset.sounds[i].label)
        number = {label: n for n, label in enumerate(self.labels)}
        self.clip_counts = torch.bincount(
            torch.tensor([number[dataset.sounds[i].label] for i in indices]), minlength=len(self.labels)
        ).to(device)
        self.clip_starts = torch.cumsum(self.clip_counts, 0) - self.clip_counts
        self._load_waves(dataset, indices)
        self.words = EmbeddingTable(words, self.labels, device)
        self.pictures = EmbeddingTable(data.pictures, self.labels, device) if data.pictures else None
        self._relate(data, indices)

    def _load_waves(self, dataset: SoundDataset, indices: list[int]) -> None:
        ratio = dataset.mel_settings.sample_rate // self.settings.sample_rate
        if ratio * self.settings.sample_rate != dataset.mel_settings.sample_rate:
            raise ValueError(f"sample rate is {dataset.mel_settings.sample_rate}, expected a multiple of "
                             f"{self.settings.sample_rate}")  # fmt: skip
        bounds = dataset.sample_bounds
        waves = [halved(dataset.samples[bounds[i] : bounds[i + 1]], ratio, self.device) for i in indices]
        lengths = torch.tensor([len(wave) for wave in waves])
        self.lengths = lengths.to(self.device)
        self.starts = (torch.cumsum(lengths, 0) - lengths).to(self.device)
        # A silent sample at the end: where a sound does not sound.
        self.waves = torch.cat([*waves, torch.zeros(1, dtype=torch.int16, device=self.device)])

    def _relate(self, data: SeparationData, indices: list[int]) -> None:
        """Compute how often each label is drawn, and which labels are alike."""
        dataset, number = data.dataset, {label: n for n, label in enumerate(self.labels)}
        seconds = np.zeros(len(self.labels))
        for i in indices:
            length = int(np.diff(dataset.sample_bounds[i : i + 2])[0]) / dataset.mel_settings.sample_rate
            seconds[number[dataset.sounds[i].label]] += min(10.0, length)
        self.odds = torch.from_numpy(seconds**self.training.label_power).float().to(self.device)
        means = np.stack([data.words[label].mean(axis=0) for label in self.labels])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        similar = torch.from_numpy(means @ means.T).float().to(self.device)
        self.other = (similar < self.training.same).float() * self.odds
        self.alike = ((similar > self.training.like) & (similar < self.training.same)).float() * self.odds

    @torch.no_grad()
    def draw(self) -> Mixtures:
        """Draw one batch with PyTorch's own random numbers."""
        t, n = self.training, self.training.batch
        labels = self._labels(n)
        sources = self._sources(labels.flatten()).unflatten(0, (n, 3))
        with_third = (torch.rand(n, 1, 1, device=self.device) < t.third).float()
        sources[:, 2] *= with_third
        mixture = sources.sum(dim=1)
        absent = torch.rand(n, device=self.device) < t.absent
        named = torch.ones(n, 3, device=self.device)
        named[:, 2] = absent.float()
        present = torch.ones(n, 3, device=self.device)
        present[:, 2] = 1 - absent.float()
        rest = (mixture - sources[:, 0]) * (~absent)[:, None, None]
        targets = torch.stack([sources[:, 0], sources[:, 1], rest], dim=1)
        asked = torch.cat([labels[:, :2], self._absent(labels)[:, None]], dim=1)
        queries = self.queries(asked.flatten()).unflatten(0, (n, 3)) * named[..., None]
        return Mixtures(mixture, targets, queries, present, named, asked)

    def _labels(self, n: int) -> torch.Tensor:
        """Draw three labels (n, 3) for each mixture, none of which means the same as another."""
        first = torch.multinomial(self.odds, n, replacement=True)
        alike = self.alike[first]
        is_hard = (torch.rand(n, 1, device=self.device) < self.training.hard) & (alike.sum(1, keepdim=True) > 0)
        second = torch.multinomial(torch.where(is_hard, alike, self.other[first]), 1)[:, 0]
        third = torch.multinomial(self.other[first] * (self.other[second] > 0) + 1e-9 * self.odds, 1)[:, 0]
        return torch.stack([first, second, third], dim=1)

    def _absent(self, labels: torch.Tensor) -> torch.Tensor:
        """Draw a label (n,) for each row of labels (n, 3) that means none of them."""
        odds = self.odds * (self.other[labels] > 0).all(dim=1)
        return torch.multinomial(odds + 1e-9 * self.odds, 1)[:, 0]

    def _sources(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the spectra (n, n_bins, frames) of one recording of each label (n,), each at a level of its own."""
        t = self.training
        chance = torch.rand(len(labels), device=self.device)
        clips = self.clip_starts[labels] + (chance * self.clip_counts[labels]).long()
        samples = self._crops(clips)
        samples = self._in_rooms(samples)
        gain = 10 ** ((2 * torch.rand(len(labels), 1, device=self.device) - 1) * t.gain_db / 20)
        spectra = stft(samples * gain * TARGET_RMS / loud_rms(samples, self.settings.sample_rate), self.settings)
        return spectra * self._equalisation(len(labels))

    def _crops(self, clips: torch.Tensor) -> torch.Tensor:
        """Return samples (n, frames * hop) of each recording; a short one is struck again after a pause."""
        t, n = self.training, len(clips)
        length = t.frames * self.settings.hop

        def uniform() -> torch.Tensor:
            return torch.rand(n, device=self.device, dtype=torch.float64)

        changed = (uniform() < t.speed).double()
        speed = 2 ** (changed * (2 * uniform() - 1) * t.octaves)
        own = self.lengths[clips].double()
        is_long = own > length * speed + 2
        pause = (0.1 + 0.9 * uniform()) * self.settings.sample_rate
        period = torch.where(is_long, torch.full_like(own, 1e12), own + pause)
        room = torch.where(is_long, own - length * speed - 2, period)
        start = uniform() * room
        times = torch.arange(length, device=self.device, dtype=torch.float64)
        position = torch.remainder(start[:, None] + times * speed[:, None], period[:, None])
        return self._interpolate(clips, position)

    def _interpolate(self, clips: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Return the samples at fractional positions (n, length) by cubic interpolation (Catmull and Rom 1974)."""
        whole = position.floor()
        u = (position - whole).float()
        index, low, high = whole.long(), self.starts[clips][:, None], self.lengths[clips][:, None]

        def at(offset: int) -> torch.Tensor:
            k = index + offset
            inside = (k >= 0) & (k < high)
            return self.waves[torch.where(inside, low + k, len(self.waves) - 1)].float() / 32767

        a, b, c, d = at(-1), at(0), at(1), at(2)
        return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))

    def _in_rooms(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the samples, some of them with the echo of a short room: noise that decays exponentially."""
        n, length = samples.shape
        rate = self.settings.sample_rate
        size = rate // 2
        decay = (0.05 + 0.25 * torch.rand(n, 1, device=self.device)) * rate
        wet = 0.3 * torch.rand(n, 1, device=self.device)
        wet = wet * (torch.rand(n, 1, device=self.device) < self.training.room)
        times = torch.arange(size, device=self.device)
        echo = torch.randn(n, size, device=self.device) * torch.exp(-6.9 * times / decay)
        echo = echo / echo.norm(dim=1, keepdim=True) * wet
        echo[:, 0] += 1
        whole = 1 << (length + size - 1).bit_length()
        product = torch.fft.rfft(samples, whole) * torch.fft.rfft(echo, whole)
        return torch.fft.irfft(product, whole)[:, :length]

    def _equalisation(self, n: int) -> torch.Tensor:
        """Return gains (n, n_bins, 1): smooth curves of some decibels over frequency."""
        knots = torch.randn(n, 1, 6, device=self.device) * 4.0
        curve = functional.interpolate(knots, self.settings.n_bins, mode="linear", align_corners=True)[:, 0]
        curve = curve * (torch.rand(n, 1, device=self.device) < self.training.equalised)
        return (10 ** (curve / 20))[..., None]

    def queries(self, labels: torch.Tensor) -> torch.Tensor:
        """Return an embedding (n, size) of each label (n,), of words or of a picture, moved at random."""
        t, n = self.training, len(labels)

        def chance(share: float) -> torch.Tensor:
            return torch.rand(n, 1, device=self.device) < share

        own = self.words.draw(labels)
        three = own + self.words.draw(labels) + self.words.draw(labels)
        queries = torch.where(chance(t.averaged), functional.normalize(three, dim=1), own)
        if self.pictures is not None:
            seen = chance(t.pictures) & (self.pictures.counts[labels] > 0)[:, None]
            queries = torch.where(seen, self.pictures.draw(labels), queries)
        noise = functional.normalize(torch.randn_like(queries), dim=1)
        radius = torch.rand(n, 1, device=self.device) * t.query_noise
        return functional.normalize(functional.normalize(queries, dim=1) + radius * noise, dim=1)


def halved(samples: np.ndarray, ratio: int, device: torch.device) -> torch.Tensor:
    """Return int16 samples (n / ratio,) at a lower rate, on the device, of int16 samples (n,)."""
    wave = torch.from_numpy(np.array(samples, np.int16)).to(device)
    if ratio == 1:
        return wave
    times = torch.arange(HALF_BAND_TAPS, dtype=torch.float64) - HALF_BAND_TAPS // 2
    window = torch.hann_window(HALF_BAND_TAPS + 2, periodic=False, dtype=torch.float64)[1:-1]
    taps = torch.sinc(times * 0.95 / ratio) * window
    kernel = (taps / taps.sum()).to(device)[None, None]
    # Double precision: matrix units of a GPU would add noise that a quiet sound does not hide.
    low = functional.conv1d(wave.double()[None, None], kernel, stride=ratio, padding=HALF_BAND_TAPS // 2)[0, 0]
    return low.round().clamp(-32767, 32767).to(torch.int16)


def loud_rms(samples: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Return the level (n, 1) of the louder half of samples (n, length), in blocks of 20 ms."""
    block = int(LOUD_BLOCK_S * sample_rate)
    whole = samples.shape[1] // block * block
    power = samples[:, :whole].unflatten(1, (-1, block)).square().mean(dim=2).sort(dim=1).values
    return power[:, power.shape[1] // 2 :].mean(dim=1, keepdim=True).sqrt().clamp_min(SILENT_RMS)
