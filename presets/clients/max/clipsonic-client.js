// Talks to the Clipsonic daemon for a patch: asks for clips, follows jobs, keeps the takes, names the pads.
//
// Written for [js], which every Max and every Live with Max for Live has ([v8] came with Max 9 and Live 12.2), so in
// the JavaScript of its day: var, no arrows, no modules.
//
// Inlet 0: from the patch    bang, generate, image, dropped, blend, seconds, variations, span, stop, take, insert, banks, bank, fire, leave, /any/osc
// Inlet 1: from [udpreceive]
// Outlet 0: to [udpsend]     outlet 1: to [udpreceive]
// Outlet 2: for the face     status TEXT, progress 0..1, takes ..., banks ..., pad NUMBER ...
// Outlet 3: for the patch    clip PATH, slot PATH NAME BEATS SECONDS, arrangement PATH NAME BEATS SECONDS

inlets = 2;
outlets = 4;

var TO_DAEMON = 0;
var TO_EAR = 1;
var TO_FACE = 2;
var TO_PATCH = 3;
var DAEMON_PORT = Number(jsarguments[1]) > 0 ? Number(jsarguments[1]) : 9460;
var FIRST_PORT = 20000; // replies come to a port of this patch's own, so that several patches live side by side
var N_PORTS = 25000;
var BEAT_MS = 4000;
var N_PADS = 16;
var N_TAKES = 64;
var PLAIN_PAD = [0.35, 0.35, 0.35];

var wish = { seconds: 5, takes: 1, beats: 0, barSeconds: 0, blend: 0.5 };
var ear = { port: 0, heard: false, answered: false, silent: 0 };
var picture = ""; // one that was dropped, and waits for the words beside it
var jobs = {}; // our own, by id: name, beats that a clip lasts (0 for no loop), whether it has been queued
var nJobs = 0;
var nFired = 0; // pads that were hit and whose jobs have not been queued yet
var firedName = "";
var bankNames = null; // null: the list has been asked for and has not come
var takes = []; // the oldest first
var chosen = -1;
var slots = {}; // of the prompt bank, by the daemon's own numbers
var coloured = {};
var clock = null;

// ---- from the patch ------------------------------------------------------------------------------------------------

// Starts to listen. From [loadbang], or from [live.thisdevice] in Live.
function bang() {
    if (DAEMON_PORT !== 9460) {
        outlet(TO_DAEMON, "port", DAEMON_PORT);
    }
    listen();
    if (clock === null) {
        clock = new Task(beat, this);
        clock.interval = BEAT_MS;
        clock.repeat();
    }
    banks();
}

function generate() {
    var prompt = words(arguments);
    if (picture !== "") {
        see(prompt);
        return;
    }
    if (prompt === "") {
        say("type what you want to hear");
        return;
    }
    ask(prompt, prompt, []);
}

// A clip of what is seen in a picture or a video; words behind its path are blended with it.
function image(path) {
    picture = String(path);
    see(words(arrayfromargs(arguments).slice(1)));
}

// The same with the words of the next `generate`, which are those of a text field.
function dropped(path) {
    picture = String(path);
}

function see(prompt) {
    var path = picture;
    picture = "";
    var more = prompt === "" ? [] : ["@blend", wish.blend];
    ask(prompt, prompt || nameOfFile(path), ["@image", path].concat(more));
}
see.local = 1;

// 0 is the words alone, 1 the picture alone.
function blend(share) {
    wish.blend = share;
}

function ask(prompt, name, more) {
    var id = "max-" + ear.port + "-" + ++nJobs;
    var message = prompt === "" ? ["/generate"] : ["/generate", prompt];
    if (wish.beats > 0) {
        message.push("@bars", wish.beats / 4, "@bpm", (wish.beats * 60) / wish.barSeconds);
    } else {
        message.push(wish.seconds);
    }
    if (wish.takes > 1) {
        message.push("@variations", wish.takes);
    }
    jobs[id] = { name: name, beats: wish.beats, queued: false };
    outlet(TO_DAEMON, message.concat(more, "@id", id));
}
ask.local = 1;

function seconds(number) {
    wish.seconds = number;
}

function variations(number) {
    wish.takes = number;
}

// Length in beats and in seconds at the song's tempo; 0 beats: `seconds` counts.
function span(beats, barSeconds) {
    wish.beats = beats;
    wish.barSeconds = barSeconds;
}

function stop() {
    var any = false;
    for (var id in jobs) {
        if (jobs[id].queued) {
            any = true;
            outlet(TO_DAEMON, "/cancel", id);
        }
    }
    if (!any) {
        say("nothing to stop");
    }
}

// Chooses a take by its place in the menu.
function take(place) {
    if (place >= 0 && place < takes.length) {
        choose(place);
    }
}

// Hands the chosen take to Live: `insert slot` or `insert arrangement`.
function insert(where) {
    if (chosen < 0) {
        say("make a clip first");
        return;
    }
    var clip = takes[chosen];
    outlet(TO_PATCH, where, clip.path, clip.name, clip.beats, clip.seconds);
}

function banks() {
    bankNames = null;
    outlet(TO_DAEMON, "/bank/list");
}

function bank() {
    var name = words(arguments);
    if (bankNames === null || bankNames.indexOf(name) < 0) {
        return; // the menu's own words, shown until there is a list
    }
    slots = {};
    drawPads();
    outlet(TO_DAEMON, "/bank/load", name);
}

// Makes the clip of a pad, 1 to 16.
function fire(pad) {
    var number = firstSlot() + pad - 1;
    nFired += 1;
    firedName = slots[number] ? slots[number].name : "pad " + pad;
    outlet(TO_DAEMON, "/bank/fire", number);
}

// Stops the daemon from sending to a port that nobody will hear. From [freebang].
function leave() {
    if (clock !== null) {
        clock.cancel();
    }
    if (ear.heard) {
        outlet(TO_DAEMON, "/notify", 0, ear.port);
    }
}

function anything() {
    var message = arrayfromargs(arguments);
    if (inlet === 1) {
        if (HEARD.hasOwnProperty(messagename)) {
            HEARD[messagename](message);
        }
    } else if (messagename.charAt(0) === "/") {
        outlet(TO_DAEMON, [messagename].concat(message));
    } else {
        post("clipsonic: " + messagename + " is no message of this object\n");
    }
}

// ---- the ear -------------------------------------------------------------------------------------------------------

function listen() {
    ear.port = FIRST_PORT + Math.floor(Math.random() * N_PORTS);
    ear.heard = false;
    ear.answered = false;
    outlet(TO_EAR, "port", ear.port);
    outlet(TO_DAEMON, "/notify", 1, ear.port);
}

// Asks again and again: a daemon may start later than the patch, and forgets its listeners when it restarts.
function beat() {
    if (ear.answered) {
        ear.answered = false;
        ear.silent = 0;
        outlet(TO_DAEMON, "/notify", 1, ear.port);
        return;
    }
    ear.silent += 1;
    say("no daemon answers on port " + DAEMON_PORT + ": run clipsonic serve");
    listen(); // another port: this one may belong to someone else
}
beat.local = 1;

// ---- from the daemon -----------------------------------------------------------------------------------------------

var HEARD = {
    "/queued": function (message) {
        var id = message[0];
        if (nFired > 0 && !jobs[id] && String(id).indexOf("max-") !== 0) {
            nFired -= 1;
            jobs[id] = { name: firedName, beats: 0, queued: true };
        }
        if (jobs[id]) {
            jobs[id].queued = true;
        }
        if (!isForeign(id)) {
            progress(0);
            say(nameOf(id) + (message[2] > 0 ? ": " + message[2] + " before it" : ""));
        }
    },
    "/progress": function (message) {
        if (!isForeign(message[0])) {
            progress(message[1]);
            say(nameOf(message[0]) + ": " + Math.round(100 * message[1]) + " %");
        }
    },
    "/clip": function (message) {
        if (!isForeign(message[0])) {
            keep(message[0], message[2], message[3]);
        }
    },
    "/done": function (message) {
        if (message[0] === "/notify") {
            if (!ear.heard) {
                say("ready");
            }
            if (ear.silent > 0) {
                banks();
            }
            ear.heard = true;
            ear.answered = true;
            ear.silent = 0;
        } else if (message[0] === "/bank/list" && !isBankKnown()) {
            outlet(TO_DAEMON, "/bank/load"); // tells the slots of the bank that is under the pads
        } else if (message[0] === "/bank/fire") {
            fired(message[1], message[3], message[4]);
        } else if (message[0] !== "/cancel" && jobs[message[1]]) {
            delete jobs[message[1]];
            progress(1);
        }
    },
    "/fail": function (message) {
        var address = String(message[0]);
        var id = message[3];
        if (id && isForeign(id)) {
            return;
        }
        if (address.indexOf("/bank/") === 0) {
            nFired = 0;
        }
        if (address === "/bank/list" && message[1] === "unknown_address") {
            return; // a daemon without prompt banks
        }
        if (id) {
            delete jobs[id];
            progress(0);
        }
        say(message[1] === "cancelled" ? "stopped" : message[2]);
    },
    "/bank": function (message) {
        if (bankNames === null) {
            bankNames = [];
            outlet(TO_FACE, "banks", "clear");
        }
        if (bankNames.indexOf(String(message[0])) < 0) {
            bankNames.push(String(message[0]));
            outlet(TO_FACE, "banks", "append", message[0]);
        }
    },
    "/bank.slot": function (message) {
        slots[message[0]] = { name: String(message[1]), colour: String(message[2]), seconds: message[6] || 0 };
        drawPads();
    }
};

function isBankKnown() {
    for (var number in slots) {
        return true;
    }
    return false;
}
isBankKnown.local = 1;

// A pad sounds: what was made for it was told already, what lay there is a take now.
function fired(slot, path, job) {
    if (job && jobs[job]) {
        delete jobs[job];
        progress(1);
    } else if (!job && nFired > 0) {
        nFired -= 1;
        // Without a path the pad of a loop has stopped it.
        if (path) {
            keep(job, path, slots[slot] ? slots[slot].seconds : 0);
        }
    }
}
fired.local = 1;

// A job of another patch. Those of tablets and of the panel are shown: they may be made for this one.
function isForeign(id) {
    return String(id).indexOf("max-") === 0 && !jobs[id];
}
isForeign.local = 1;

function nameOf(id) {
    return jobs[id] ? jobs[id].name : String(id);
}
nameOf.local = 1;

// ---- takes ---------------------------------------------------------------------------------------------------------

function keep(id, path, clipSeconds) {
    var whole = String(path).replace(/\\/g, "/");
    var name = nameOfFile(whole);
    takes.push({ path: whole, name: name, seconds: clipSeconds, beats: jobs[id] ? jobs[id].beats : 0 });
    if (takes.length === 1) {
        outlet(TO_FACE, "takes", "clear");
    }
    if (takes.length > N_TAKES) {
        takes.shift();
        outlet(TO_FACE, "takes", "clear");
        for (var i = 0; i < takes.length; i++) {
            outlet(TO_FACE, "takes", "append", takes[i].name);
        }
    } else {
        outlet(TO_FACE, "takes", "append", name);
    }
    outlet(TO_FACE, "takes", "set", takes.length - 1);
    choose(takes.length - 1);
}
keep.local = 1;

function choose(place) {
    chosen = place;
    say(takes[place].name);
    outlet(TO_PATCH, "clip", takes[place].path);
}
choose.local = 1;

// ---- pads ----------------------------------------------------------------------------------------------------------

// The number of the first slot, 0 or 1, whichever the daemon counts from.
function firstSlot() {
    return slots.hasOwnProperty(0) ? 0 : 1;
}
firstSlot.local = 1;

function drawPads() {
    for (var pad = 1; pad <= N_PADS; pad++) {
        var slot = slots[firstSlot() + pad - 1];
        outlet(TO_FACE, "pad", pad, "text", slot ? slot.name : String(pad));
        var colour = slot ? colourOf(slot.colour) : null;
        if (colour !== null || coloured[pad]) {
            outlet(TO_FACE, ["pad", pad, "activebgcolor"].concat(colour || PLAIN_PAD, 1));
            coloured[pad] = colour !== null;
        }
    }
}
drawPads.local = 1;

// Red, green and blue from 0 to 1 of '#ff8800', or null.
function colourOf(text) {
    if (!/^#[0-9a-f]{6}/i.test(text)) {
        return null;
    }
    return [1, 3, 5].map(function (place) {
        return parseInt(text.substr(place, 2), 16) / 255;
    });
}
colourOf.local = 1;

// ---- small words ---------------------------------------------------------------------------------------------------

function say(text) {
    outlet(TO_FACE, "status", String(text));
}
say.local = 1;

function progress(fraction) {
    outlet(TO_FACE, "progress", fraction);
}
progress.local = 1;

// Without folder and ending.
function nameOfFile(path) {
    var whole = String(path).replace(/\\/g, "/");
    return whole.substring(whole.lastIndexOf("/") + 1).replace(/\.[a-z0-9]+$/i, "");
}
nameOfFile.local = 1;

function words(list) {
    return arrayfromargs(list).join(" ").replace(/\s+/g, " ").replace(/^ | $/g, "");
}
words.local = 1;
