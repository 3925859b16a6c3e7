import numpy as np
import pytest

from plugin_server.engine.sampling.solvers import (
    SOLVERS,
    channel_noise,
    circular_shift,
    classifier_free_guidance,
    flow_sigmas,
    listed_sigmas,
    sample_dpmpp_2m,
    sample_euler,
)


def to_gaussian(x, sigma, mean=0.7, std=0.3):
    """The best estimate of the clean value when clean values are Gaussian: every solver must end in that Gaussian."""
    a = 1 - sigma
    return mean + a * std**2 / (a**2 * std**2 + sigma**2) * (x - a * mean)


def test_levels_fall_from_one_to_zero_and_shift_keeps_the_ends():
    for shift in (1.0, 3.0):
        sigmas = flow_sigmas(8, shift)
        assert (sigmas[0], sigmas[-1], len(sigmas)) == (1.0, 0.0, 9)
        assert (np.diff(sigmas) < 0).all()
    assert flow_sigmas(8, 3.0)[4] == pytest.approx(0.75)


def test_listed_levels_are_read_between_for_other_numbers_of_steps():
    levels = (1.0, 0.8, 0.3, 0.1, 0.0)
    assert listed_sigmas(4, levels).tolist() == list(levels)
    assert listed_sigmas(2, levels).tolist() == [1.0, 0.3, 0.0]
    assert listed_sigmas(8, levels).tolist() == pytest.approx([1, 0.9, 0.8, 0.55, 0.3, 0.2, 0.1, 0.05, 0])
    assert listed_sigmas(1, levels).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("name", SOLVERS)
def test_noise_is_carried_to_the_distribution_of_the_data(name):
    noise = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    made = SOLVERS[name](to_gaussian, noise, flow_sigmas(64), lambda step: None)
    assert made.mean() == pytest.approx(0.7, abs=0.02)
    assert made.std() == pytest.approx(0.3, abs=0.02)


def test_second_order_is_nearer_to_the_exact_path_than_first():
    noise = np.linspace(-2, 2, 41).astype(np.float32)
    exact = 0.7 + 0.3 * noise
    errors = [np.abs(solve(to_gaussian, noise, flow_sigmas(12), lambda i: None) - exact).max()
              for solve in (sample_dpmpp_2m, sample_euler)]  # fmt: skip
    assert errors[0] < 0.5 * errors[1]


def test_each_step_is_reported_and_may_stop_the_loop():
    told = []

    def on_step(step):
        told.append(step)
        if step == 3:
            raise KeyError("stop")

    with pytest.raises(KeyError):
        sample_euler(to_gaussian, np.zeros(4, np.float32), flow_sigmas(9), on_step)
    assert told == [1, 2, 3]


def test_guidance_goes_beyond_the_prompt_and_one_is_the_prompt_alone():
    def pair(x, sigma):
        return x + 2, x + 1

    x = np.zeros(3, np.float32)
    assert classifier_free_guidance(pair, 1.0)(x, 0.5).tolist() == [2, 2, 2]
    assert classifier_free_guidance(pair, 3.0)(x, 0.5).tolist() == [4, 4, 4]
    assert classifier_free_guidance(pair, 0.0)(x, 0.5).tolist() == [1, 1, 1]


@pytest.mark.parametrize("n_steps", [4, 11])
def test_euler_is_diffusers_flow_matching(n_steps):
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from onnx_export.torchvision_ops import declare_missing_operators

    operators = declare_missing_operators()
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    sigmas = flow_sigmas(n_steps)
    scheduler.set_timesteps(sigmas=sigmas[:-1].tolist())
    noise = np.random.default_rng(1).standard_normal(50).astype(np.float32)
    x = torch.from_numpy(noise)
    for now, t in zip(sigmas, scheduler.timesteps, strict=False):
        velocity = (x.numpy() - to_gaussian(x.numpy(), now)) / now
        x = scheduler.step(torch.from_numpy(velocity.astype(np.float32)), t, x).prev_sample
    ours = sample_euler(to_gaussian, noise, sigmas, lambda step: None)
    np.testing.assert_allclose(ours, x.numpy(), atol=1e-5)
    del operators


def test_dpm_solver_is_diffusers_own():
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from onnx_export.torchvision_ops import declare_missing_operators

    operators = declare_missing_operators()
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=2, prediction_type="flow_prediction",
        use_flow_sigmas=True, flow_shift=1.0, final_sigmas_type="zero", lower_order_final=False,
    )  # fmt: skip
    scheduler.set_timesteps(10)
    # diffusers begins a hair below 1, where the signal is not quite gone; ours takes the same levels here.
    sigmas = scheduler.sigmas.numpy().astype(np.float64)
    noise = np.random.default_rng(1).standard_normal(50).astype(np.float32)
    x = torch.from_numpy(noise)
    for now, t in zip(sigmas, scheduler.timesteps, strict=False):
        velocity = (x.numpy() - to_gaussian(x.numpy(), now)) / now
        x = scheduler.step(torch.from_numpy(velocity.astype(np.float32)), t, x).prev_sample
    ours = sample_dpmpp_2m(to_gaussian, noise, sigmas, lambda step: None)
    np.testing.assert_allclose(ours, x.numpy(), atol=2e-4)
    del operators


def test_a_shifted_denoiser_has_no_ends():
    """One that fades its canvas in leaves a seam where the canvas begins; heard from other places it leaves none."""

    def fading(x, sigma):
        return np.broadcast_to(np.linspace(0, 1, x.shape[-1], dtype=np.float32), x.shape)

    noise, sigmas = np.zeros((1, 1, 101), np.float32), flow_sigmas(60)
    plain, rolled = (
        sample_euler(way, noise, sigmas, lambda i: None)[0, 0] for way in (fading, circular_shift(fading, 4, 1))
    )
    assert rolled.shape == plain.shape == (101,)
    inside = np.abs(np.diff(rolled)).max()
    assert abs(plain[0] - plain[-1]) > 10 * np.abs(np.diff(plain)).max()
    assert abs(rolled[0] - rolled[-1]) <= 1.5 * inside


def test_a_circle_of_any_length_fills_the_canvas_and_comes_back_unshifted():
    seen = []

    def same(x, sigma):
        seen.append(x.shape[-1])
        return x

    x = np.arange(10, dtype=np.float32)[None, None]
    np.testing.assert_array_equal(circular_shift(same, 4, 0)(x, 0.5), x)
    assert seen == [12]


@pytest.mark.parametrize("stereo", [0.25, 0.5, 1.0])
def test_channels_share_the_requested_part(stereo):
    left, right = channel_noise((4, 20_000), stereo, 3).reshape(2, -1)
    assert np.corrcoef(left, right)[0, 1] == pytest.approx(1 - stereo, abs=0.02)
    assert left.std() == pytest.approx(1, abs=0.02)


def test_one_channel_is_the_noise_of_its_seed():
    assert channel_noise((4, 5), 0.0, 3).shape == (1, 4, 5)
    np.testing.assert_array_equal(channel_noise((4, 5), 0.0, 3), channel_noise((4, 5), 0.0, 3))
