// Puts clips into the Live set: into the chosen slot or at the playhead, never over another clip, in one undo step.
//
// Written for [js], which every Live with Max for Live has; [v8] came with Live 12.2.
//
// Inlet 0: bars NUMBER, measure, slot PATH NAME BEATS SECONDS, arrangement PATH NAME BEATS SECONDS
// Outlet 0: status TEXT       outlet 1: span BEATS SECONDS

inlets = 1;
outlets = 2;

var SAY = 0;
var SPAN = 1;
var nBars = 0;

// 0 bars: clips are as long as the device's seconds say, and play as they are.
function bars(number) {
    nBars = number;
}

// Tells how long the bars last at the song's tempo; asked before every clip, because tempo changes.
function measure() {
    var song = new LiveAPI("live_set");
    var beats = (nBars * value(song, "signature_numerator") * 4) / value(song, "signature_denominator");
    outlet(SPAN, "span", beats, (beats * 60) / value(song, "tempo"));
}

// Into the slot that is highlighted in Session View; when it holds a clip, into the next empty one below.
function slot(path, name, beats) {
    if (!canTakeClips(name)) {
        return;
    }
    var highlighted = new LiveAPI("live_set view highlighted_clip_slot");
    var place = /tracks (\d+) clip_slots (\d+)/.exec(highlighted.path);
    if (isNothing(highlighted) || place === null) {
        say("choose a clip slot on an audio track");
        return;
    }
    var track = new LiveAPI("live_set tracks " + place[1]);
    if (!isAudio(track)) {
        return;
    }
    var scene = emptyScene(track, Number(place[1]), Number(place[2]));
    if (scene < 0) {
        say("no empty slot below on " + nameOf(track) + ": add a scene");
        return;
    }
    var slotPath = "live_set tracks " + place[1] + " clip_slots " + scene;
    var target = new LiveAPI(slotPath);
    var made = inOneUndoStep(function () {
        var there = create(target, path, null, function () {
            return value(target, "has_clip");
        });
        if (there) {
            dress(new LiveAPI(slotPath + " clip"), name, beats);
        }
        return there;
    });
    say(made ? name + ": " + nameOf(track) + ", scene " + (scene + 1) : refused(path));
}

// At the playhead of the selected track in the Arrangement.
function arrangement(path, name, beats, seconds) {
    if (!canTakeClips(name)) {
        return;
    }
    var track = new LiveAPI("live_set view selected_track");
    if (isNothing(track)) {
        say("choose an audio track");
        return;
    }
    if (!isAudio(track)) {
        return;
    }
    var song = new LiveAPI("live_set");
    var start = value(song, "current_song_time");
    var end = start + (beats > 0 ? beats : (seconds * value(song, "tempo")) / 60);
    if (clipBetween(track, start, end) !== null) {
        say("a clip is there already on " + nameOf(track) + ": move the playhead");
        return;
    }
    var made = inOneUndoStep(function () {
        var there = create(track, path, start, function () {
            return clipBetween(track, start, end) !== null;
        });
        if (there) {
            dress(clipBetween(track, start, end), name, beats);
        }
        return there;
    });
    say(made ? name + ": " + nameOf(track) + ", beat " + (Math.round(start * 100) / 100 + 1) : refused(path));
}

// ---- Live ----------------------------------------------------------------------------------------------------------

// `create_audio_clip` came with Live 11.3.25 and 12.0.5.
function canTakeClips(name) {
    var app = new LiveAPI("live_app");
    var version = ["get_major_version", "get_minor_version", "get_bugfix_version"].map(function (part) {
        return Number(app.call(part));
    });
    if (atLeast(version, [12, 0, 5]) || (version[0] === 11 && atLeast(version, [11, 3, 25]))) {
        return true;
    }
    say("Live " + version.join(".") + " takes no clips from a device (12.0.5 does): drag " + name + " from the browser");
    return false;
}
canTakeClips.local = 1;

function atLeast(version, wanted) {
    for (var i = 0; i < wanted.length; i++) {
        if (version[i] !== wanted[i]) {
            return version[i] > wanted[i];
        }
    }
    return true;
}
atLeast.local = 1;

function isAudio(track) {
    if (value(track, "is_foldable")) {
        say(nameOf(track) + " is a group: choose an audio track");
    } else if (!value(track, "has_audio_input")) {
        say(nameOf(track) + " is no audio track: choose one");
    } else if (value(track, "is_frozen")) {
        say(nameOf(track) + " is frozen: unfreeze it, or choose another");
    } else {
        return true;
    }
    return false;
}
isAudio.local = 1;

// Index of the first empty slot from `scene` downwards, or -1.
function emptyScene(track, trackIndex, scene) {
    var count = track.getcount("clip_slots");
    for (var i = scene; i < count; i++) {
        if (!value(new LiveAPI("live_set tracks " + trackIndex + " clip_slots " + i), "has_clip")) {
            return i;
        }
    }
    return -1;
}
emptyScene.local = 1;

// The first clip of the Arrangement that sounds between two beats, or null.
function clipBetween(track, start, end) {
    var ids = track.get("arrangement_clips") || [];
    for (var i = 1; i < ids.length; i += 2) {
        var clip = new LiveAPI("id " + ids[i]);
        if (value(clip, "start_time") < end - 0.001 && value(clip, "end_time") > start + 0.001) {
            return clip;
        }
    }
    return null;
}
clipBetween.local = 1;

// Live prints what it refuses, and raises nothing: only a look at the set tells. Some versions of Max split a path at
// its spaces unless it has quotes, so the second try has them. A slot has no start: null.
function create(target, path, start, isThere) {
    var forms = [path, '"' + path + '"'];
    for (var i = 0; i < forms.length; i++) {
        try {
            if (start === null) {
                target.call("create_audio_clip", forms[i]);
            } else {
                target.call("create_audio_clip", forms[i], start);
            }
        } catch (error) {
            post("clipsonic: " + error + "\n");
        }
        if (isThere()) {
            return true;
        }
    }
    return false;
}
create.local = 1;

// A clip of whole bars follows the song and loops; any other plays as it is.
function dress(clip, name, beats) {
    clip.set("name", name);
    if (!(beats > 0)) {
        clip.set("warping", 0);
        return;
    }
    clip.set("warping", 1);
    clip.set("looping", 1);
    clip.set("loop_start", 0);
    clip.set("loop_end", beats);
}
dress.local = 1;

function inOneUndoStep(work) {
    var song = new LiveAPI("live_set");
    song.call("begin_undo_step");
    try {
        return work();
    } finally {
        song.call("end_undo_step");
    }
}
inOneUndoStep.local = 1;

// ---- small words ---------------------------------------------------------------------------------------------------

function value(api, property) {
    var found = api.get(property);
    return Number(found instanceof Array ? found[0] : found);
}
value.local = 1;

function nameOf(track) {
    var found = track.get("name");
    return found instanceof Array ? found.join(" ") : String(found);
}
nameOf.local = 1;

function isNothing(api) {
    return Number(api.id) === 0;
}
isNothing.local = 1;

function refused(path) {
    return "Live did not take " + path + ": is the file there, and is the track not recording?";
}
refused.local = 1;

function say(text) {
    outlet(SAY, "status", text);
}
say.local = 1;
