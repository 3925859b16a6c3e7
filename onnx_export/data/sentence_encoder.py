"""The teacher of the text tower: a MiniLM sentence encoder, read from a folder that holds its weights."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from onnx_export.torchvision_ops import declare_missing_operators
from onnx_export.training.loop import precision

log = logging.getLogger(__name__)

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as several registries carry it."""


class SentenceEncoder:
    """Sentences to unit vectors (Reimers and Gurevych 2019: mean pooling, then normalised)."""

    def __init__(self, folder: Path):
        """Read config.json, tokenizer.json and model.safetensors; raise ValueError on other weights."""
        checksum = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if checksum != MINILM_SHA256:
            raise ValueError(f"{folder}/model.safetensors has sha256 {checksum}, expected {MINILM_SHA256}")
        self._operators = declare_missing_operators()
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    @torch.no_grad()
    def encode(self, sentences: Sequence[str], batch: int = 256) -> np.ndarray:
        """Return unit vectors, float32 (n, 384), in the order of `sentences`."""
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        out = np.empty((len(sentences), self.model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            tokens = self.tokenizer(
                [sentences[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=96,
                return_tensors="pt",
            )
            with precision(torch.device("cpu")):
                hidden = self.model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"][..., None]
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            out[chosen] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
            if start // batch % 100 == 99:
                log.info("embedded %d of %d sentences", start + batch, len(order))
        return out

    def encode_cached(self, sentences: Sequence[str], folder: Path) -> np.ndarray:
        """Return the same as `encode`, stored in `folder` under a name of the sentences."""
        key = hashlib.blake2s("\n".join(sentences).encode()).hexdigest()[:12]
        path = folder / f"sentences-{key}.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            np.save(path, self.encode(sentences).astype(np.float16))
        return np.load(path).astype(np.float32)
