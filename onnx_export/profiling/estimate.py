"""An estimate of what a configured training of the denoiser takes.

That is memory, and time on this device and on one of a given speed.
"""

from dataclasses import dataclass

import torch

from onnx_export.clipsonic.models.denoiser import Denoiser
from onnx_export.config import Config
from onnx_export.profiling.step_costs import activation_bytes, mean_flops, measure_speed

GUIDED_SHARE = 0.67
"""Share of the clips with a condition whose target is guided; each costs two estimates of the EMA teacher."""
BYTES_PER_PARAMETER = {"weights": 4, "gradients": 4, "moving average": 4, "guide": 4, "AdamW's two moments": 8}
"""Name of what training keeps, to its bytes for each parameter."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Figures of one configuration; FLOPs count a multiplication and an addition as two."""

    config: Config
    device: str
    n_parameters: int
    plain_flops: float
    """FLOPs of a step before guidance is distilled, the mean over canvas lengths."""
    guided_flops: float
    """FLOPs of a step after that."""
    activation_bytes: float
    """Bytes of activations that are kept from forward to backward, at most."""
    device_flops: float
    """FLOPs a second, forward and backward on this device."""
    optimiser_speed: float
    """Parameters that the optimiser updates in a second on this device."""
    tflops: float
    """TFLOPs a second, sustained on the device that is thought of."""

    @property
    def total_flops(self) -> float:
        """FLOPs of all steps."""
        training = self.config.training
        n_plain = min(training.guidance_distillation_from, training.steps)
        return n_plain * self.plain_flops + (training.steps - n_plain) * self.guided_flops

    @property
    def bytes(self) -> float:
        """Bytes of all that training keeps on the device."""
        return self.n_parameters * sum(BYTES_PER_PARAMETER.values()) + self.activation_bytes

    def table(self) -> str:
        """Return the figures as text, one a line."""
        steps = self.config.training.steps
        here_s = self.total_flops / self.device_flops + steps * self.n_parameters / self.optimiser_speed
        parts = [(name, n * self.n_parameters) for name, n in BYTES_PER_PARAMETER.items()]
        rows = [
            ("parameters", f"{self.n_parameters / 1e6:.1f} million"),
            ("a step", f"{self.plain_flops / 1e12:.4g} TFLOP, {self.guided_flops / 1e12:.4g} with guidance"),
            ("all steps", f"{self.total_flops / 1e18:.4g} EFLOP in {steps}"),
            *((name, f"{size / 1e9:.2f} GB") for name, size in parts),
            ("activations", f"{self.activation_bytes / 1e9:.2f} GB at {self.config.training.tokens} tokens"),
            ("memory in all", f"{self.bytes / 1e9:.2f} GB"),
            (f"on this {self.device}", f"{self.device_flops / 1e12:.4g} TFLOP/s measured: {_duration(here_s)}"),
            (f"at {self.tflops:g} TFLOP/s", _duration(self.total_flops / (self.tflops * 1e12))),
        ]
        return "\n".join(f"{name:20} {value}" for name, value in rows)


def estimate(config: Config, device: torch.device, tflops: float) -> Estimate:
    """Estimate what a training takes.

    FLOPs are counted, activations and speed measured at small batches; reading of clips is in none of them.

    Args:
        config: The network and its training.
        device: The device to measure on.
        tflops: TFLOPs a second that another device sustains.
    """
    training = config.training
    with torch.device("meta"):
        n_parameters = sum(p.numel() for p in Denoiser(config.denoiser).parameters())
    forward, backward = mean_flops(config)
    guidance = 2 * forward * GUIDED_SHARE * (1 - training.condition_dropout)
    activations = activation_bytes(config, device)
    speed, optimiser = measure_speed(config, device)
    plain = forward + backward
    return Estimate(config, device.type, n_parameters, plain, plain + guidance, activations, speed, optimiser, tflops)


def _duration(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds > 2 * 86400 else f"{seconds / 3600:.3g} hours"
