"""Boxes of Max for Live whose values are parameters: Live keeps, maps and automates them. Plain Max has them too."""

from presets.build.max.patcher import Box, Patch, Rect, Value

SHOWN, STORED, HIDDEN = 0, 1, 2
"""Whether Live maps and automates a parameter, only keeps it with the set, or knows nothing of it."""


def stored(name: str) -> dict[str, Value]:
    """Attributes of a [pattr] whose value Live keeps with the set."""
    return {
        "varname": "prompt_text",
        "saved_object_attributes": {"parameter_enable": 1, "parameter_mappable": 0},
        "saved_attribute_attributes": _valueof(name, STORED, parameter_type=3),
    }


def button(
    patch: Patch, text: str, at: Rect, face: Rect, hint: str, visible: int = SHOWN, name: str | None = None
) -> Box:
    """A button; its first outlet bangs once a click. `name` is what Live calls it."""
    parameter = _valueof(name or text, visible, parameter_type=2, parameter_enum=["off", "on"], parameter_mmax=1)
    return _live(patch, "live.text", at, face, text, mode=0, hint=hint, parameter=parameter)


def switch(patch: Patch, text: str, at: Rect, face: Rect, hint: str) -> Box:
    """A switch; its first outlet gives 0 or 1."""
    parameter = _valueof(text, STORED, parameter_type=2, parameter_enum=["off", "on"], parameter_mmax=1)
    return _live(patch, "live.text", at, face, text, mode=1, hint=hint, parameter=parameter)


def number(patch: Patch, name: str, at: Rect, face: Rect, limits: tuple[int, float, float, float], hint: str) -> Box:
    """A number box; `limits` are 1 for floats or 0 for whole numbers, then minimum, maximum and first value."""
    is_float, minimum, maximum, first = limits
    parameter = _valueof(
        name,
        SHOWN,
        parameter_type=0 if is_float else 1,
        parameter_unitstyle=1 if is_float else 0,
        parameter_mmin=minimum,
        parameter_mmax=maximum,
        parameter_initial=[first],
        parameter_initial_enable=1,
    )
    return _live(patch, "live.numbox", at, face, "", hint=hint, parameter=parameter)


def _live(
    patch: Patch,
    maxclass: str,
    at: Rect,
    face: Rect,
    text: str,
    *,
    hint: str,
    parameter: dict[str, dict[str, Value]],
    **attributes: Value,
) -> Box:
    name = parameter["valueof"]["parameter_longname"]
    if text:
        attributes["texton"] = text
    return patch.box(
        maxclass,
        at,
        face,
        text,
        annotation=hint,
        annotation_name=name,
        parameter_enable=1,
        saved_attribute_attributes=parameter,
        varname=name,
        **attributes,
    )


def _valueof(name: str, visible: int, **more: Value) -> dict[str, dict[str, Value]]:
    value: dict[str, Value] = {"parameter_longname": name, "parameter_shortname": name, "parameter_invisible": visible}
    return {"valueof": dict(sorted((value | more).items()))}
