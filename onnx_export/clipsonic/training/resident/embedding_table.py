"""All embeddings of a conditioning on one device, drawn for a whole batch at once."""

from dataclasses import dataclass

import numpy as np
import torch

from onnx_export.clipsonic.training.conditioning import Conditioning, LabelConditioning, MixedConditioning


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """Rows of embeddings, and which of them stand for each clip: of one kind, or of two at random."""

    vectors: torch.Tensor
    """float32 (n, size), unit length."""
    starts: torch.Tensor
    """int64 (2, clips): the first row of a clip's embeddings of each kind."""
    counts: torch.Tensor
    """int64 (2, clips): rows of each kind; 0 for none."""
    second_share: float

    def draw(self, clips: torch.Tensor) -> torch.Tensor:
        """Return one embedding of each clip, (batch, size)."""
        counts, starts = self.counts[:, clips], self.starts[:, clips]
        is_second = torch.rand(len(clips), device=clips.device) < self.second_share
        kind = (((counts[1] > 0) & is_second) | (counts[0] == 0)).long()[None]
        count, start = counts.gather(0, kind)[0], starts.gather(0, kind)[0]
        chosen = (torch.rand(len(clips), device=clips.device) * count).long()
        return self.vectors[start + torch.minimum(chosen, count - 1).clamp_min(0)]


def build_embedding_table(conditioning: Conditioning, device: torch.device) -> EmbeddingTable:
    """Put the embeddings of labels on the device. Raises ValueError for conditionings that are not of labels."""
    parts, second_share = _parts(conditioning)
    vectors: list[np.ndarray] = []
    starts, counts = np.zeros((2, 2, len(conditioning.dataset.sounds)), np.int64)
    begin = 0
    for kind, part in enumerate(parts):
        rows = {}
        for label, embeddings in part.embeddings.items():
            rows[label] = (begin, len(embeddings))
            vectors.append(embeddings)
            begin += len(embeddings)
        for i, sound in enumerate(conditioning.dataset.sounds):
            starts[kind, i], counts[kind, i] = rows.get(sound.label, (0, 0))
    table = torch.from_numpy(np.concatenate(vectors).astype(np.float32)).to(device)
    table = torch.nn.functional.normalize(table, dim=1)
    return EmbeddingTable(table, torch.from_numpy(starts).to(device), torch.from_numpy(counts).to(device), second_share)


def _parts(conditioning: Conditioning) -> tuple[list[LabelConditioning], float]:
    if isinstance(conditioning, MixedConditioning):
        parts, share = [conditioning.first, conditioning.second], conditioning.second_share
    else:
        parts, share = [conditioning], 0.0
    labels = [part for part in parts if isinstance(part, LabelConditioning)]
    if len(labels) < len(parts):
        raise ValueError("training.resident is true, expected conditions of labels: words, or pictures in a catalogue")
    return labels, share
