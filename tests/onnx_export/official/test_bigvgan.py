"""BigVGAN: what NVIDIA's own code gave with these weights, their spellings, its graph, and what is refused."""

import hashlib
import json

import numpy as np
import pytest
import torch

from onnx_export.graph.export import export_graph
from onnx_export.official.bigvgan import (
    BigVGANSize,
    LowPass,
    Snake,
    SnakeBeta,
    Upsample,
    bigvgan_graph,
    load_bigvgan,
    sinc_filter,
    without_weight_norm,
)
from plugin_server.audio.spectral import MelSettings
from tests.support.official import (
    BIGVGAN,
    CLOSE,
    bigvgan_state,
    relative_difference,
    run_graph,
    write_bigvgan,
)
from tests.support.toys import MEL


@pytest.mark.parametrize("spelling", ["old", "new", "none"])
def test_bigvgan_reads_weight_norm_however_it_is_spelt(tmp_path, spelling):
    mel = torch.randn(1, MEL.n_mels, 9)
    with torch.no_grad():
        found = load_bigvgan(write_bigvgan(tmp_path / spelling, spelling))(mel)
        wanted = load_bigvgan(write_bigvgan(tmp_path / "none", "none") / "bigvgan_generator.pt")(mel)
    assert found.shape == (1, 9 * MEL.hop)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_bigvgans_weights_have_the_names_that_nvidia_gives_them():
    """Those of NVIDIA's own module in this configuration, hashed."""
    names = sorted(bigvgan_state("old"))
    assert len(names) == 270
    expected = "58d23ce8adbe6d3cc5e6ef3498245230721a2ec6a9a6f43c394bbb3584c0fc47"
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == expected
    assert not any("weight_" in name for name in without_weight_norm(bigvgan_state("old")))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0.18012, 0.133008, 0.146301, 0.228233, 0.171575, 0.14566, 0.168012, 0.235497]),
        (
            {
                "resblock": "2",
                "activation": "snake",
                "snake_logscale": False,
                "use_tanh_at_final": True,
                "use_bias_at_final": True,
            },
            [0.163491, 0.1194, 0.161809, 0.237299, 0.164881, 0.163727, 0.16023, 0.158074],
        ),
    ],
)
def test_bigvgan_sounds_as_nvidias_own_code_did_with_these_weights(tmp_path, changes, expected):
    network = load_bigvgan(write_bigvgan(tmp_path / "big", **changes))
    mel = np.sin(np.arange(MEL.n_mels * 6).reshape(1, MEL.n_mels, 6) * 0.9).astype(np.float32) * 2 - 4
    with torch.no_grad():
        samples = network(torch.from_numpy(mel))[0]
    np.testing.assert_allclose(samples[::48], expected, atol=2e-6)


def test_bigvgan_becomes_a_graph_of_any_length(tmp_path):
    network = load_bigvgan(write_bigvgan(tmp_path / "big"))
    spec = export_graph(bigvgan_graph(network), tmp_path / "vocoder.onnx", fp16=False)
    assert spec.parity < CLOSE and [output.name for output in spec.outputs] == ["samples"]
    for frames in (1, 7, 50):
        mel = torch.randn(1, MEL.n_mels, frames) * 2 - 5
        with torch.no_grad():
            wanted = network(mel)
        found = run_graph(tmp_path / "vocoder.onnx", log_mel=mel)["samples"]
        assert found.shape == (1, frames * MEL.hop) and relative_difference(found, wanted) < CLOSE


def test_a_published_configuration_is_read():
    """bigvgan_v2_44khz_128band_512x hears what clipsonic-mini makes."""
    size = BigVGANSize(
        num_mels=128,
        n_fft=2048,
        hop_size=512,
        win_size=2048,
        sampling_rate=44100,
        upsample_rates=(8, 4, 2, 2, 2, 2),
        upsample_kernel_sizes=(16, 8, 4, 4, 4, 4),
        upsample_initial_channel=1536,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5),) * 3,
        activation="snakebeta",
        snake_logscale=True,
        fmin=0,
        fmax=None,
    )
    assert size.mel == MelSettings()


def test_files_that_are_no_generator_are_refused(tmp_path):
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"config\.json is no config\.json of BigVGAN"):
        load_bigvgan(junk)
    with pytest.raises(ValueError, match=r"vocoder: .*gone is not there, expected a folder with config\.json"):
        load_bigvgan(tmp_path / "gone")
    (tmp_path / "config.json").write_text(json.dumps(BIGVGAN))
    with pytest.raises(ValueError, match=r"junk\.pt cannot be read as a checkpoint with the part 'generator'"):
        load_bigvgan(junk)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "relu"}, "activation is 'relu', expected one of snake, snakebeta"),
        ({"resblock": "3"}, "resblock is '3', expected one of 1, 2"),
        ({"hop_size": 128}, "upsample_rates multiply to 64, expected 128"),
        ({"upsample_kernel_sizes": [15, 8, 4]}, "a kernel of 15 does not make exactly 8 samples"),
        ({"win_size": 128}, "win_size is 128, expected n_fft, 256"),
        ({"num_mels": 9}, r"bigvgan_generator\.pt does not fit .*conv_pre"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(tmp_path, changes, message):
    folder = write_bigvgan(tmp_path / "changed")
    (folder / "config.json").write_text(json.dumps(BIGVGAN | changes))
    with pytest.raises(ValueError, match=message):
        load_bigvgan(folder)


@pytest.mark.parametrize("ratio", [2, 4])
def test_the_low_pass_lets_low_tones_through_and_stops_high_ones(ratio):
    taps = sinc_filter(ratio)[0, 0].numpy()
    assert taps.sum() == pytest.approx(1) and np.allclose(taps, taps[::-1])
    response = np.abs(np.fft.rfft(taps, 1024))
    # A quarter of its cut-off, and the end of the spectrum.
    assert response[1024 // ratio // 16] > 0.9 and response[-1] < 0.05


def test_twice_the_rate_and_back_is_nearly_the_same():
    time = torch.arange(200) / 200
    tone = torch.sin(2 * torch.pi * 5 * time)[None, None]
    doubled = Upsample()(tone)
    assert doubled.shape == (1, 1, 400)
    torch.testing.assert_close(doubled[..., 100:300:2], tone[..., 50:150], atol=0.1, rtol=0)
    torch.testing.assert_close(LowPass()(doubled)[..., 20:-20], tone[..., 20:-20], atol=0.02, rtol=0)


def test_activations_are_those_of_their_formulas():
    x = torch.tensor([[[0.5, -1.0], [0.5, -1.0]]])
    snake = Snake(2, log_scale=False)
    snake.alpha.data = torch.tensor([1.0, 2.0])
    expected = [[v + np.sin(a * v) ** 2 / a for v in (0.5, -1.0)] for a in (1, 2)]
    np.testing.assert_allclose(snake(x)[0].detach(), expected, rtol=1e-5)
    beta = SnakeBeta(2, log_scale=True)
    beta.alpha.data, beta.beta.data = torch.log(torch.tensor([1.0, 2.0])), torch.log(torch.tensor([4.0, 5.0]))
    expected = [[v + np.sin(a * v) ** 2 / b for v in (0.5, -1.0)] for a, b in ((1, 4), (2, 5))]
    np.testing.assert_allclose(beta(x)[0].detach(), expected, rtol=1e-5)
    # Untrained, all scales are one.
    torch.testing.assert_close(SnakeBeta(2, log_scale=True)(x), Snake(2, log_scale=False)(x))
