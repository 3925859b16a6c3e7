"""CLIP's byte-pair tokenizer (Sennrich et al. 2016; Radford et al. 2021), for serving without torch."""

import gzip
import html
import re
import unicodedata
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_server.errors import BadFile, BundleDamaged
from plugin_server.untrusted_files import open_file

START, END = "<start_of_text>", "<end_of_text>"
N_MERGES = 49152 - 256 - 2
MAX_MERGES_BYTES = 2**23
"""Bytes of the list that are unpacked; it has three million."""

# CLIP asks the regex package for letters and for single numbers by Unicode category. Here numbers of every kind
# stand between spaces already, so that a word character which is no digit and no underscore is a letter.
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


class Tokenizer:
    """A tokenizer: prompts to token ids."""

    def __init__(self, merges_path: Path, context_length: int) -> None:
        """Read CLIP's gzipped list of merges at `merges_path`. Raises BundleDamaged when it is none."""
        self.context_length = context_length
        self._bytes = _byte_characters()
        merges = _read_merges(merges_path)
        letters = list(self._bytes.values())
        tokens = [*letters, *(f"{c}</w>" for c in letters), *(a + b for a, b in merges), START, END]
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._merge = lru_cache(maxsize=4096)(self._merge_word)

    def __call__(self, prompt: str) -> NDArray[np.int64]:
        """Return token ids, int64 (1, context_length): start, tokens, end, zeros.

        What does not fit is cut before the end mark.
        """
        ids = [self._ids[token] for token in self._tokens(prompt)]
        row = np.zeros((1, self.context_length), np.int64)
        whole = [self._ids[START], *ids[: self.context_length - 2], self._ids[END]]
        row[0, : len(whole)] = whole
        return row

    def count_heard(self, prompt: str) -> tuple[int, int]:
        """Return how many words of a prompt fit into the context as a whole, and how many it has."""
        words, n_left = prompt.split(), self.context_length - 2
        for n_heard, word in enumerate(words):
            # No token goes beyond a space.
            n_left -= sum(1 for _ in self._tokens(word))
            if n_left < 0:
                return n_heard, len(words)
        return len(words), len(words)

    def _tokens(self, text: str) -> Iterator[str]:
        return (token for piece in _pieces(text) for token in self._merge(self._spell(piece)))

    def _spell(self, piece: str) -> str:
        return "".join(self._bytes[byte] for byte in piece.encode())

    def _merge_word(self, word: str) -> tuple[str, ...]:
        """Join the pair that was learnt first, again and again."""
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            pair = min(pairwise(parts), key=lambda p: self._ranks.get(p, N_MERGES))
            if pair not in self._ranks:
                break
            parts = _join(parts, pair)
        return tuple(parts)


def _pieces(prompt: str) -> list[str]:
    clean = html.unescape(html.unescape(prompt)).lower()
    return _PIECES.findall("".join(f" {c} " if unicodedata.category(c)[0] == "N" else c for c in clean))


def _join(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined, i = [], 0
    while i < len(parts):
        if tuple(parts[i : i + 2]) == pair:
            joined.append(parts[i] + parts[i + 1])
            i += 2
        else:
            joined.append(parts[i])
            i += 1
    return joined


def _byte_characters() -> dict[int, str]:
    """Return a visible character for each byte, in the order that CLIP's vocabulary counts them."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        with open_file(path) as packed, gzip.open(packed) as unpacked:
            lines = unpacked.read(MAX_MERGES_BYTES).decode("utf-8").split("\n")
    except BadFile as error:
        raise BundleDamaged(str(error)) from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise BundleDamaged(f"{path} cannot be read: {error}") from error
    merges = [line.split() for line in lines[1 : N_MERGES + 1]]
    if len(merges) != N_MERGES or any(len(pair) != 2 for pair in merges):
        raise BundleDamaged(f"{path} holds {len(merges)} merges, expected {N_MERGES} pairs")
    return [(first, second) for first, second in merges]
