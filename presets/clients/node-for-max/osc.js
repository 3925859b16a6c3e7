// OSC 1.0 as bytes, as much of it as the daemon speaks: int32, float32, string and blob, and bundles when they come.

"use strict";

function padded(bytes, atLeast) {
    const size = Math.ceil((bytes.length + atLeast) / 4) * 4;
    return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}

function text(value) {
    // A NUL would end the string early, and what follows it would be read as arguments.
    return padded(Buffer.from(String(value).replace(/\0/g, ""), "utf-8"), 1);
}

function argument(value) {
    if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 31) {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32BE(value);
        return ["i", bytes];
    }
    if (typeof value === "number") {
        const bytes = Buffer.alloc(4);
        bytes.writeFloatBE(value);
        return ["f", bytes];
    }
    if (Buffer.isBuffer(value)) {
        const size = Buffer.alloc(4);
        size.writeInt32BE(value.length);
        return ["b", Buffer.concat([size, padded(value, 0)])];
    }
    return ["s", text(value)];
}

// A message as bytes. Whole numbers become ints, other numbers floats, Buffers blobs, the rest text.
function encode(address, ...values) {
    const encoded = values.map(argument);
    const tags = "," + encoded.map(([tag]) => tag).join("");
    return Buffer.concat([text(address), text(tags), ...encoded.map(([, bytes]) => bytes)]);
}

// Messages of a packet as {address, values}, those of bundles in order. Throws RangeError for what is no OSC.
function decode(packet) {
    if (packet.subarray(0, 8).toString("latin1") === "#bundle\0") {
        const messages = [];
        for (let place = 16; place < packet.length; ) {
            const size = packet.readInt32BE(place);
            messages.push(...decode(packet.subarray(place + 4, place + 4 + size)));
            place += 4 + size;
        }
        return messages;
    }
    const reader = { packet, place: 0 };
    const address = readText(reader);
    const tags = readText(reader).slice(1);
    return [{ address, values: [...tags].map((tag) => READERS[tag](reader)) }];
}

function readText(reader) {
    const end = reader.packet.indexOf(0, reader.place);
    if (end < 0) {
        throw new RangeError("packet: a string does not end");
    }
    const value = reader.packet.toString("utf-8", reader.place, end);
    reader.place = Math.floor(end / 4) * 4 + 4;
    return value;
}

function readNumber(reader, read, size) {
    const value = reader.packet[read](reader.place);
    reader.place += size;
    return value;
}

function readBlob(reader) {
    const size = readNumber(reader, "readInt32BE", 4);
    const value = reader.packet.subarray(reader.place, reader.place + size);
    reader.place += Math.ceil(size / 4) * 4;
    return value;
}

const READERS = {
    i: (reader) => readNumber(reader, "readInt32BE", 4),
    f: (reader) => readNumber(reader, "readFloatBE", 4),
    d: (reader) => readNumber(reader, "readDoubleBE", 8),
    h: (reader) => Number(readNumber(reader, "readBigInt64BE", 8)),
    s: readText,
    b: readBlob,
    T: () => true,
    F: () => false,
    N: () => null,
};

module.exports = { decode, encode };
