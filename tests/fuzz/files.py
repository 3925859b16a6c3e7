"""Random files in the folders that the daemon reads: clips with broken recipes, banks, bundles, and what is no file."""

import io
import os
import random
import wave
from collections.abc import Callable
from pathlib import Path

NUMBERS = ("NaN", "Infinity", "-1e400", "1" + "0" * 400, "-0", "1e-320", "null", "true", '"5"', "[]", "{}", "[" * 3000)
KEYS = ("seconds", "seed", "steps", "guidance", "stereo", "prompt", "model", "id", "bpm", "loop", "words", "version")
CLIP_NAMES = ("a.wav", "b.wav", "c.flac", "d.aif", "sub/e.wav", "\u00e9.wav", "x" * 100 + ".wav")


class Files:
    """Writes and removes files from random numbers of one seed."""

    def __init__(self, seed: int, clips: Path, banks: Path, bundles: Path):
        self.rng = random.Random(seed)
        self.clips, self.banks, self.bundles = clips, banks, bundles

    def write_one(self) -> Path:
        """Write or replace one file, and return its path."""
        makers: tuple[Callable[[], Path], ...] = (self._clip, self._clip, self._bank, self._card, self._special)
        path = self.rng.choice(makers)()
        return path

    def _put(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_fifo() or path.is_symlink():
            path.unlink()
        if not path.is_dir():
            path.write_bytes(data)
        return path

    def _clip(self) -> Path:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(44_100)
            file.writeframes(self.rng.randbytes(2 * self.rng.randrange(2000)))
        recipe = self._recipe().encode()
        chunk = b"clps" + (len(recipe) + len(recipe) % 2).to_bytes(4, "little") + recipe + b" " * (len(recipe) % 2)
        data = bytearray(buffer.getvalue() + chunk)
        data[4:8] = (len(data) - 8).to_bytes(4, "little")
        if self.rng.random() < 0.4:
            for _ in range(self.rng.randint(1, 6)):
                data[self.rng.randrange(len(data))] = self.rng.randrange(256)
        return self._put(self.clips / self.rng.choice(CLIP_NAMES), bytes(data))

    def _recipe(self) -> str:
        parts = [f'"{key}": {self.rng.choice(NUMBERS)}' for key in self.rng.sample(KEYS, self.rng.randrange(6))]
        return "{" + ", ".join(parts) + "}"

    def _bank(self) -> Path:
        values = ("9" * 400, "nan", "[" * 3000, "'x\\u0000'", "true", "1e999", '"\u202e"', "{a={b={c=1}}}")
        value, end = self.rng.choice(values), self.rng.choice(("", "[[", "\0"))
        lines = [f"name = {value}", "[[slots]]", 'prompt = "rain"', f"seconds = {value}", end]
        return self._put(self.banks / f"fuzz{self.rng.randrange(4)}.toml", "\n".join(lines).encode())

    def _card(self) -> Path:
        cards = ("[" * 5000, "{}", '{"name": 5}', '{"family": "clipsonic"}', "\ufeff{}", '{"mel": 1e999}', "")
        card = self.rng.choice(cards)
        return self._put(self.bundles / f"fuzz{self.rng.randrange(3)}" / "card.json", card.encode())

    def _special(self) -> Path:
        """Put a FIFO, a link to a device, a link to itself or a folder where a file is looked for."""
        folder, suffix = self.rng.choice(((self.clips, ".wav"), (self.banks, ".toml"), (self.bundles / "odd", ".json")))
        path = folder / (f"card{suffix}" if suffix == ".json" else f"special{self.rng.randrange(3)}{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        match self.rng.randrange(4):
            case 0:
                os.mkfifo(path)
            case 1:
                path.symlink_to("/dev/zero")
            case 2:
                path.symlink_to(path.name)
            case _:
                path.mkdir()
        return path
