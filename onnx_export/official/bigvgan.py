"""BigVGAN (Lee et al., *BigVGAN: A universal neural vocoder with large-scale training*, ICLR 2023): log-mel to samples.

Transposed convolutions go from frames to samples; behind each stand residual blocks whose activation is periodic
(Snake, Ziyin et al. 2020) and applied at twice the rate, so that the overtones it makes do not fold back (Karras et
al. 2021). Modules are named as NVIDIA's checkpoints name their weights.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from onnx_export.graph.export import ExportSpec
from onnx_export.official.error_text import error_sentence
from plugin_server.audio.spectral import MelSettings

CONFIG, WEIGHTS = "config.json", "bigvgan_generator.pt"
TAPS = 12
"""Length of the filters around an activation."""


@dataclass(frozen=True, slots=True)
class BigVGANSize:
    """Shape of the network and the mel that it takes, by the names of NVIDIA's `config.json`."""

    num_mels: int
    n_fft: int
    hop_size: int
    win_size: int
    sampling_rate: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    activation: str
    snake_logscale: bool
    resblock: str = "1"
    fmin: float = 0.0
    fmax: float | None = None
    """Half the sampling rate when None."""
    use_tanh_at_final: bool = True
    """Else the waveform is clipped at 1."""
    use_bias_at_final: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for a network that cannot be built, or whose mel cannot be served."""
        kinds = (("resblock", tuple(BLOCKS)), ("activation", tuple(ACTIVATIONS)))
        for name, known in kinds:
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}")
        if math.prod(self.upsample_rates) != self.hop_size:
            raise ValueError(f"upsample_rates multiply to {math.prod(self.upsample_rates)}, expected {self.hop_size}")
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if kernel < rate or (kernel - rate) % 2:
                raise ValueError(f"a kernel of {kernel} does not make exactly {rate} samples of one")
        if self.win_size != self.n_fft:
            raise ValueError(f"win_size is {self.win_size}, expected n_fft, {self.n_fft}")

    @property
    def mel(self) -> MelSettings:
        """The settings of the log-mel that the network takes."""
        top = self.fmax or self.sampling_rate / 2
        return MelSettings(self.sampling_rate, self.n_fft, self.hop_size, self.num_mels, float(self.fmin), float(top))


def sinc_filter(ratio: int) -> torch.Tensor:
    """Return a low-pass at 1 / (2 * ratio) of the sampling rate, (1, 1, TAPS), summing to one.

    It is a sinc under Kaiser's window whose transition is 0.6 / ratio wide to each side (the estimate of beta is
    Kaiser's, 1974).
    """
    attenuation = 2.285 * (TAPS // 2 - 1) * math.pi * 4 * 0.6 / ratio + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    positions = torch.arange(TAPS) - (TAPS - 1) / 2
    taps = torch.sinc(positions / ratio) * torch.kaiser_window(TAPS, periodic=False, beta=beta)
    return (taps / taps.sum()).reshape(1, 1, TAPS)


class Upsample(nn.Module):
    """Resampling to twice the rate, by a low-pass."""

    filter: torch.Tensor

    def __init__(self):
        """Store the filter, which checkpoints hold, too."""
        super().__init__()
        self.register_buffer("filter", sinc_filter(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, 2 * n) of (batch, channels, n)."""
        channels = x.shape[1]
        padded = functional.pad(x, (TAPS // 2 - 1, TAPS // 2 - 1), mode="replicate")
        filters = 2 * self.filter.expand(channels, 1, TAPS)
        # What the padding made is cut away again: it is TAPS - 2 samples and half a filter at both ends.
        return functional.conv_transpose1d(padded, filters, stride=2, padding=TAPS + TAPS // 2 - 3, groups=channels)


class LowPass(nn.Module):
    """Resampling to half the rate, by a low-pass."""

    filter: torch.Tensor

    def __init__(self):
        """Store the filter, which checkpoints hold, too."""
        super().__init__()
        self.register_buffer("filter", sinc_filter(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, 2 * n)."""
        channels = x.shape[1]
        padded = functional.pad(x, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return functional.conv1d(padded, self.filter.expand(channels, 1, TAPS), stride=2, groups=channels)


class Downsample(nn.Module):
    """The low-pass under the name that checkpoints have for it."""

    def __init__(self):
        """Build the low-pass as a part of its own."""
        super().__init__()
        self.lowpass = LowPass()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, 2 * n)."""
        return self.lowpass(x)


class Snake(nn.Module):
    """The activation x + sin(alpha * x) ** 2 / alpha, with one alpha a channel."""

    def __init__(self, channels: int, *, log_scale: bool):
        """Start with an alpha of one; `log_scale` says that checkpoints hold its logarithm."""
        super().__init__()
        self.log_scale = log_scale
        self.alpha = nn.Parameter(torch.zeros(channels) if log_scale else torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, n)."""
        alpha = self._scale(self.alpha)
        return x + torch.sin(alpha * x) ** 2 / (self._height(alpha) + 1e-9)

    def _scale(self, values: torch.Tensor) -> torch.Tensor:
        return (values.exp() if self.log_scale else values)[:, None]

    def _height(self, alpha: torch.Tensor, /) -> torch.Tensor:
        return alpha


class SnakeBeta(Snake):
    """The activation x + sin(alpha * x) ** 2 / beta, with one alpha and beta a channel."""

    def __init__(self, channels: int, *, log_scale: bool):
        """Start with alpha and beta of one; `log_scale` says that checkpoints hold their logarithms."""
        super().__init__(channels, log_scale=log_scale)
        self.beta = nn.Parameter(self.alpha.detach().clone())

    def _height(self, _alpha: torch.Tensor, /) -> torch.Tensor:
        return self._scale(self.beta)


ACTIVATIONS = {"snake": Snake, "snakebeta": SnakeBeta}
"""Activations by their names in `config.json`."""


class AntiAliased(nn.Module):
    """An activation at twice the rate, so that its overtones do not fold back."""

    def __init__(self, size: BigVGANSize, channels: int):
        """Build the activation that `size` names."""
        super().__init__()
        self.act = ACTIVATIONS[size.activation](channels, log_scale=size.snake_logscale)
        self.upsample = Upsample()
        self.downsample = Downsample()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, n)."""
        return self.downsample(self.act(self.upsample(x)))


def _same_length(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


class PairedBlock(nn.Module):
    """A residual block of two convolutions a step, the second without dilation."""

    def __init__(self, size: BigVGANSize, channels: int, kernel: int, dilations: tuple[int, ...]):
        """Build a step for each dilation."""
        super().__init__()
        self.convs1 = nn.ModuleList(_same_length(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_length(channels, kernel, 1) for _ in dilations)
        self.activations = nn.ModuleList(AntiAliased(size, channels) for _ in range(2 * len(dilations)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, n)."""
        for i, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            x = x + second(self.activations[2 * i + 1](first(self.activations[2 * i](x))))
        return x


class SingleBlock(nn.Module):
    """A residual block of one convolution a step."""

    def __init__(self, size: BigVGANSize, channels: int, kernel: int, dilations: tuple[int, ...]):
        """Build a step for each dilation."""
        super().__init__()
        self.convs = nn.ModuleList(_same_length(channels, kernel, dilation) for dilation in dilations)
        self.activations = nn.ModuleList(AntiAliased(size, channels) for _ in dilations)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, n) of (batch, channels, n)."""
        for conv, activation in zip(self.convs, self.activations, strict=True):
            x = x + conv(activation(x))
        return x


BLOCKS = {"1": PairedBlock, "2": SingleBlock}
"""Residual blocks by their names in `config.json`."""


class BigVGAN(nn.Module):
    """The vocoder from log-mel (batch, num_mels, frames) to samples (batch, frames * hop_size) in [-1, 1]."""

    def __init__(self, size: BigVGANSize):
        """Build the network of a size with random weights."""
        super().__init__()
        self.size = size
        channels = size.upsample_initial_channel
        self.conv_pre = nn.Conv1d(size.num_mels, channels, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(size.upsample_rates, size.upsample_kernel_sizes, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            # Checkpoints name it 'ups.0.0': a list of one.
            self.ups.append(nn.ModuleList([up]))
            channels //= 2
            for width, dilations in zip(size.resblock_kernel_sizes, size.resblock_dilation_sizes, strict=True):
                self.resblocks.append(BLOCKS[size.resblock](size, channels, width, dilations))
        self.activation_post = AntiAliased(size, channels)
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=size.use_bias_at_final)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return samples (batch, frames * hop_size) in [-1, 1] of log-mels (batch, num_mels, frames)."""
        x, n = self.conv_pre(log_mel), len(self.size.resblock_kernel_sizes)
        for i, ups in enumerate(self.ups):
            for up in ups.children():
                x = up(x)
            x = sum(block(x) for block in self.resblocks[n * i : n * (i + 1)]) / n
        samples = self.conv_post(self.activation_post(x))[:, 0]
        return torch.tanh(samples) if self.size.use_tanh_at_final else samples.clamp(-1.0, 1.0)


def load_bigvgan(path: Path) -> BigVGAN:
    """Read a generator with its weight norm folded in.

    Args:
        path: The folder of NVIDIA's `config.json` and `bigvgan_generator.pt`, or a file of weights beside its
            `config.json`.

    Raises:
        ValueError: Naming what is missing or does not fit.
    """
    if not path.exists():
        raise ValueError(f"vocoder: {path} is not there, expected a folder with {CONFIG} and {WEIGHTS}")
    config = (path if path.is_dir() else path.parent) / CONFIG
    network = BigVGAN(_read_size(config))
    weights = path / WEIGHTS if path.is_dir() else path
    try:
        saved = torch.load(weights, map_location="cpu", weights_only=True)["generator"]
    # What torch.load raises on files of other kinds is of many classes.
    except Exception as error:
        expected = "a checkpoint with the part 'generator'"
        raise ValueError(f"vocoder: {weights} cannot be read as {expected}: {error_sentence(error)}") from error
    try:
        network.load_state_dict(without_weight_norm(saved))
    except RuntimeError as error:
        raise ValueError(f"vocoder: {weights} does not fit {config}: {error_sentence(error)}") from error
    return network.eval()


def _read_size(config: Path) -> BigVGANSize:
    try:
        values = json.loads(config.read_text("utf-8"))
        known = {field.name for field in fields(BigVGANSize)}
        return BigVGANSize(**{name: _with_tuples(value) for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"vocoder: {config} is no config.json of BigVGAN: {error_sentence(error)}") from error


def _with_tuples(value: Any) -> Any:
    """Return a value of a JSON file with tuples in place of its lists."""
    return tuple(_with_tuples(part) for part in value) if isinstance(value, list) else value


def without_weight_norm(saved: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights as they are used, from a state with weight norm (Salimans and Kingma 2016).

    Args:
        saved: A state in either of PyTorch's spellings of weight norm, or one that has none.
    """
    spellings = (
        (".weight_g", ".weight_v"),
        (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
    )
    plain = dict(saved)
    for length, direction in spellings:
        for name in [name for name in plain if name.endswith(direction)]:
            stem = name.removesuffix(direction)
            v, g = plain.pop(name), plain.pop(stem + length)
            plain[f"{stem}.weight"] = v * (g / v.norm(dim=tuple(range(1, v.ndim)), keepdim=True))
    return plain


def bigvgan_graph(network: BigVGAN) -> ExportSpec:
    """Return the graph from log-mels of any length to samples."""
    log_mel = torch.randn(2, network.size.num_mels, 32) * 2 - 5
    return ExportSpec(network, {"log_mel": log_mel}, ["samples"], {"log_mel": {0: "batch", 2: "frames"}})
