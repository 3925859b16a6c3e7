// osc.js: OSC as bytes.

"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { test } = require("node:test");
const osc = require(path.join(__dirname, "../../presets/clients/node-for-max/osc.js"));

test("a message has the bytes of the specification", () => {
    const bytes = osc.encode("/a", 1, 0.5, "hi", Buffer.from([1, 2, 3]));
    const wanted = "/a\0\0,ifsb\0\0\0" + "\0\0\0\x01" + "\x3f\0\0\0" + "hi\0\0" + "\0\0\0\x03\x01\x02\x03\0";
    assert.equal(bytes.toString("latin1"), wanted);
});

test("what is encoded is decoded, whatever its length", () => {
    for (const word of ["", "a", "abc", "abcd", "größe ☃", "x".repeat(1000)]) {
        const [{ address, values }] = osc.decode(osc.encode("/generate", word, 7, -2, 0.25));
        assert.deepEqual([address, values], ["/generate", [word, 7, -2, 0.25]]);
    }
});

test("a string cannot smuggle arguments", () => {
    assert.deepEqual(osc.decode(osc.encode("/a", "x\0y"))[0].values, ["xy"]);
});

test("whole numbers beyond 32 bits become floats", () => {
    assert.deepEqual(osc.decode(osc.encode("/a", 2 ** 31))[0].values, [2 ** 31]);
});

test("bundles are read in order, also nested ones", () => {
    const bundle = (...parts) =>
        Buffer.concat([
            Buffer.from("#bundle\0\0\0\0\0\0\0\0\x01", "latin1"),
            ...parts.flatMap((part) => {
                const size = Buffer.alloc(4);
                size.writeInt32BE(part.length);
                return [size, part];
            }),
        ]);
    const packet = bundle(osc.encode("/a", 1), bundle(osc.encode("/b", 2)), osc.encode("/c", 3));
    assert.deepEqual(osc.decode(packet).map(({ address }) => address), ["/a", "/b", "/c"]);
});

test("what is no OSC throws", () => {
    for (const bytes of [Buffer.from("/abc"), Buffer.from("/a\0\0,i\0\0"), Buffer.from("/a\0\0,?\0\0\0\0\0\0")]) {
        assert.throws(() => osc.decode(bytes));
    }
});
