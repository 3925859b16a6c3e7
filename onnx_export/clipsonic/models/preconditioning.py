"""A way for the noised spectrogram round the network: what is left of its grain need not pass through it.

As in Karras et al. 2022, D = skip * noised + out * F(in * noised), for the straight path (1 - sigma) * clean + sigma *
noise. There the network predicts whatever the linear estimate of white data leaves over. A mel is not white: most of
its variance is predictable, as bands and neighbouring frames go together, and the rest is grain. So clean = smooth +
grain; the skip is the linear estimate of the grain alone (Wiener's filter), and the network is left with the smooth
part. With a grain variance of 1 all data is grain, and the three are exactly those of Karras et al.
"""

import torch


def scalings(sigma: torch.Tensor, grain_variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the factors skip and out, both (batch, n_mels, 1), and in (batch, 1, 1).

    Args:
        sigma: Noise levels (batch,) in [0, 1].
        grain_variance: (n_mels, 1), the share of each normalised band's variance that is grain, in (0, 1].
    """
    level = sigma[:, None, None].float()
    signal, noise = (1 - level) ** 2, level**2
    noised_grain = signal * grain_variance + noise
    skip = (1 - level) * grain_variance / noised_grain
    # The deviation of what the network has to give: the smooth part, and the grain that the linear estimate misses.
    smooth_share = noise / noised_grain
    out = torch.sqrt(smooth_share**2 * (1 - grain_variance) + smooth_share * grain_variance)
    return skip, out, torch.rsqrt(signal + noise)


def filtered_estimate(
    estimate: torch.Tensor, noised: torch.Tensor, sigma: torch.Tensor, grain_variance: torch.Tensor
) -> torch.Tensor:
    """Return an estimate with the grain that it left to the noise, (batch, n_mels, frames).

    What a smooth estimate does not explain of the noised spectrogram is grain and noise; Wiener's filter shares it
    between both. It needs no training, and reaches what networks without a skip lose.

    Args:
        estimate: The network's estimate (batch, n_mels, frames) of the clean spectrogram.
        noised: What it was made from, of the same shape.
        sigma: Noise levels (batch,) in [0, 1].
        grain_variance: (n_mels, 1), the variance of the grain that the estimate lacks.
    """
    level = sigma[:, None, None].float()
    signal = (1 - level) ** 2 * grain_variance
    share = (1 - level) * grain_variance / (signal + level**2)
    return estimate + share * (noised - (1 - level) * estimate)
