import numpy as np
import pytest

from plugin_server.engine.bundles.card import LabelAnchorSpec
from plugin_server.engine.sampling.label_anchors import LabelAnchors
from plugin_server.errors import BundleDamaged

SETTINGS = LabelAnchorSpec("known.npz", confidence_floor=0.2, confidence_ceiling=0.8)


@pytest.fixture
def anchors() -> LabelAnchors:
    return LabelAnchors(("rain", "dog"), np.eye(2, 3, dtype=np.float32), SETTINGS)


def towards(similarity: float) -> np.ndarray:
    """A unit vector (1, 3) at that cosine to rain, and at none to dog."""
    return np.array([[similarity, 0.0, np.sqrt(1 - similarity**2)]], np.float32)


@pytest.mark.parametrize(("similarity", "confidence"), [(1.0, 1.0), (0.8, 1.0), (0.5, 0.5), (0.2, 0.0), (0.0, 0.0)])
def test_confidence_rises_from_floor_to_ceiling(anchors, similarity, confidence):
    name, sure = anchors.nearest(towards(similarity))
    assert sure == pytest.approx(confidence, abs=1e-5)
    assert name == "rain" or similarity == 0


def test_a_confident_prompt_stays_and_an_unknown_one_becomes_its_nearest_label(anchors):
    np.testing.assert_allclose(anchors.pull_to_anchors(towards(0.9)), towards(0.9), atol=1e-6)
    np.testing.assert_allclose(anchors.pull_to_anchors(towards(0.15)), [[1, 0, 0]], atol=0.02)
    between = anchors.pull_to_anchors(towards(0.5))
    assert np.linalg.norm(between) == pytest.approx(1, abs=1e-6)
    assert 0.5 < between[0, 0] < 1


def test_the_file_is_read_and_checked(tmp_path, anchors):
    path = tmp_path / "known.npz"
    np.savez(path, names=np.array(anchors.names), anchors=anchors.anchors.astype(np.float16))
    read = LabelAnchors.read(path, SETTINGS, 3)
    assert read.names == anchors.names
    np.testing.assert_array_equal(read.anchors, anchors.anchors)
    with pytest.raises(BundleDamaged, match=r"expected \(2, 4\)"):
        LabelAnchors.read(path, SETTINGS, 4)
    path.write_bytes(b"no archive")
    with pytest.raises(BundleDamaged, match=r"known\.npz cannot be read"):
        LabelAnchors.read(path, SETTINGS, 3)


def test_band_statistics_come_with_every_label_or_not_at_all(tmp_path, anchors):
    path, given = tmp_path / "known.npz", {"names": np.array(anchors.names), "anchors": anchors.anchors}
    assert anchors.sample_band_statistics(towards(0.9), 0.5, 1) is None
    usual = np.array([[-2, -3, 1, 1], [-8, -9, 2, 2]], np.float32)
    np.savez(path, **given, colours=usual, colour_axes=np.zeros((1, 4)))
    statistics = LabelAnchors.read(path, SETTINGS, 3).sample_band_statistics(towards(0.9), 0.5, 1)
    np.testing.assert_allclose(statistics.mean[:, 0], [-2, -3], atol=1e-3)
    for broken, why in (
        ({"colours": usual[:1], "colour_axes": np.zeros((1, 4))}, "1 colours, expected 2"),
        ({"colours": usual}, "cannot be read"),
    ):
        np.savez(path, **given, **broken)
        with pytest.raises(BundleDamaged, match=why):
            LabelAnchors.read(path, SETTINGS, 3)
