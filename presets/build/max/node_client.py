"""A patch that shows the Node for Max script at work."""

from pathlib import Path

from presets.build.max import faces
from presets.build.max.patcher import Patch

SAVED = {"autostart": 1, "defer": 0, "watch": 0}


def build_node_patch(folder: Path) -> Patch:
    """`clipsonic-node.maxpat`: messages in, the script, and its answers by kind."""
    patch = Patch("Clipsonic with Node for Max", (80, 100, 1020, 520), folder)
    patch.attributes = {"openinpresentation": 0}
    patch.note("The script starts with the patch. The daemon must run: clipsonic serve", 20, 16)
    script = patch.object("node.script clipsonic.js @autostart 1", 20, 200, saved_object_attributes=SAVED)
    prompt = faces.prompt_box(patch, (20, 50, 200, 40), None)
    patch.chain(prompt, patch.object("route text", 20, 104), patch.object("prepend generate", 20, 140), script)
    patch.note("type, then Enter", 226, 60)
    rows = (
        ("generate sea waves 5 @seed 42 @variations 2", 150),
        ("cancel all", 470),
        ("status", 566),
        ("fire 1", 636),
        ("port 9460", 706),
        ("script stop", 796),
        ("script start", 898),
    )
    drop = patch.box("dropfile", (470, 50, 200, 40), border=1.0)
    patch.chain(drop, patch.object("prepend image", 470, 104), script)
    patch.note("drop a picture or a video", 676, 60)
    for text, x in rows:
        patch.chain(patch.message(text, x, 140), script)
    kinds = patch.object("route clip progress done fail status", 20, 250, 520)
    patch.chain(script, kinds)
    for index, (name, note) in enumerate(
        (
            ("clip", "path, clip id, seconds, take, seed"),
            ("progress", "0 to 1, stage"),
            ("done", "number of clips"),
            ("fail", "code, sentence"),
            ("status", "what /status.reply says"),
        )
    ):
        printer = patch.object(f"print {name}", 20 + 102 * index, 300 + 30 * (index % 2))
        patch.join(kinds, index, printer)
        patch.note(f"{name}: {note}", 20, 380 + 20 * index)
    return patch
