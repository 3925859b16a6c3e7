"""Texts to train the text tower on: captions, ontologies of sound, and a large open word list."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path


def read_captions(path: Path) -> list[str]:
    """Read captions, one a line, in lower case and each once."""
    return list(dict.fromkeys(line.strip().lower() for line in path.read_text("utf-8").splitlines() if line.strip()))


def read_ontology(path: Path) -> list[str]:
    """Read names and descriptions of the AudioSet ontology's classes."""
    classes = json.loads(path.read_text("utf-8"))
    return [c["name"].lower() for c in classes] + [c["description"].lower() for c in classes if c["description"]]


def read_labels(path: Path) -> list[str]:
    """Read the first column of a table of class names (VGGSound's list has no header)."""
    with open(path, newline="", encoding="utf-8") as file:
        return [row[0].strip().lower() for row in csv.reader(file) if row]


def read_wordnet(folder: Path) -> list[str]:
    """Read words with their glosses from a WordNet `dict` folder (Princeton's data.noun, data.verb, ...)."""
    texts = dict.fromkeys(text for part in ("noun", "verb", "adj", "adv") for text in _entries(folder / f"data.{part}"))
    return list(texts)


def _entries(path: Path) -> Iterator[str]:
    for line in path.read_text("latin-1").splitlines():
        if line.startswith("  ") or "|" not in line:
            continue
        data, gloss = line.split("|", 1)
        fields = data.split()
        words = [fields[4 + 2 * i].split("(")[0].replace("_", " ") for i in range(int(fields[3], 16))]
        yield from (word.lower() for word in words)
        yield f"{words[0]}: {gloss.split(';')[0].strip()}".lower()
