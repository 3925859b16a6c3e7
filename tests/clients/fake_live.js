// A small Live set behind the LiveAPI of Max for Live. What Live refuses it prints, and it raises nothing.

"use strict";

const AUDIO = { has_audio_input: 1, is_foldable: 0, is_frozen: 0 };

function audioTrack(name, scenes, more = {}) {
    return { ...AUDIO, name, slots: Array(scenes).fill(null), clips: [], ...more };
}

class FakeLive {
    constructor({ version = [12, 1, 0], tracks = [], highlighted = null, selected = null, song = {} } = {}) {
        Object.assign(this, { version, tracks, highlighted, selected });
        this.song = { tempo: 120, signature_numerator: 4, signature_denominator: 4, current_song_time: 0, ...song };
        this.splitsPaths = false; // some versions of Max split a path without quotes at its spaces
        this.missingFiles = new Set();
        this.printed = [];
        this.depth = 0;
        this.undoSteps = []; // what each step did
        const live = this;
        this.LiveAPI = class {
            constructor(path) {
                this.node = live.find(path);
                this.path = `"${this.node ? this.node.path : ""}"`;
                this.id = this.node ? String(this.node.id) : "0";
            }
            get(property) {
                return this.node ? [].concat(this.node.get(property)) : [];
            }
            set(property, value) {
                live.did(`set ${property} ${value}`);
                this.node.clip[property] = value;
            }
            getcount(child) {
                return this.node.count(child);
            }
            call(name, ...atoms) {
                return live.call(this.node, name, atoms);
            }
        };
    }

    did(what) {
        if (this.depth === 0) {
            this.undoSteps.push([]);
        }
        this.undoSteps[this.undoSteps.length - 1].push(what);
    }

    find(path) {
        if (path === "live_app" || path === "live_set") {
            return { id: 1, path, get: (property) => this.song[property] };
        }
        if (path === "live_set view highlighted_clip_slot") {
            return this.highlighted && this.find(`live_set tracks ${this.highlighted[0]} clip_slots ${this.highlighted[1]}`);
        }
        if (path === "live_set view selected_track") {
            return this.selected === null ? null : this.find(`live_set tracks ${this.selected}`);
        }
        if (path.startsWith("id ")) {
            return this.clipNode(this.tracks.flatMap((track) => track.clips).find((clip) => clip.id === Number(path.slice(3))));
        }
        const [, track, , slot, clip] = /^live_set tracks (\d+)( clip_slots (\d+)( clip)?)?$/.exec(path);
        const owner = this.tracks[track];
        if (slot === undefined) {
            return {
                id: 100 + Number(track),
                path,
                track: owner,
                get: (name) => (name === "arrangement_clips" ? owner.clips.flatMap((one) => ["id", one.id]) : owner[name]),
                count: () => owner.slots.length,
            };
        }
        if (clip !== undefined) {
            return this.clipNode(owner.slots[slot]);
        }
        return { id: 1000 + Number(slot), path, track: owner, slot, get: () => Number(owner.slots[slot] !== null) };
    }

    clipNode(clip) {
        return clip && { id: clip.id, path: "", clip, get: (name) => clip[name] };
    }

    call(node, name, atoms) {
        const part = ["get_major_version", "get_minor_version", "get_bugfix_version"].indexOf(name);
        if (part >= 0) {
            return this.version[part];
        }
        if (name === "begin_undo_step") {
            this.depth += 1;
            this.undoSteps.push([]);
        } else if (name === "end_undo_step") {
            this.depth -= 1;
        } else if (name === "create_audio_clip") {
            this.create(node, String(atoms[0]), atoms[1]);
        } else {
            throw new Error(`this Live has no ${name}`);
        }
        return null;
    }

    create(node, path, start) {
        const file = path.replace(/^"|"$/g, "");
        const split = this.splitsPaths && path === file && file.includes(" ");
        const taken = node.slot !== undefined && node.track.slots[node.slot] !== null;
        if (split || taken || this.missingFiles.has(file) || !node.track.has_audio_input) {
            this.printed.push("Invalid syntax");
            return;
        }
        this.did(`create ${file}`);
        const clip = { id: 5000 + this.undoSteps.length, file, start_time: start, end_time: start + 4 };
        if (node.slot === undefined) {
            node.track.clips.push(clip);
        } else {
            node.track.slots[node.slot] = clip;
        }
    }
}

module.exports = { FakeLive, audioTrack };
