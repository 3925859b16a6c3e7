"""Colours, and boxes that look alike in every patch of ours."""

from presets.build.max.patcher import Box, Patch, Rect, Value

INK = [0.90, 0.92, 0.94, 1.0]
QUIET = [0.62, 0.66, 0.70, 1.0]
GROUND = [0.13, 0.15, 0.18, 1.0]
FIELD = [0.20, 0.23, 0.27, 1.0]
ACCENT = [0.95, 0.61, 0.25, 1.0]
LOUD = {"activebgcolor": ACCENT, "activetextcolor": GROUND}
"""Looks of the button that matters."""


def theme(**colours: str) -> dict[str, dict[str, str]]:
    """Attributes that follow the colours of Live's theme: `theme(textcolor="live_control_fg")`."""
    return {name: {"expression": f"themecolor.{colour}"} for name, colour in colours.items()}


def script(patch: Patch, text: str, x: float, y: float, width: float = 0.0) -> Box:
    """A [js] as Max saves it: the file is named twice, and by the second name Max finds what a device needs."""
    saved = {"filename": text.split()[0], "parameter_enable": 0}
    return patch.object(f"js {text}", x, y, width, saved_object_attributes=saved)


def ground(patch: Patch, at: Rect, face: Rect) -> Box:
    """A dark panel behind the rest."""
    return patch.box("panel", at, face, bgcolor=GROUND, background=1, mode=0, rounded=6, ignoreclick=1)


def prompt_box(patch: Patch, at: Rect, face: Rect | None, **attributes: Value) -> Box:
    """A text field whose Enter key and bang both give `text "the whole prompt"`, as one symbol."""
    look: dict[str, Value] = {"bgcolor": FIELD, "textcolor": INK, "fontsize": 13.0, "rounded": 4.0, "border": 0.0}
    hint = "What you want to hear. Enter makes it."
    return patch.box(
        "textedit",
        at,
        face,
        "sea waves",
        annotation=hint,
        keymode=1,
        outputmode=1,
        parameter_enable=0,
        **(look | attributes),
    )


def label(patch: Patch, text: str, at: Rect, face: Rect, **attributes: Value) -> Box:
    """A quiet word beside a control."""
    look: dict[str, Value] = {"textcolor": QUIET, "fontsize": 11.0}
    return patch.box("comment", at, face, text, **(look | attributes))


def number(patch: Patch, maxclass: str, at: Rect, face: Rect, minimum: float, maximum: float) -> Box:
    """A number box of plain Max: `number` or `flonum`."""
    return patch.box(maxclass, at, face, minimum=minimum, maximum=maximum, parameter_enable=0)


def drop(patch: Patch, at: Rect, face: Rect, **attributes: Value) -> tuple[Box, Box]:
    """Add a field that files are dropped on, and the [t b s] below it.

    The path goes out at the right, then a bang at the left, for the words that stand beside the picture.
    """
    hint = "Drop a picture or a video here to hear what is seen in it, with the prompt's words where there are any."
    look: dict[str, Value] = {"bgcolor": FIELD} | attributes
    patch.box("panel", (at[0] + at[2], at[1], 22, 22), face, "", mode=0, rounded=4, ignoreclick=1, **look)
    field = patch.box("dropfile", at, face, annotation=hint, border=0.0)
    return field, patch.object("t b s", at[0], at[1] + 36)


def menu(patch: Patch, what: str, at: Rect, face: Rect, hint: str) -> Box:
    """A menu that is filled from outside; until then it shows `what` it will hold."""
    return patch.box("umenu", at, face, annotation=hint, items=[what], parameter_enable=0)


def bar(patch: Patch, at: Rect, face: Rect, **attributes: Value) -> Box:
    """A progress bar from 0 to 1 that cannot be clicked."""
    return patch.box(
        "multislider",
        at,
        face,
        "",
        bgcolor=FIELD,
        slidercolor=ACCENT,
        setminmax=[0.0, 1.0],
        orientation=0,
        setstyle=1,
        size=1,
        ignoreclick=1,
        parameter_enable=0,
        **attributes,
    )
