"""The labels that a model was trained on, in its joint embedding: how near a prompt is, and a pull towards them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_server.engine.bundles.card import LabelAnchorSpec
from plugin_server.engine.sampling.band_statistics import BandStatistics, BandStatisticsDistribution
from plugin_server.errors import BadFile, BundleDamaged
from plugin_server.untrusted_files import open_file

MAX_BYTES = 2**28
"""Bytes of the file with the labels and their embeddings."""


@dataclass(frozen=True, slots=True)
class LabelAnchors:
    """Labels and their embeddings."""

    names: tuple[str, ...]
    anchors: NDArray[np.float32]
    """Float32 (n_names, size), unit length."""
    spec: LabelAnchorSpec
    band_statistics: BandStatisticsDistribution | None = None
    """The statistics of each label, in the same order."""

    @classmethod
    def read(cls, path: Path, spec: LabelAnchorSpec, size: int) -> "LabelAnchors":
        """Read an .npz of `names`, `anchors` and perhaps `colours` with `colour_axes`. Raises BundleDamaged."""
        try:
            with open_file(path, MAX_BYTES) as file, np.load(file, allow_pickle=False) as arrays:
                names, anchors = arrays["names"], arrays["anchors"].astype(np.float32)
                parts = [arrays[n].astype(np.float32) for n in ("colours", "colour_axes") if "colours" in arrays]
        except BadFile as error:
            raise BundleDamaged(str(error)) from error
        # An archive of arrays that strangers wrote: zipfile, zlib and NumPy have errors of their own.
        except Exception as error:
            raise BundleDamaged(f"{path} cannot be read: {error}") from error
        if anchors.shape != (len(names), size) or not len(names):
            raise BundleDamaged(f"{path}: anchors are {anchors.shape}, expected ({len(names)}, {size})")
        statistics = BandStatisticsDistribution(*parts) if parts else None
        if statistics and len(statistics.centres) != len(names):
            raise BundleDamaged(f"{path}: {len(statistics.centres)} colours, expected {len(names)}")
        return cls(tuple(str(name) for name in names), anchors, spec, statistics)

    def nearest(self, embedding: NDArray[np.float32]) -> tuple[str, float]:
        """Return the label most similar to `embedding` (1, size), and the confidence in it, 0 to 1."""
        similarity = self.anchors @ embedding[0]
        best = int(similarity.argmax())
        floor, ceiling = self.spec.confidence_floor, self.spec.confidence_ceiling
        return self.names[best], float(np.clip((similarity[best] - floor) / (ceiling - floor), 0.0, 1.0))

    def pull_to_anchors(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `embedding` (1, size) moved towards the anchors, the further the less confidence there is in it.

        It is replaced in part by the labels that it is most similar to (ConSE, Norouzi et al. 2014): a prompt about
        nothing known becomes its nearest label, never noise.
        """
        _, confidence = self.nearest(embedding)
        mixture = self._weights(embedding) @ self.anchors
        mixture /= np.linalg.norm(mixture)
        moved = confidence * embedding[0] + (1 - confidence) * mixture
        unit: NDArray[np.float32] = (moved / np.linalg.norm(moved))[None].astype(np.float32)
        return unit

    def sample_band_statistics(self, embedding: NDArray[np.float32], spread: float, seed: int) -> BandStatistics | None:
        """Return statistics for `embedding` (1, size), between those of similar labels; None where none are known."""
        if self.band_statistics is None:
            return None
        return self.band_statistics.sample(self._weights(embedding), spread, seed)

    def _weights(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the shares (n_names,) of the labels in `embedding`: a soft-max over the cosines."""
        logits = self.anchors @ embedding[0] / self.spec.temperature
        weights: NDArray[np.float32] = np.exp(logits - logits.max())
        shares: NDArray[np.float32] = weights / weights.sum()
        return shares
