// clipsonic-client.js with sockets where a patch has [udpsend] and [udpreceive]: messages of the patch come as JSON lines
// on standard input, what leaves for the face and for the patch goes as JSON lines to standard output.

"use strict";

const dgram = require("node:dgram");
const path = require("node:path");
const { load } = require("./max_runtime.js");
const osc = require(path.join(__dirname, "../../presets/clients/node-for-max/osc.js"));

const port = Number(process.argv[2]);
const script = load("max/clipsonic-client.js", { scriptArguments: [String(port)] });
const mouth = dgram.createSocket("udp4");
let ear = null;

script.scope.outlet = (outlet, ...atoms) => {
    const [first, ...rest] = atoms.flat();
    if (outlet === 0 && first !== "port") {
        mouth.send(osc.encode(first, ...rest), port, "127.0.0.1");
    } else if (outlet === 1) {
        ear = dgram.createSocket("udp4").bind(rest[0], "127.0.0.1");
        ear.on("message", hear);
    } else {
        process.stdout.write(`${JSON.stringify([first, ...rest])}\n`);
    }
};

function hear(packet) {
    for (const { address, values } of osc.decode(packet)) {
        script.receive(1, address, ...values);
    }
}

require("node:readline")
    .createInterface({ input: process.stdin })
    .on("line", (line) => script.receive(0, ...JSON.parse(line)))
    .on("close", () => process.exit(0));
