"""Steps of the vocoder's training: losses, inputs, beginnings, and runs that stop."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from onnx_export.clipsonic.models.vocoder import Vocoder, VocoderSize
from onnx_export.clipsonic.training.adversarial.mel_augmentation import MelAugmentation
from onnx_export.clipsonic.training.vocoder import VocoderTrainer, VocoderTraining, _grain, _mel_loss, train_vocoder
from onnx_export.training.checkpoint import load_ema, read_start
from onnx_export.training.run import Intervals, TrainingRun
from plugin_server.audio.spectral import MelSettings
from tests.support.sounds import dataset, sound

MEL = MelSettings(sample_rate=16_000, n_fft=256, hop=128, n_mels=16, f_max_hz=8000)
SIZE = VocoderSize(width=8, depth=1, hidden=8)
TRAINING = VocoderTraining(steps=2, batch=4, frames=16, period_channels=1, spectrogram_channels=2)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return dataset([sound("a"), sound("b", number=1), sound("c", "valid")], [60, 9, 60], MEL)


def trainer(data, training=TRAINING):
    torch.manual_seed(0)
    return VocoderTrainer(data, Vocoder(MEL, SIZE), training, CPU, None)


def test_both_sides_learn_once_there_are_discriminators(data):
    made = trainer(data, replace(TRAINING, adversarial_from=1))
    states = [{name: part.clone() for name, part in module.state_dict().items()}
              for module in (made.vocoder, made.discriminators)]  # fmt: skip
    assert set(made.do_step(0, np.random.default_rng(0))) == {"mel", "stft"}
    assert all(torch.equal(states[1][name], part) for name, part in made.discriminators.state_dict().items())
    losses = made.do_step(1, np.random.default_rng(1))
    assert set(losses) == {"mel", "multi_scale", "discriminator", "adversarial", "features"}
    assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    for before, module in zip(states, (made.vocoder, made.discriminators), strict=True):
        assert any(not torch.equal(before[name], part) for name, part in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in made.discriminators.parameters())


def test_the_discriminators_learn_to_tell_both_apart(data):
    made = trainer(data, replace(TRAINING, learning_rate=0.01))
    real = made.waves.draw(made.crops, 4, np.random.default_rng(0))
    losses = [float(made._step_discriminators(real, torch.zeros_like(real))) for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]


def test_changed_mels_are_compared_without_their_grain():
    torch.manual_seed(0)
    target, grain = torch.zeros(2, 40, 40), 0.5 * torch.randn(2, 40, 40)
    exact, smooth = (float(_mel_loss(target + grain, target, torch.full((2,), changed))) for changed in (False, True))
    assert smooth < 0.4 * exact
    for changed in (False, True):
        assert float(_mel_loss(target + 0.3, target, torch.full((2,), changed))) == pytest.approx(0.3)


def test_grain_is_what_is_left_of_local_means():
    torch.manual_seed(0)
    noise = torch.randn(4, 128, 50)
    assert float(_grain(noise)) == pytest.approx((1 - 1 / 25) ** 0.5, abs=0.02)
    assert float(_grain(noise * 0 + 3)) == 0
    low = noise.clone()
    low[:, 37:] = 0
    assert float(_grain(low)) == 0, "bands below 40 do not count"


def test_inputs_are_changed_and_targets_are_not(data):
    made = trainer(data, replace(TRAINING, batch=40, augmentation=MelAugmentation(share=0.5)))
    target = made.log_mel(made.waves.draw(made.crops, 40, np.random.default_rng(0)))
    inputs, is_changed = made._inputs(target, 0)
    assert 8 < int(is_changed.sum()) < 32
    assert torch.equal(inputs[~is_changed], target[~is_changed])


def test_validation_says_how_much_grain_there_is(data):
    losses = trainer(data).validate(np.random.default_rng(0))
    assert set(losses) == {"mel", "stft", "grain", "grain_of_smooth"}
    assert all(float(value) > 0 for value in losses.values())


class StoppedError(Exception):
    """A run that is interrupted."""


def test_a_stopped_run_ends_as_one_that_was_never_stopped(data, tmp_path, monkeypatch):
    def train(name, stop_at=None):
        run = TrainingRun(tmp_path / name, CPU, seed=3, intervals=Intervals(log=1, validate=9, save=2))
        own = VocoderTrainer.do_step

        def do_step(self, step, rng):
            if step == stop_at:
                raise StoppedError
            return own(self, step, rng)

        with monkeypatch.context() as patch:
            patch.setattr(VocoderTrainer, "do_step", do_step)
            train_vocoder(data, SIZE, replace(TRAINING, steps=4, adversarial_ramp=4), run)

    train("whole.pt")
    with pytest.raises(StoppedError):
        train("stopped.pt", stop_at=3)
    assert read_start(tmp_path / "stopped.pt") == 2
    train("stopped.pt")
    whole, stopped = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "stopped"))
    for part in ("model", "discriminators"):
        assert all(torch.equal(value, stopped[part][name]) for name, value in whole[part].items())


def test_a_run_begins_with_a_smaller_vocoder(data, tmp_path):
    run = TrainingRun(tmp_path / "small.pt", CPU, seed=3)
    train_vocoder(data, SIZE, TRAINING, run)
    small, mel = Vocoder(MEL, SIZE), torch.randn(1, 16, 20) - 5
    load_ema(tmp_path / "small.pt", small)
    larger = replace(SIZE, width=16, depth=2)
    run = replace(run, path=tmp_path / "large.pt", backbone=tmp_path / "small.pt")
    train_vocoder(data, larger, replace(TRAINING, steps=0), run)
    large = Vocoder(MEL, larger)
    assert load_ema(tmp_path / "large.pt", large) == 0
    with torch.no_grad():
        torch.testing.assert_close(large(mel), small(mel), atol=1e-4, rtol=1e-3)


def test_a_budget_leaves_averaged_weights_in_half_precision(data, tmp_path):
    run = TrainingRun(tmp_path / "net.pt", CPU, seed=3, budget_s=0.05)
    train_vocoder(data, SIZE, TRAINING, run)
    halves = torch.load(tmp_path / "net.half.pt", weights_only=True)["average"]["state"]
    assert halves["head.weight"].dtype == torch.float16 and halves["head.bias"].dtype == torch.float32
    whole, half = Vocoder(MEL, SIZE), Vocoder(MEL, SIZE)
    assert load_ema(tmp_path / "net.half.pt", half) == load_ema(tmp_path / "net.pt", whole) > 0
    torch.testing.assert_close(half.head.weight, whole.head.weight, atol=1e-3, rtol=1e-3)
