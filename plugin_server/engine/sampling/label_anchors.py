"""The sounds that a model was taught, in its own joint embedding: how sure a prompt is, and where it had better go."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_server.engine.bundles.card import LabelAnchorSpec
from plugin_server.engine.sampling.band_statistics import BandStatistics, BandStatisticsDistribution
from plugin_server.errors import BundleDamaged


@dataclass(frozen=True, slots=True)
class LabelAnchors:
    """Names with their places among the embeddings."""

    names: tuple[str, ...]
    anchors: NDArray[np.float32]
    """Float32 (n_names, size), unit length."""
    settings: LabelAnchorSpec
    colours: BandStatisticsDistribution | None = None
    """Of each, in the same order."""

    @classmethod
    def read(cls, path: Path, settings: LabelAnchorSpec, size: int) -> "LabelAnchors":
        """From an .npz of `names`, `anchors` and perhaps `colours` with `colour_axes`. Raises BundleDamaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names, anchors = arrays["names"], arrays["anchors"].astype(np.float32)
                parts = [arrays[n].astype(np.float32) for n in ("colours", "colour_axes") if "colours" in arrays]
        except (OSError, ValueError, KeyError) as error:
            raise BundleDamaged(f"{path} cannot be read: {error}") from error
        if anchors.shape != (len(names), size) or not len(names):
            raise BundleDamaged(f"{path}: anchors are {anchors.shape}, expected ({len(names)}, {size})")
        colours = BandStatisticsDistribution(*parts) if parts else None
        if colours and len(colours.usual) != len(names):
            raise BundleDamaged(f"{path}: {len(colours.usual)} colours, expected {len(names)}")
        return cls(tuple(str(name) for name in names), anchors, settings, colours)

    def nearest(self, embedding: NDArray[np.float32]) -> tuple[str, float]:
        """The known sound most like `embedding` (1, size), and the confidence in it, 0 to 1."""
        likeness = self.anchors @ embedding[0]
        best = int(likeness.argmax())
        far, near = self.settings.confidence_floor, self.settings.confidence_ceiling
        return self.names[best], float(np.clip((likeness[best] - far) / (near - far), 0.0, 1.0))

    def draw_near(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """The less sure `embedding` (1, size) is, the more of it is replaced by the known sounds it is most like
        (ConSE, Norouzi et al. 2014): a prompt about nothing known becomes its nearest sound, never noise."""
        _, sure = self.nearest(embedding)
        drawn = self._likeness(embedding) @ self.anchors
        drawn /= np.linalg.norm(drawn)
        moved = sure * embedding[0] + (1 - sure) * drawn
        near: NDArray[np.float32] = (moved / np.linalg.norm(moved))[None].astype(np.float32)
        return near

    def draw_colour(self, embedding: NDArray[np.float32], spread: float, seed: int) -> BandStatistics | None:
        """A colour for `embedding` (1, size), between those of the sounds it is like; None where none are known."""
        return self.colours.draw(self._likeness(embedding), spread, seed) if self.colours else None

    def _likeness(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shares (n_names,) of the known sounds in `embedding`: a soft-max over the cosines."""
        logits = self.anchors @ embedding[0] / self.settings.temperature
        weights: NDArray[np.float32] = np.exp(logits - logits.max())
        shares: NDArray[np.float32] = weights / weights.sum()
        return shares
