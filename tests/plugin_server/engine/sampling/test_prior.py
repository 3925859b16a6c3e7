"""Sampling of a prior, beside the scheduler that karlo's comes with in diffusers."""

import numpy as np
import pytest

from plugin_server.engine.bundles.card import PriorSpec
from plugin_server.engine.sampling.prior import sample_prior, timesteps

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from onnx_export.torchvision_ops import declare_missing_operators  # noqa: E402

KARLO = {"clip_sample": True, "clip_sample_range": 5.0, "num_train_timesteps": 1000, "prediction_type": "sample"}
SIZE = 24


@pytest.fixture(scope="module")
def scheduling():
    """The scheduler's module, whose noise a test can replace."""
    operators = declare_missing_operators()
    from diffusers.schedulers import scheduling_unclip

    yield scheduling_unclip
    del operators


def wild(x: np.ndarray, level: float) -> np.ndarray:
    """An estimate that depends on both, and goes far beyond 5."""
    return 8 * np.tanh(3 * x[:, ::-1]) + np.sin(x * level / 100)


@pytest.mark.parametrize("steps", [2, 5, 25, 64, 1000])
def test_timesteps_are_those_of_the_scheduler(scheduling, steps):
    scheduler = scheduling.UnCLIPScheduler(**KARLO)
    scheduler.set_timesteps(steps)
    assert timesteps(1000, steps).tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("steps", [2, 10, 25])
def test_the_same_noise_gives_the_same_embedding(scheduling, monkeypatch, steps):
    monkeypatch.setattr(np.random, "default_rng", lambda *_: np.random.Generator(np.random.PCG64(11)))
    spec = PriorSpec("prior_pd", steps=steps, mean=(0.3,) * SIZE, std=(0.7,) * SIZE, clip=5.0)
    found = sample_prior(wild, spec, SIZE, seed=11)
    rng = np.random.default_rng()
    noise = lambda shape, **_: torch.from_numpy(rng.standard_normal(tuple(shape)))  # noqa: E731
    monkeypatch.setattr(scheduling, "randn_tensor", noise)
    scheduler = scheduling.UnCLIPScheduler(**KARLO)
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(rng.standard_normal((1, SIZE)))
    for level, then in zip(scheduler.timesteps, [*scheduler.timesteps[1:], None], strict=True):
        clean = torch.from_numpy(wild(x.float().numpy(), float(level)))
        x = scheduler.step(clean, level, x, prev_timestep=then).prev_sample
    wanted = x.numpy() * 0.7 + 0.3
    # The scheduler counts in single precision.
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-4)


def test_one_step_is_the_first_estimate():
    estimate = np.arange(SIZE, dtype=np.float32)[None] / 2 - 3
    asked = []
    found = sample_prior(lambda x, level: asked.append(level) or estimate, PriorSpec("p", steps=1, clip=2.0), SIZE, 0)
    assert asked == [999.0]
    cut = np.clip(estimate, -2, 2)
    np.testing.assert_allclose(found, cut / np.linalg.norm(cut), atol=1e-6)
