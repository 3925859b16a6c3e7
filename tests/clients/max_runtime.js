// What [js] gives a script in Max, as far as ours need it: inlets, outlets, tasks, and LiveAPI in Max for Live.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const CLIENTS = path.join(__dirname, "..", "..", "presets", "clients");

// Runs a script as [js file arguments...]. `sent` collects what leaves: [outlet, atom, atom, ...].
function load(file, { scriptArguments = [], LiveAPI = undefined } = {}) {
    const sent = [];
    const posted = [];
    const tasks = [];
    class Task {
        constructor(work, owner) {
            Object.assign(this, { work: () => work.call(owner), repeats: false, cancelled: false });
            tasks.push(this);
        }
        repeat() {
            this.repeats = true;
        }
        cancel() {
            this.cancelled = true;
        }
    }
    const scope = {
        jsarguments: [path.basename(file), ...scriptArguments],
        inlet: 0,
        messagename: "",
        outlet: (place, ...atoms) => sent.push([place, ...atoms.flat()]),
        post: (...words) => posted.push(words.join(" ")),
        arrayfromargs: (list) => Array.from(list),
        Task,
        LiveAPI,
    };
    vm.runInNewContext(fs.readFileSync(path.join(CLIENTS, file), "utf-8"), scope, { filename: file });
    // A message goes to the function of its name, or to anything().
    function receive(inlet, name, ...atoms) {
        scope.inlet = inlet;
        scope.messagename = name;
        const handler = typeof scope[name] === "function" && !scope[name].local && inlet === 0 ? name : "anything";
        scope[handler](...atoms);
    }
    const take = () => sent.splice(0);
    return { scope, sent, posted, tasks, receive, take };
}

module.exports = { load };
