"""The address table: every address that is answered, with its arguments, and what every reply carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Range:
    """What an argument may be: from `low` to `high`, or one of `values`. None and () say nothing."""

    low: float | None = None
    high: float | None = None
    values: tuple[str | int | float, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As OSCQuery writes it."""
        said = {"MIN": self.low, "MAX": self.high, "VALS": list(self.values) or None}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Row:
    """One address that is answered."""

    address: str
    arguments: str
    """As README shows them; square brackets mean optional."""
    replies: str
    help: str
    types: str = ""
    """OSC type tags of the positional arguments, where they are not plain text or a choice of whole numbers."""
    ranges: Mapping[str, "Range | str"] = field(default_factory=dict)
    """By argument; a string names a range that only the running daemon knows: 'lengths' or 'models'."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one address that is sent carries."""

    arguments: str
    types: str
    """OSC type tags."""


TABLE = (
    Row(
        "/generate",
        "prompt [seconds] [@image @blend @frames @via @bars @bpm @key @negative @seed @steps @guidance @loop @stereo "
        "@variations @format @name @model @id]",
        "/queued /progress /clip /done",
        "make a clip, or several takes, from words, from pictures (@image, absolute paths on this machine) or from "
        "both; a number after the words is its length in seconds, unless they are not quoted and no clip can be that "
        "long, as in: kick 808",
        types="sf",
        ranges={"seconds": "lengths"},
    ),
    Row("/cancel", "[job | all]", "/done", "stop one job, the running one, or all"),
    Row("/status", "", "/status.reply", "what the daemon is doing"),
    Row("/version", "", "/version.reply", "name and version"),
    Row("/sync", "[id]", "/synced", "answered when every job asked for before has ended", types="i"),
    Row(
        "/notify",
        "0 | 1 [port]",
        "/done",
        "hear of every job, here or on another port",
        types="ii",
        ranges={"port": Range(1, 65535)},
    ),
    Row("/network", "", "/network.reply", "where and by whom the daemon can be found, and how many it refused"),
    Row("/help", "[address]", "/help.reply /done", "this table"),
    Row(
        "/play",
        "[clip | last] [@gain @pan @rate @attack @release @loop @at @choke]",
        "/done",
        "sound a clip: its id, its path in the clip folder, or the last one; @at beat or bar waits for /tempo",
    ),
    Row("/stop", "[clip | all]", "/done", "fade a clip out, or all"),
    Row(
        "/meter",
        "0 | 1 [port]",
        "/levels /done",
        "levels of the live output twenty times a second, here or on another port",
        types="ii",
        ranges={"port": Range(1, 65535)},
    ),
    Row("/volume", "0..1", "/done", "master volume", types="f", ranges={"0..1": Range(0.0, 1.0)}),
    Row("/tempo", "[bpm]", "/done", "beats a minute of @at", types="f", ranges={"bpm": Range(20.0, 999.0)}),
    Row("/link", "[0 | 1]", "/done", "take part in Ableton Link's session, whose tempo and beat then count", types="i"),
    Row("/bank/list", "", "/bank /done", "prompt banks"),
    Row(
        "/bank/load", "[name]", "/bank.slot /done", "put a bank under the pads; without a name, tell of the loaded one"
    ),
    Row("/bank/next", "", "/bank.slot /done", "the next bank of the list"),
    Row("/bank/previous", "", "/bank.slot /done", "the one before"),
    Row(
        "/bank/render",
        "[slot]",
        "/queued /progress /clip /bank.slot /done",
        "make the clips that the bank lacks, or that of one slot; others are served between two slots",
    ),
    Row(
        "/bank/fire",
        "slot [velocity]",
        "/queued /progress /clip /bank.slot /done",
        "sound a slot, by its number from 0 or its name, at once when its clip is made, else as soon as it is",
        types="sf",
        ranges={"velocity": Range(0, 127)},
    ),
    Row(
        "/bank/set",
        "slot prompt [seconds] [@image @blend @frames @via @bars @bpm @key @negative @seed @steps @guidance @loop "
        "@stereo @format @name @model]",
        "/bank.slot /done",
        "give a slot another prompt, or add one at the end",
        types="isf",
        ranges={"seconds": "lengths", "slot": Range(0, 127)},
    ),
    Row("/bank/save", "[name]", "/done", "keep the bank as it is now, among your own"),
    Row("/device/list", "", "/device /done", "sound outputs"),
    Row("/device/set", "name", "/done", "play on this output"),
    Row("/model/list", "", "/model /done", "installed models"),
    Row(
        "/model/load",
        "name",
        "/queued /progress /done",
        "have a model ready before it is asked for a clip",
        ranges={"name": "models"},
    ),
    Row("/model/unload", "name", "/queued /done", "give the memory of a model back", ranges={"name": "models"}),
    Row(
        "/clip/list",
        "[how many] [from]",
        "/clip.list /clip.info /done",
        "the newest clips, 20 of them; from 0 on",
        types="ii",
    ),
    Row(
        "/clip/search",
        "words [@count @from]",
        "/clip.list /clip.info /done",
        "clips with all these words, or their beginnings, in prompt, tags or name; starred is such a word",
    ),
    Row("/clip/info", "clip", "/clip.info /done", "one clip: its id, its file's name or path, or last"),
    Row("/clip/star", "clip [0 | 1]", "/clip.info /done", "give a clip a star, or take it away"),
    Row("/clip/tag", "clip words", "/clip.info /done", "add words to a clip's tags; -word takes one away"),
    Row("/clip/delete", "clip", "/clip.info /done", "put a clip's file into the system's trash"),
    Row("/clip/undo", "", "/clip.info /done", "one step back: a request's takes, a deletion, a star, a tag"),
    Row("/clip/redo", "", "/clip.info /done", "the step that was undone last, again"),
    Row(
        "/clip/again", "clip [seed]", "/queued /progress /clip /done", "the same request with another seed", types="si"
    ),
    Row("/clip/scan", "", "/done", "compare the library with the sample folder now"),
)
ADDRESSES = {row.address: row for row in TABLE}
REPLIES = {
    "/queued": Reply("job, address, jobs before it", "ssi"),
    "/progress": Reply("job, 0 to 1, stage", "sfs"),
    "/clip": Reply("job, clip id, absolute path, seconds, take, seed", "sssfii"),
    "/fail": Reply("address, code, sentence, job", "ssss"),
    "/status.reply": Reply("1, running, queued, clips, models, loads, sample rates, engine and more", "iiiiiffffssssf"),
    "/version.reply": Reply("name, major, minor, patch", "siisss"),
    "/network.reply": Reply("HTTP port, HTTP, zeroconf, 1 with --lan, hosts refused, packets refused", "issiii"),
    "/synced": Reply("id", "i"),
    "/clip.list": Reply("how many follow, how many there are, from where", "iii"),
    "/clip.info": Reply("id, path, seconds, star, state, seed, take, model, when, prompt, tags", "ssfisiissss"),
    "/bank": Reply("name, description, slots, 1 when loaded, 1 when changed and not saved", "ssiii"),
    "/bank.slot": Reply("slot, name, colour, prompt, note, choke, seconds, clip id, path", "isssisfss"),
    "/levels": Reply("peak left and right, RMS left and right, 1 at full scale; voices, underruns", "ffffii"),
    "/device": Reply("name, channels, sample rate, 1 when in use", "siii"),
    "/help.reply": Reply("address, arguments, help", "sss"),
    "/model": Reply("name, family, verb, version, embedding, 1 when loaded", "sssssi"),
}
"""Replies whose arguments always have the same types; `/done` has its address's own."""
