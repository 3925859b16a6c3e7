// A client of the Clipsonic daemon: send a prompt, follow its events, wait for its clips. Plain Node, no dependencies.

"use strict";

const dgram = require("node:dgram");
const { randomUUID } = require("node:crypto");
const osc = require("./osc.js");

const LOOPBACK = "127.0.0.1";
const ANSWER_MS = 3000; // the daemon answers within milliseconds, also while a model runs
const SILENCE_MS = 120000; // between two events of a job that waits or runs

class ClipsonicError extends Error {
    // `code` is one of the daemon's, or 'no_answer' when it is silent.
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}

class Client {
    constructor({ port = 9460, answerMs = ANSWER_MS, silenceMs = SILENCE_MS } = {}) {
        this.port = port;
        this.answerMs = answerMs;
        this.silenceMs = silenceMs;
        this.listeners = new Set();
    }

    // Replies come to a port of this client's own.
    open() {
        return new Promise((resolve, reject) => {
            this.socket = dgram.createSocket("udp4");
            this.socket.on("message", (packet) => this.hear(packet));
            this.socket.once("error", reject);
            this.socket.bind(0, LOOPBACK, () => resolve(this));
        });
    }

    close() {
        this.socket.close();
    }

    hear(packet) {
        let messages = [];
        try {
            messages = osc.decode(packet);
        } catch {
            return; // somebody else's packet
        }
        for (const message of messages) {
            for (const listener of [...this.listeners]) {
                listener(message);
            }
        }
    }

    send(address, ...values) {
        this.socket.send(osc.encode(address, ...values), this.port, LOOPBACK);
    }

    // Values of the first `reply`. Rejects with ClipsonicError when the daemon fails or is silent.
    ask(address, values, reply) {
        return this.follow(address, values, this.answerMs, (message, settle) => {
            if (message.address === reply) {
                settle.resolve(message.values);
            } else if (message.address === "/fail" && message.values[0] === address) {
                settle.reject(new ClipsonicError(message.values[1], message.values[2]));
            }
        });
    }

    // Makes clips; `words` are those of /generate: prompt, seconds, '@seed', 42. `onEvent` gets every message of the job.
    // Resolves to [{job, id, path, seconds, take, seed}].
    generate(words, onEvent = () => {}) {
        const place = words.indexOf("@id");
        const job = place < 0 ? randomUUID().slice(0, 12) : String(words[place + 1]);
        const values = place < 0 ? [...words, "@id", job] : words;
        return this.jobOf("/generate", values, (id) => id === job, onEvent);
    }

    // Sounds a slot of the prompt bank, whose clip is made where it is not there. The daemon chooses the job's id, and
    // /queued tells it. Resolves to its clip; what lay there has no length, take or seed.
    fire(slot, onEvent = () => {}) {
        let job = null;
        const own = (id, message) => {
            if (job === null && message.address === "/queued") {
                job = id;
            }
            return id === job;
        };
        return this.jobOf("/bank/fire", [slot], own, onEvent);
    }

    jobOf(address, values, own, onEvent) {
        const clips = [];
        return this.follow(address, values, this.answerMs, (message, settle) => {
            const [first, code, sentence, failed] = message.values;
            if (["/queued", "/progress", "/clip"].includes(message.address) && own(first, message)) {
                settle.wait(this.silenceMs);
                onEvent(message);
                if (message.address === "/clip") {
                    const [job, id, path, seconds, take, seed] = message.values;
                    clips.push({ job, id, path, seconds, take, seed });
                }
            } else if (message.address === "/done" && first === "/bank/fire" && address === first) {
                const [, slot, id, path, job] = message.values;
                if (slot === values[0]) {
                    settle.resolve(clips.length ? clips : [{ job, id, path }]);
                }
            } else if (message.address === "/done" && own(message.values[1], message)) {
                settle.resolve(clips);
            } else if (message.address === "/fail" && (own(failed, message) || (failed === "" && first === address))) {
                settle.reject(new ClipsonicError(code, sentence));
            }
        });
    }

    // Sends, then hands every message to `listener` until it settles or nothing comes for `ms`.
    follow(address, values, ms, listener) {
        return new Promise((resolve, reject) => {
            let clock = null;
            const end = (how) => (value) => {
                clearTimeout(clock);
                this.listeners.delete(hear);
                how(value);
            };
            const settle = { resolve: end(resolve), reject: end(reject), wait };
            const hear = (message) => listener(message, settle);
            function wait(time) {
                clearTimeout(clock);
                clock = setTimeout(() => settle.reject(silent), time);
            }
            const silent = new ClipsonicError("no_answer", `${address}: the daemon on port ${this.port} says nothing`);
            this.listeners.add(hear);
            wait(ms);
            this.send(address, ...values);
        });
    }
}

module.exports = { Client, ClipsonicError };
