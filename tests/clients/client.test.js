// clipsonic-client.js: what it sends to the daemon, and what it shows of what comes back.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { load } = require("./max_runtime.js");

const [DAEMON, EAR, FACE, PATCH] = [0, 1, 2, 3];
const SCRIPT = "max/clipsonic-client.js";

// A script that listens and that the daemon has answered.
function start(...scriptArguments) {
    const script = load(SCRIPT, { scriptArguments });
    script.receive(0, "bang");
    const port = script.take().find(([outlet]) => outlet === EAR)[2];
    script.receive(1, "/done", "/notify", 0, 64);
    assert.deepEqual(script.take(), [[FACE, "status", "ready"]]);
    return { ...script, port };
}

function messages(sent, outlet, kind) {
    return sent.filter((one) => one[0] === outlet && (kind === undefined || one[1] === kind)).map((one) => one.slice(2));
}

function generate(script, prompt = "sea waves") {
    script.receive(0, "generate", prompt);
    const sent = script.take().find(([outlet, address]) => outlet === DAEMON && address === "/generate");
    return sent[sent.indexOf("@id") + 1];
}

function clip(script, job, path, take = 1) {
    script.receive(1, "/clip", job, `c${take}`, path, 5, take, 42);
}

test("it listens on a port of its own and tells the daemon", () => {
    const script = load(SCRIPT);
    script.receive(0, "bang");
    const [first, second, third] = script.take();
    assert.equal(first[0], EAR);
    assert.equal(first[1], "port");
    assert.ok(first[2] >= 20000 && first[2] < 45000);
    assert.deepEqual(second, [DAEMON, "/notify", 1, first[2]]);
    assert.deepEqual(third, [DAEMON, "/bank/list"]);
});

test("another port of the daemon is an argument; what a bpatcher puts for a missing one is none", () => {
    assert.deepEqual(messages(load_and_bang("9470"), DAEMON, "port"), [[9470]]);
    for (const nothing of [[], ["0"], ["#1"]]) {
        assert.deepEqual(messages(load_and_bang(...nothing), DAEMON, "port"), []);
    }
    function load_and_bang(...scriptArguments) {
        const script = load(SCRIPT, { scriptArguments });
        script.receive(0, "bang");
        return script.take();
    }
});

test("a silent daemon is told, another port is tried, and the daemon is found when it comes", () => {
    const script = load(SCRIPT);
    script.receive(0, "bang");
    script.take();
    script.tasks[0].work();
    const sent = script.take();
    assert.deepEqual(messages(sent, FACE, "status"), [["no daemon answers on port 9460: run clipsonic serve"]]);
    assert.equal(messages(sent, EAR, "port").length, 1);
    script.receive(1, "/done", "/notify", 0, 64);
    assert.deepEqual(messages(script.take(), FACE, "status"), [["ready"]]);
    script.tasks[0].work();
    assert.deepEqual(script.take().map((one) => one[1]), ["/notify"]);
});

test("one loadbang, one clock", () => {
    const script = start();
    script.receive(0, "bang");
    assert.equal(script.tasks.length, 1);
    assert.equal(script.tasks[0].interval, 4000);
    assert.equal(script.tasks[0].repeats, true);
});

test("leaving ends the subscription, but not one that may be another patch's", () => {
    const script = start();
    script.receive(0, "leave");
    assert.deepEqual(script.take(), [[DAEMON, "/notify", 0, script.port]]);
    const unheard = load(SCRIPT);
    unheard.receive(0, "bang");
    unheard.take();
    unheard.receive(0, "leave");
    assert.deepEqual(unheard.take(), []);
});

test("a picture is a prompt, with words or without", () => {
    const script = start();
    script.receive(0, "image", "Macintosh HD:/Users/me/my cat.jpg");
    script.receive(0, "image", "C:/cat.jpg", "in", "a cave");
    const id = `max-${script.port}`;
    assert.deepEqual(script.take(), [
        [DAEMON, "/generate", 5, "@image", "Macintosh HD:/Users/me/my cat.jpg", "@id", `${id}-1`],
        [DAEMON, "/generate", "in a cave", 5, "@image", "C:/cat.jpg", "@blend", 0.5, "@id", `${id}-2`],
    ]);
    script.receive(1, "/progress", `${id}-1`, 0.5, "sampling");
    assert.deepEqual(script.take().pop(), [FACE, "status", "my cat: 50 %"]);
});

test("a picture that is dropped takes the words of the field beside it, once", () => {
    const script = start();
    script.receive(0, "blend", 0.25);
    script.receive(0, "dropped", "/Users/me/my cat.jpg");
    assert.deepEqual(script.take(), []);
    script.receive(0, "generate", "in a cave");
    script.receive(0, "generate", "in a cave");
    script.receive(0, "dropped", "/Users/me/my cat.jpg");
    script.receive(0, "generate");
    const id = `max-${script.port}`;
    assert.deepEqual(script.take(), [
        [DAEMON, "/generate", "in a cave", 5, "@image", "/Users/me/my cat.jpg", "@blend", 0.25, "@id", `${id}-1`],
        [DAEMON, "/generate", "in a cave", 5, "@id", `${id}-2`],
        [DAEMON, "/generate", 5, "@image", "/Users/me/my cat.jpg", "@id", `${id}-3`],
    ]);
    script.receive(0, "generate");
    assert.deepEqual(script.take(), [[FACE, "status", "type what you want to hear"]]);
});

test("a prompt may be one symbol or several words", () => {
    const script = start();
    script.receive(0, "generate", "sea", "waves");
    script.receive(0, "seconds", 2.5);
    script.receive(0, "variations", 4);
    script.receive(0, "generate", "  sea   waves ");
    const id = `max-${script.port}`;
    assert.deepEqual(script.take(), [
        [DAEMON, "/generate", "sea waves", 5, "@id", `${id}-1`],
        [DAEMON, "/generate", "sea waves", 2.5, "@variations", 4, "@id", `${id}-2`],
    ]);
    script.receive(0, "generate", " ");
    assert.deepEqual(script.take(), [[FACE, "status", "type what you want to hear"]]);
});

test("bars win over seconds, and go with the clip into Live", () => {
    const script = start();
    script.receive(0, "span", 8, 4);
    script.receive(0, "generate", "drums");
    const [sent] = script.take();
    assert.deepEqual(sent.slice(0, 7), [DAEMON, "/generate", "drums", "@bars", 2, "@bpm", 120]);
    script.receive(0, "span", 0, 0);
    clip(script, sent[sent.length - 1], "/clips/drums_4s_s1_t1.wav");
    script.take();
    script.receive(0, "insert", "slot");
    assert.deepEqual(script.take(), [[PATCH, "slot", "/clips/drums_4s_s1_t1.wav", "drums_4s_s1_t1", 8, 5]]);
});

test("a job is followed from the queue to its last take", () => {
    const script = start();
    const job = generate(script);
    script.receive(1, "/queued", job, "/generate", 2);
    script.receive(1, "/progress", job, 0.25, "sampling");
    clip(script, job, "/clips/a.wav", 1);
    clip(script, job, "/clips/b.wav", 2);
    script.receive(1, "/done", "/generate", job, 2);
    const sent = script.take();
    assert.deepEqual(messages(sent, FACE, "progress"), [[0], [0.25], [1]]);
    assert.deepEqual(messages(sent, FACE, "status"), [["sea waves: 2 before it"], ["sea waves: 25 %"], ["a"], ["b"]]);
    assert.deepEqual(messages(sent, FACE, "takes"), [["clear"], ["append", "a"], ["set", 0], ["append", "b"], ["set", 1]]);
    assert.deepEqual(messages(sent, PATCH, "clip"), [["/clips/a.wav"], ["/clips/b.wav"]]);
});

test("an earlier take can be chosen again", () => {
    const script = start();
    const job = generate(script);
    clip(script, job, "/clips/a.wav", 1);
    clip(script, job, "/clips/b.wav", 2);
    script.take();
    script.receive(0, "take", 0);
    assert.deepEqual(messages(script.take(), PATCH, "clip"), [["/clips/a.wav"]]);
    script.receive(0, "take", 9);
    assert.deepEqual(script.take(), []);
});

test("the menu keeps the last sixty-four takes", () => {
    const script = start();
    for (let take = 1; take <= 65; take++) {
        clip(script, "panel-1", `/clips/t${take}.wav`, take);
    }
    const sent = messages(script.take(), FACE, "takes");
    assert.deepEqual(sent[sent.length - 1], ["set", 63]);
    assert.deepEqual(sent[sent.length - 65], ["append", "t2"]);
});

test("paths of Windows lose their backslashes", () => {
    const script = start();
    clip(script, generate(script), "C:\\Users\\ann\\Clipsonic\\sea waves.WAV");
    assert.deepEqual(messages(script.take(), PATCH, "clip"), [["C:/Users/ann/Clipsonic/sea waves.WAV"]]);
    script.receive(0, "insert", "arrangement");
    assert.equal(script.take()[0][3], "sea waves");
});

test("jobs of other patches are not shown; those of the panel and of tablets are", () => {
    const script = start();
    for (const address of ["/queued", "/progress"]) {
        script.receive(1, address, "max-1-1", 0.5, "sampling");
    }
    clip(script, "max-1-1", "/clips/theirs.wav");
    script.receive(1, "/fail", "/generate", "cancelled", "cancelled", "max-1-1");
    assert.deepEqual(script.take(), []);
    clip(script, "panel-1", "/clips/ours.wav");
    assert.equal(messages(script.take(), PATCH, "clip").length, 1);
});

test("stop cancels the jobs of this patch only", () => {
    const script = start();
    script.receive(0, "stop");
    assert.deepEqual(script.take(), [[FACE, "status", "nothing to stop"]]);
    const [first, second] = [generate(script), generate(script)];
    generate(script, "refused by the daemon, so never queued");
    for (const id of [first, second, "panel-1"]) {
        script.receive(1, "/queued", id, "/generate", 0);
    }
    script.receive(1, "/done", "/generate", first, 1);
    script.take();
    script.receive(0, "stop");
    assert.deepEqual(script.take(), [[DAEMON, "/cancel", second]]);
    script.receive(1, "/done", "/cancel", second);
    assert.deepEqual(script.take(), []);
    script.receive(1, "/fail", "/generate", "cancelled", "the job was cancelled", second);
    assert.deepEqual(messages(script.take(), FACE, "status"), [["stopped"]]);
});

test("a failure is told in the daemon's words", () => {
    const script = start();
    script.receive(1, "/fail", "/generate", "bad_argument", "seconds: got 99, expected 0.5 to 30", generate(script));
    const sent = script.take();
    assert.deepEqual(messages(sent, FACE, "status"), [["seconds: got 99, expected 0.5 to 30"]]);
    assert.deepEqual(messages(sent, FACE, "progress"), [[0]]);
});

test("nothing to insert before the first clip", () => {
    const script = start();
    script.receive(0, "insert", "slot");
    assert.deepEqual(script.take(), [[FACE, "status", "make a clip first"]]);
});

test("a daemon without prompt banks is no error, and the menu's own words load nothing", () => {
    const script = start();
    script.receive(1, "/fail", "/bank/list", "unknown_address", "address: got '/bank/list'", "");
    script.receive(0, "bank", "prompt banks");
    assert.deepEqual(messages(script.take(), FACE, "status"), []);
});

test("banks fill the menu once, and load by name", () => {
    const script = start();
    for (const name of ["Field", "Dub techno", "Field"]) {
        script.receive(1, "/bank", name);
    }
    assert.deepEqual(messages(script.take(), FACE, "banks"), [["clear"], ["append", "Field"], ["append", "Dub techno"]]);
    script.receive(0, "bank", "Dub techno");
    const sent = script.take();
    assert.deepEqual(sent[sent.length - 1], [DAEMON, "/bank/load", "Dub techno"]);
});

for (const first of [0, 1]) {
    test(`pads take names and colours from slots that count from ${first}`, () => {
        const script = start();
        script.receive(1, "/bank.slot", first, "Sea waves", "#ff8000");
        script.receive(1, "/bank.slot", first + 15, "Thunder", "red");
        const pads = messages(script.take(), FACE, "pad");
        const last = (pad, kind) => pads.filter((one) => one[0] === pad && one[1] === kind).pop();
        assert.deepEqual(last(1, "text"), [1, "text", "Sea waves"]);
        assert.deepEqual(last(2, "text"), [2, "text", "2"]);
        assert.deepEqual(last(16, "text"), [16, "text", "Thunder"]);
        assert.deepEqual(last(1, "activebgcolor"), [1, "activebgcolor", 1, 128 / 255, 0, 1]);
        assert.equal(last(16, "activebgcolor"), undefined);
        script.receive(0, "fire", 16);
        assert.deepEqual(script.take(), [[DAEMON, "/bank/fire", first + 15]]);
    });
}

test("another bank takes the colours away again", () => {
    const script = start();
    script.receive(1, "/bank", "Other");
    script.receive(1, "/bank.slot", 1, "Sea waves", "#ff8000");
    script.take();
    script.receive(0, "bank", "Other");
    const pads = messages(script.take(), FACE, "pad");
    assert.deepEqual(pads.filter((one) => one[1] === "activebgcolor"), [[1, "activebgcolor", 0.35, 0.35, 0.35, 1]]);
});

test("the job of a pad is this patch's own, and can be stopped", () => {
    const script = start();
    script.receive(1, "/bank.slot", 1, "Sea waves", "");
    script.receive(0, "fire", 1);
    script.take();
    script.receive(1, "/queued", "j17", "/bank/fire", 0);
    assert.deepEqual(messages(script.take(), FACE, "status"), [["Sea waves"]]);
    script.receive(0, "stop");
    assert.deepEqual(script.take(), [[DAEMON, "/cancel", "j17"]]);
});

test("the job of a pad ends when it sounds, and a clip that was there is a take", () => {
    const script = start();
    script.receive(1, "/bank.slot", 1, "Sea waves", "");
    script.receive(0, "fire", 1);
    script.receive(1, "/queued", "j17", "/bank/fire", 0);
    script.receive(1, "/clip", "j17", "c1", "/music/sea.wav", 2, 1, 9);
    script.take();
    script.receive(1, "/done", "/bank/fire", 1, "c1", "/music/sea.wav", "j17");
    assert.deepEqual(messages(script.take(), FACE, "progress"), [[1]]);
    script.receive(0, "fire", 1);
    script.receive(1, "/done", "/bank/fire", 1, "c1", "/music/sea.wav", "");
    assert.deepEqual(messages(script.take(), FACE, "takes"), [["append", "sea"], ["set", 1]]);
});

test("the pads of a bank that is loaded already are asked for once", () => {
    const script = start();
    script.receive(1, "/done", "/bank/list", 20);
    assert.deepEqual(script.take(), [[DAEMON, "/bank/load"]]);
    script.receive(1, "/bank.slot", 0, "Sea waves", "");
    script.take();
    script.receive(1, "/done", "/bank/list", 20);
    assert.deepEqual(script.take(), []);
});

test("any OSC of the daemon goes through, and other words are named in the console", () => {
    const script = start();
    script.receive(0, "/cancel", "all");
    assert.deepEqual(script.take(), [[DAEMON, "/cancel", "all"]]);
    script.receive(0, "genrate", "x");
    assert.match(script.posted[0], /genrate is no message/);
    script.receive(1, "/someone/elses", 1);
    script.receive(1, "hasOwnProperty");
    assert.deepEqual(script.take(), []);
});
