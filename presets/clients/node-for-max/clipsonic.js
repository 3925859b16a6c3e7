// Clipsonic for [node.script] in Max, and for the command line:
//
//   node clipsonic.js [--port 9460] generate sea waves 5 @seed 42 @variations 2
//   node clipsonic.js image cat.jpg
//   node clipsonic.js image cat.jpg in a cave 5 @blend 0.4
//   node clipsonic.js cancel all
//   node clipsonic.js status
//   node clipsonic.js fire 1
//
// Paths of clips go to standard output, all else to standard error.

"use strict";

const fs = require("node:fs");
const { resolve } = require("node:path");
const { Client } = require("./client.js");

const COMMANDS = {
    async generate(client, words, tell) {
        const clips = await client.generate(words, (message) => tellEvent(message, tell));
        tell("done", clips.length);
    },
    async image(client, [path, ...words], tell) {
        await COMMANDS.generate(client, [...words, "@image", absolute(String(path))], tell);
    },
    async fire(client, [slot], tell) {
        const clips = await client.fire(slot, (message) => tellEvent(message, tell));
        tell("done", clips.length);
    },
    async cancel(client, words, tell) {
        await client.ask("/cancel", words, "/done");
        tell("cancelled");
    },
    async status(client, words, tell) {
        tell("status", ...(await client.ask("/status", [], "/status.reply")));
    },
};

// The daemon has another folder to begin from. Max's own way to write paths is left to it.
function absolute(path) {
    return fs.existsSync(path) ? resolve(path) : path;
}

function tellEvent({ address, values }, tell) {
    if (address === "/clip") {
        const [, id, path, seconds, take, seed] = values;
        tell("clip", path, id, seconds, take, seed);
    } else if (address === "/progress") {
        tell("progress", values[1], values[2]);
    }
}

// Every message of the patch is a command; what comes of it leaves by the left outlet.
async function serveMax(maxApi) {
    let client = await new Client().open();
    const tell = (...values) => maxApi.outlet(...values);
    maxApi.addHandler("port", async (port) => {
        client.close();
        client = await new Client({ port }).open();
        tell("port", port);
    });
    for (const [name, command] of Object.entries(COMMANDS)) {
        maxApi.addHandler(name, async (...words) => {
            try {
                await command(client, words, tell);
            } catch (error) {
                tell("fail", error.code || "error", error.message);
            }
        });
    }
}

// Words as a patch would send them: what looks like a number is one.
function atoms(words) {
    return words.map((word) => (/^-?\d*\.?\d+$/.test(word) ? Number(word) : word));
}

function tellTerminal(kind, ...values) {
    if (kind === "clip") {
        process.stdout.write(`${values[0]}\n`);
    } else {
        const shown = kind === "progress" ? [`${Math.round(100 * values[0])} %`, ...values.slice(1)] : values;
        process.stderr.write(`${[kind, ...shown].join(" ")}\n`);
    }
}

async function runTerminal(words) {
    let port = 9460;
    if (words[0] === "--port") {
        port = Number(words[1]);
        words = words.slice(2);
    }
    const [name, ...rest] = words;
    if (!Object.hasOwn(COMMANDS, name || "")) {
        process.stderr.write(`usage: node clipsonic.js [--port 9460] ${Object.keys(COMMANDS).join("|")} ...\n`);
        return 2;
    }
    const client = await new Client({ port }).open();
    try {
        await COMMANDS[name](client, atoms(rest), tellTerminal);
        return 0;
    } catch (error) {
        process.stderr.write(`clipsonic: ${error.message}\n`);
        return 1;
    } finally {
        client.close();
    }
}

// [node.script] is the only place where this module is found.
function findMaxApi() {
    try {
        return require("max-api");
    } catch {
        return null;
    }
}

if (require.main === module || findMaxApi() !== null) {
    const maxApi = findMaxApi();
    if (maxApi !== null) {
        serveMax(maxApi);
    } else {
        runTerminal(process.argv.slice(2)).then((status) => {
            process.exitCode = status;
        });
    }
}

module.exports = { serveMax };
