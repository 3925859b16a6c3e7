// clipsonic-insert.js: clips into slots and into the Arrangement of a fake Live.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { FakeLive, audioTrack } = require("./fake_live.js");
const { load } = require("./max_runtime.js");

const PATH = "/Users/ann/Music/Ableton/User Library/Samples/Clipsonic/sea-waves_4s_s7_t1.wav";
const NAME = "sea-waves_4s_s7_t1";
const BEATS = 8;

function insert(live, where, beats = 0, seconds = 4) {
    const script = load("max-for-live/clipsonic-insert.js", { LiveAPI: live.LiveAPI });
    script.receive(0, where, PATH, NAME, beats, seconds);
    assert.equal(live.depth, 0, "an undo step was left open");
    assert.equal(script.sent.length, 1, "one thing is said");
    const [outlet, kind, said] = script.sent[0];
    assert.deepEqual([outlet, kind], [0, "status"]);
    return said;
}

test("an empty slot gets the clip, in one undo step", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 3)], highlighted: [0, 1] });
    assert.equal(insert(live, "slot"), `${NAME}: Drums, scene 2`);
    assert.equal(live.tracks[0].slots[1].file, PATH);
    assert.deepEqual(live.undoSteps, [[`create ${PATH}`, `set name ${NAME}`, "set warping 0"]]);
});

test("a clip of whole bars is warped and loops over them", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 1)], highlighted: [0, 0] });
    insert(live, "slot", BEATS);
    const { warping, looping, loop_start, loop_end } = live.tracks[0].slots[0];
    assert.deepEqual({ warping, looping, loop_start, loop_end }, { warping: 1, looping: 1, loop_start: 0, loop_end: BEATS });
    assert.equal(live.undoSteps.length, 1);
});

test("an occupied slot keeps its clip; the next empty one below is used", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 4)], highlighted: [0, 1] });
    const mine = (live.tracks[0].slots[1] = { file: "mine.wav" });
    live.tracks[0].slots[2] = { file: "mine too.wav" };
    assert.equal(insert(live, "slot"), `${NAME}: Drums, scene 4`);
    assert.equal(live.tracks[0].slots[1], mine);
});

test("with no empty slot below nothing is touched", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 2)], highlighted: [0, 1] });
    live.tracks[0].slots[1] = { file: "mine.wav" };
    assert.equal(insert(live, "slot"), "no empty slot below on Drums: add a scene");
    assert.deepEqual(live.undoSteps, []);
});

for (const [what, more, sentence] of [
    ["a MIDI track", { has_audio_input: 0 }, "Bass is no audio track: choose one"],
    ["a group", { is_foldable: 1 }, "Bass is a group: choose an audio track"],
    ["a frozen track", { is_frozen: 1 }, "Bass is frozen: unfreeze it, or choose another"],
]) {
    test(`${what} is refused with a sentence`, () => {
        const tracks = [audioTrack("Bass", 2, more)];
        for (const where of ["slot", "arrangement"]) {
            const live = new FakeLive({ tracks, highlighted: [0, 0], selected: 0 });
            assert.equal(insert(live, where), sentence);
            assert.deepEqual(live.undoSteps, []);
        }
    });
}

test("no slot and no track", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 1)] });
    assert.equal(insert(live, "slot"), "choose a clip slot on an audio track");
    assert.equal(insert(live, "arrangement"), "choose an audio track");
});

test("versions that have create_audio_clip, and those that have not", () => {
    for (const [version, able] of [
        [[12, 0, 5], true],
        [[12, 0, 0], false],
        [[12, 2, 0], true],
        [[13, 0, 0], true],
        [[11, 3, 25], true],
        [[11, 3, 21], false],
        [[11, 2, 30], false],
        [[10, 1, 40], false],
    ]) {
        const live = new FakeLive({ version, tracks: [audioTrack("Drums", 1)], highlighted: [0, 0], selected: 0 });
        for (const where of ["slot", "arrangement"]) {
            const said = insert(live, where);
            assert.equal(said.startsWith(`Live ${version.join(".")} takes no clips`), !able, said);
            assert.equal(said.includes(NAME), true);
        }
        assert.equal(live.undoSteps.length, able ? 2 : 0);
    }
});

test("the Arrangement gets the clip at the playhead, in one undo step", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 1)], selected: 0, song: { current_song_time: 16 } });
    assert.equal(insert(live, "arrangement", BEATS), `${NAME}: Drums, beat 17`);
    const [clip] = live.tracks[0].clips;
    assert.deepEqual([clip.file, clip.start_time, clip.name, clip.looping], [PATH, 16, NAME, 1]);
    assert.equal(live.undoSteps.length, 1);
});

test("a clip that is there already in the Arrangement is not cut", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 1)], selected: 0, song: { current_song_time: 14 } });
    live.tracks[0].clips.push({ id: 7, file: "mine.wav", start_time: 16, end_time: 20 });
    assert.equal(insert(live, "arrangement", 0, 4), "a clip is there already on Drums: move the playhead");
    assert.deepEqual(live.undoSteps, []);
    assert.equal(insert(live, "arrangement", 0, 1), `${NAME}: Drums, beat 15`);
});

test("a path that Max splits at its spaces goes again in quotes", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 1)], highlighted: [0, 0], selected: 0 });
    live.splitsPaths = true;
    assert.equal(insert(live, "slot"), `${NAME}: Drums, scene 1`);
    assert.equal(insert(live, "arrangement"), `${NAME}: Drums, beat 1`);
    assert.equal(live.tracks[0].slots[0].file, PATH);
});

test("what Live refuses is told, although Live itself is silent", () => {
    const live = new FakeLive({ tracks: [audioTrack("Drums", 1)], highlighted: [0, 0], selected: 0 });
    live.missingFiles.add(PATH);
    for (const where of ["slot", "arrangement"]) {
        assert.match(insert(live, where), /^Live did not take .*is the file there/);
    }
    assert.equal(live.tracks[0].slots[0], null);
});

test("bars are measured at the song's tempo and signature", () => {
    const live = new FakeLive({ song: { tempo: 90, signature_numerator: 6, signature_denominator: 8 } });
    const script = load("max-for-live/clipsonic-insert.js", { LiveAPI: live.LiveAPI });
    script.receive(0, "measure");
    script.receive(0, "bars", 2);
    script.receive(0, "measure");
    assert.deepEqual(script.take(), [
        [1, "span", 0, 0],
        [1, "span", 6, 4],
    ]);
});
