"""Writes the record anew: `python -m tests.golden`, after a change that users are meant to see."""

import sys
import tempfile
from pathlib import Path

from tests.golden.made import RECORD, RECORDS


def main() -> None:
    """Write all parts, or those that are named."""
    for part in sys.argv[1:] or RECORDS:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in RECORDS[part](Path(folder).resolve()).items():
                (RECORD / name).write_text(text, "utf-8")
                print(f"{name}: {len(text.splitlines())} lines")


if __name__ == "__main__":
    main()
