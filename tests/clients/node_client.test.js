// client.js against a stand-in daemon, for what the real one cannot be made to say.

"use strict";

const assert = require("node:assert/strict");
const dgram = require("node:dgram");
const path = require("node:path");
const { test } = require("node:test");

const FOLDER = path.join(__dirname, "../../presets/clients/node-for-max");
const osc = require(path.join(FOLDER, "osc.js"));
const { Client } = require(path.join(FOLDER, "client.js"));

// A client, and a daemon that answers every message with `answers(message)`, a list of [address, ...values].
async function withDaemon(answers, work, more = {}) {
    const daemon = dgram.createSocket("udp4");
    daemon.on("message", (packet, peer) => {
        for (const answer of answers(osc.decode(packet)[0])) {
            daemon.send(Buffer.isBuffer(answer) ? answer : osc.encode(...answer), peer.port, peer.address);
        }
    });
    await new Promise((resolve) => daemon.bind(0, "127.0.0.1", resolve));
    const client = await new Client({ port: daemon.address().port, answerMs: 200, silenceMs: 200, ...more }).open();
    try {
        await work(client);
    } finally {
        client.close();
        daemon.close();
    }
}

test("a pad's job is the first that is queued, and its clips are the client's", async () => {
    const answers = ({ address, values }) => [
        ["/queued", "j1", address, 0],
        ["/clip", "elsewhere", "c0", "/no.wav", 1, 1, 1],
        ["/clip", "j1", "c1", `/slot${values[0]}.wav`, 2, 1, 9],
        ["/done", address, 4, "c0", "/no.wav", ""],
        ["/done", address, values[0], "c1", `/slot${values[0]}.wav`, "j1"],
    ];
    await withDaemon(answers, async (client) => {
        const clips = await client.fire(3);
        assert.deepEqual(clips, [{ job: "j1", id: "c1", path: "/slot3.wav", seconds: 2, take: 1, seed: 9 }]);
    });
});

test("a pad whose clip is there sounds it", async () => {
    const answers = ({ address, values }) => [["/done", address, values[0], "c1", "/there.wav", ""]];
    await withDaemon(answers, async (client) => {
        assert.deepEqual(await client.fire(3), [{ job: "", id: "c1", path: "/there.wav" }]);
    });
});

test("a daemon without banks refuses a pad", async () => {
    const answers = ({ address }) => [["/fail", address, "unknown_address", "address: got it", ""]];
    await withDaemon(answers, async (client) => {
        await assert.rejects(client.fire(1), { code: "unknown_address", message: "address: got it" });
    });
});

test("failures of other jobs do not end this one, nor does what is no OSC", async () => {
    const answers = ({ address, values }) => [
        ["/fail", address, "cancelled", "stopped", "another"],
        Buffer.from("noise"),
        ["/done", address, values[values.indexOf("@id") + 1], 0],
    ];
    await withDaemon(answers, async (client) => {
        assert.deepEqual(await client.generate(["x"]), []);
    });
});

test("an id of one's own is kept", async () => {
    const answers = ({ address, values }) => [["/done", address, values[2], 0]];
    await withDaemon(answers, (client) => client.generate(["x", "@id", "mine"]));
});

test("silence after a first answer has a limit of its own", async () => {
    const answers = ({ values }) => [["/queued", values[2], "/generate", 0]];
    const work = async (client) => {
        const start = Date.now();
        await assert.rejects(client.generate(["x"]), { code: "no_answer" });
        assert.ok(Date.now() - start >= 500);
        assert.equal(client.listeners.size, 0);
    };
    await withDaemon(answers, work, { silenceMs: 600 });
});
