"""`python -m presets.build.max` builds every Max file and picture; with `--check` it only compares.

`--unfrozen DIR` writes the device as Max saves one that is being edited, with its scripts beside it.
"""

import argparse
import sys
from pathlib import Path

from presets.build.max.amxd import AUDIO_EFFECT, FROZEN, Device, Frozen, write_device, write_unfrozen
from presets.build.max.live_device import CLIENT, INSERT, build_device
from presets.build.max.max_client import build_bpatcher, build_patch
from presets.build.max.node_client import build_node_patch
from presets.build.max.picture import draw_face, draw_patching

CLIENTS = Path(__file__).parents[2] / "clients"
DEVICE = "Clipsonic.amxd"
MAX, LIVE, NODE = CLIENTS / "max", CLIENTS / "max-for-live", CLIENTS / "node-for-max"


def build_all() -> dict[Path, bytes]:
    """Return every file that is built, with its bytes."""
    built: dict[Path, bytes] = {}
    bpatcher, player, node = build_bpatcher(MAX), build_patch(MAX), build_node_patch(NODE)
    for folder, name, patch in (
        (MAX, "clipsonic.bpatcher.maxpat", bpatcher),
        (MAX, "clipsonic.maxpat", player),
        (NODE, "clipsonic-node.maxpat", node),
    ):
        built[folder / name] = patch.to_text().encode()
    built[MAX / "clipsonic.svg"] = draw_face(player.to_json(), bpatcher=bpatcher.to_json()).encode()
    built[MAX / "clipsonic.bpatcher.svg"] = draw_patching(bpatcher.to_json()).encode()
    built[NODE / "clipsonic-node.svg"] = draw_patching(node.to_json()).encode()
    return built | build_live()


def build_live() -> dict[Path, bytes]:
    """Return the device, frozen with its scripts, and its picture."""
    patch = build_device(MAX, LIVE)
    own = Frozen(DEVICE, patch.to_text().encode() + b"\0")
    device = write_device(Device(AUDIO_EFFECT, FROZEN, (own, *_scripts())))
    return {LIVE / DEVICE: device, LIVE / "Clipsonic.svg": draw_face(patch.to_json()).encode()}


def build_unfrozen(folder: Path) -> dict[Path, bytes]:
    """Return the device and its scripts side by side in `folder`."""
    patch = build_device(MAX, LIVE).to_text().encode() + b"\0"
    return {folder / DEVICE: write_unfrozen(AUDIO_EFFECT, patch)} | {folder / name: code for name, code in _scripts()}


def _scripts() -> list[Frozen]:
    return [Frozen(path.name, path.read_bytes()) for path in (MAX / CLIENT, LIVE / INSERT)]


def main() -> int:
    """Write what differs, or say what does; 1 when `--check` finds something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--unfrozen", type=Path, metavar="DIR", help="only the device, to be edited in Max")
    options = parser.parse_args()
    built = build_unfrozen(options.unfrozen) if options.unfrozen else build_all()
    stale = [path for path, content in built.items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        if not options.check:
            path.write_bytes(built[path])
        print(f"{'differs' if options.check else 'built'}: {path}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
