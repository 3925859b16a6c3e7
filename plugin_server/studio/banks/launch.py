"""How a pad starts and stops its slot: the launch mode, and the beat or bar that it waits for."""

from plugin_server.audio.playback.link import BEATS
from plugin_server.errors import BadArgument, short_repr

GATE, TOGGLE, ONE_SHOT = MODES = ("gate", "toggle", "one-shot")
"""A gate sounds while its pad is held; a toggle until the pad is hit again; a one-shot whatever becomes of its pad."""
NOW = "now"
TIMES = (NOW, *BEATS)
"""When a slot that is fired starts."""
ANY_SLOT = "slot:"
"""The tag of all that slots let sound."""


def read_mode(value: object) -> str:
    """Return the launch mode that a text means, in any case, 'one shot' and 'one_shot' too. Raises BadArgument."""
    text = "-".join(value.casefold().replace("_", " ").replace("-", " ").split()) if isinstance(value, str) else ""
    return _one_of("mode", value, {"oneshot": ONE_SHOT}.get(text, text), MODES)


def read_time(value: object) -> str:
    """Return when a slot is to start by a text in any case. Raises BadArgument."""
    return _one_of("at", value, value.strip().casefold() if isinstance(value, str) else "", TIMES)


def usual_mode(*, is_loop: bool) -> str:
    """Return the mode of a slot that names none: a loop has to end somehow, and what is no loop ends by itself."""
    return TOGGLE if is_loop else ONE_SHOT


def slot_tag(bank: str, number: int) -> str:
    """Return what names the sound of a slot, which is neither a path nor the id of a clip."""
    return f"{ANY_SLOT}{bank}/{number}"


def _one_of(name: str, value: object, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise BadArgument(f"{name}: got {short_repr(value)}, expected one of {', '.join(choices)}")
    return text
