"""Losses between waveforms, against arithmetic."""

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.training.adversarial.losses import MultiScaleMelLoss, spectral_loss
from plugin_server.audio.spectral import MelSettings


def test_the_spectral_loss_of_a_gain():
    """Half as loud: half the norm is missing, and ln 2 of every bin that is not at the floor."""
    torch.manual_seed(0)
    real = torch.randn(2, 8192)
    assert float(spectral_loss(real, real)) == 0
    assert float(spectral_loss(real / 2, real)) == pytest.approx(np.log(2) + 0.5, abs=0.01)


def test_the_mel_loss_of_a_gain_is_its_logarithm_at_every_scale():
    torch.manual_seed(0)
    real, loss = torch.randn(2, 8192), MultiScaleMelLoss(MelSettings())
    assert float(loss(real, real)) == 0
    assert float(loss(real / 2, real)) == pytest.approx(np.log(2), rel=1e-3)
    assert all((mel.bank.sum(dim=1) > 0).all() for mel in loss.mels), "a band without a bin learns nothing"
