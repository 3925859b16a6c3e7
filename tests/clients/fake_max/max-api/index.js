// Stands in for the module that [node.script] gives its scripts: messages of the patch come as JSON lines on standard
// input, what leaves by the outlet goes as JSON lines to standard output.

"use strict";

const handlers = {};

require("node:readline")
    .createInterface({ input: process.stdin })
    .on("line", (line) => {
        const [name, ...atoms] = JSON.parse(line);
        handlers[name](...atoms);
    })
    .on("close", () => process.exit(0));

module.exports = {
    addHandler(name, handler) {
        handlers[name] = handler;
        process.stdout.write(`${JSON.stringify(["handles", name])}\n`);
    },
    outlet: (...atoms) => process.stdout.write(`${JSON.stringify(atoms)}\n`),
};
