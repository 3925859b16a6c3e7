"""Mels that are like a denoiser's, and a denoiser whose checkpoint comes and changes."""

import os

import pytest
import torch

from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.training.adversarial.mel_augmentation import (
    MelAugmentation,
    Reconstruction,
    local_mean,
    smooth_and_noise,
)
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata
from onnx_export.training.ema import EMA
from plugin_server.audio.spectral import MelSettings

MEL = MelSettings()
SIZE = DenoiserSize(patch=2, width=16, depth=1, heads=2)


def test_local_means_keep_the_shape_and_the_level():
    assert torch.equal(local_mean(torch.full((2, 8, 9), 3.0), 5), torch.full((2, 8, 9), 3.0))
    spike = torch.zeros(1, 8, 9)
    spike[0, 4, 4] = 25
    assert float(local_mean(spike, 5)[0, 4, 4]) == 1 == float(local_mean(spike, 5)[0, 2, 6])


def test_a_share_of_the_mels_is_smoothed_and_noised():
    torch.manual_seed(0)
    mel = torch.randn(400, 16, 16)
    changed = smooth_and_noise(mel, MelAugmentation(share=0.4, noise=0.0))
    is_changed = (changed != mel).flatten(1).any(dim=1)
    assert 0.3 < float(is_changed.float().mean()) < 0.5
    assert (changed.std(dim=(1, 2)) < mel.std(dim=(1, 2)))[is_changed].all()
    noised = smooth_and_noise(mel, MelAugmentation(share=1.0, noise=0.1, smoothing=0.0)) - mel
    assert 0 < float(noised.std()) < 0.1
    assert torch.equal(smooth_and_noise(mel, MelAugmentation(share=0.0)), mel)


def write_denoiser(path, step, bias):
    denoiser = Denoiser(SIZE)
    denoiser.mel_mean.fill_(-5.0)
    denoiser.mel_std.fill_(2.0)
    denoiser.patch_out.bias.data.fill_(bias)
    metadata = CheckpointMetadata(heads=SIZE.heads)
    Checkpoint(path, {"model": denoiser, "average": EMA(denoiser)}, metadata).save(step)
    os.utime(path, ns=(step, step))


def test_a_denoiser_is_used_once_it_is_there_and_read_again_when_it_changes(tmp_path):
    path, mel = tmp_path / "denoiser.pt", torch.full((3, 128, 9), -6.0)
    reconstruction = Reconstruction(path, torch.device("cpu"))
    assert not reconstruction.refresh() and torch.equal(reconstruction(mel, MEL), mel)
    for step in (7, 8):
        write_denoiser(path, step, bias=0.5 * step)
        assert reconstruction.refresh()
        made = reconstruction(mel, MEL)
        # An odd frame at the end fits into no patch, and stays.
        assert made.shape == mel.shape and torch.equal(made[..., 8], mel[..., 8])
        assert torch.isfinite(made).all() and not torch.equal(made, mel)
    first = reconstruction.denoiser
    assert reconstruction.refresh() and reconstruction.denoiser is first


def test_what_is_half_written_or_no_denoiser_is_left_alone(tmp_path, caplog):
    path = tmp_path / "denoiser.pt"
    reconstruction = Reconstruction(path, torch.device("cpu"))
    path.write_bytes(b"nothing")
    assert not reconstruction.refresh()
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("frames", [2, 48])
def test_the_denoiser_sees_noised_mels_without_a_condition(tmp_path, monkeypatch, frames):
    write_denoiser(tmp_path / "d.pt", 1, 0.0)
    reconstruction, seen = Reconstruction(tmp_path / "d.pt", torch.device("cpu")), {}
    reconstruction.refresh()

    def forward(noised, sigma, embedding, seconds, guidance):
        seen.update(noised=noised, sigma=sigma, embedding=embedding, seconds=seconds, guidance=guidance)
        return torch.zeros_like(noised)

    monkeypatch.setattr(reconstruction.denoiser, "forward", forward)
    made = reconstruction(torch.full((64, 128, frames), -9.0), MEL)
    torch.testing.assert_close(made, torch.full_like(made, -5.0))
    assert not seen["embedding"].any() and (seen["guidance"] == 1).all()
    assert float(seen["sigma"].min()) >= 0.05 and float(seen["sigma"].max()) <= 0.5
    # Normalised, the mel is -2: what is noise has the level's deviation.
    level = seen["sigma"][:, None, None]
    noise = (seen["noised"] + 2 * (1 - level)) / level
    assert abs(float(noise.std()) - 1) < 0.05
    torch.testing.assert_close(seen["seconds"], torch.full((64,), frames * 512 / 44_100))
