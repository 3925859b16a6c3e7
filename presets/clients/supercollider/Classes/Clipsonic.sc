// Words and pictures into buffers: asks a Clipsonic Live daemon by OSC and reads the clips it makes.
Clipsonic {
	classvar <>host = "127.0.0.1", <>port = 9460;
	classvar <>patience = 2; // seconds without any answer until a request has failed

	// action is called with (buffer, clip) for every take; gives back the job, which can be cancelled.
	// image is a path, or an Array of them, and the prompt may be left out then.
	*generate { |prompt, seconds, action, attributes, progress, failure, server, image|
		var into = server ? Server.default;
		var job = ClipsonicJob(prompt, seconds, attributes, { |clip|
			Buffer.read(into, clip[\path], action: { |buffer| action.value(buffer, clip) })
		}, progress, failure, image);
		if(into.serverRunning) { job.ask } {
			job.fail(\no_server, "% is not running; boot it first: s.boot".format(into))
		};
		^job
	}

	// The same without a server: action is called with (path, clip) for every take.
	*files { |prompt, seconds, action, attributes, progress, failure, image|
		^ClipsonicJob(prompt, seconds, attributes, { |clip|
			action.value(clip[\path], clip)
		}, progress, failure, image).ask
	}

	// Stops every job of the daemon, also those that others asked for.
	*cancel {
		this.addr.sendMsg("/cancel", "all")
	}

	// action is called with an Event, or with nil when the daemon does not answer.
	*status { |action|
		this.prAsk("/status", "/status.reply", { |message|
			var keys = #[units, running, queued, clips, models, load, peak, sampleRate, actualSampleRate,
				engine, model, provider, folder, modelSeconds];
			action.value(message !? { Event.newFrom([keys, message.drop(1).keep(keys.size)].lace) })
		})
	}

	*addr {
		^NetAddr(host, port)
	}

	*prAsk { |address, reply, action|
		var ear, answered = false;
		ear = OSCFunc({ |message|
			answered = true;
			action.value(message)
		}, reply, this.addr).oneShot;
		SystemClock.sched(patience, {
			if(answered.not) {
				ear.free;
				action.value(nil)
			};
			nil
		});
		this.addr.sendMsg(address)
	}
}

// One request on its way: asked, queued, running, done or failed.
ClipsonicJob {
	var <id, <prompt, <state = \new, <fraction = 0, <clips;
	var message, addr, ears, action, progress, failure;

	*new { |prompt, seconds, attributes, action, progress, failure, image|
		^super.new.init(prompt, seconds, attributes, action, progress, failure, image)
	}

	init { |argPrompt, seconds, attributes, argAction, argProgress, argFailure, image|
		var options = Event.newFrom((attributes ? #[]).asPairs);
		image !? { options[\image] = image };
		prompt = (argPrompt ? "").asString;
		action = argAction;
		progress = argProgress;
		failure = argFailure ? { |code, sentence| "Clipsonic: % (%)".format(sentence, code).warn };
		clips = List.new;
		// Of its own, so that what belongs to this job is known before the first answer.
		options[\id] = options[\id] ?? {
			"sc-%-%-%".format(thisProcess.pid, Date.getDate.stamp, UniqueID.next)
		};
		id = options[\id].asSymbol;
		message = ["/generate", prompt] ++ seconds;
		options.keysValuesDo { |name, value|
			var items = if(value.isKindOf(Array)) { value } { [value] };
			message = message ++ [("@" ++ name)] ++ items.collect { |item| if(item.isNumber) { item } { item.asString } }
		}
	}

	ask {
		addr = Clipsonic.addr;
		ears = [
			this.prHear("/queued", { state = \queued }),
			this.prHear("/progress", { |m| this.prProgress(m[2], m[3]) }),
			this.prHear("/clip", { |m| this.prClip(m) }),
			this.prHear("/done", { this.prEnd(\done) }, ['/generate', id]),
			this.prHear("/fail", { |m| this.fail(m[2], m[3].asString) }, ['/generate', nil, nil, id])
		];
		CmdPeriod.add(this);
		state = \asked;
		addr.sendMsg(*message);
		SystemClock.sched(Clipsonic.patience, { this.prGiveUp; nil })
	}

	cancel {
		if(this.isActive) { addr.sendMsg("/cancel", id) }
	}

	isActive {
		^#[asked, queued, running].includes(state)
	}

	// The ears are permanent, so that the answer to this is still heard.
	cmdPeriod {
		this.cancel
	}

	fail { |code, sentence|
		this.prEnd(\failed);
		failure.value(code, sentence, this)
	}

	printOn { |stream|
		stream << "ClipsonicJob(" <<< prompt << ", " << state << ")"
	}

	prHear { |address, function, template|
		^OSCFunc(function, address, addr, argTemplate: template ? [id]).permanent_(true)
	}

	prProgress { |newFraction, stage|
		fraction = newFraction;
		state = \running;
		progress.value(fraction, stage, this)
	}

	prClip { |m|
		var clip = (job: id, id: m[2], path: m[3].asString, seconds: m[4], take: m[5], seed: m[6]);
		clips.add(clip);
		action.value(clip)
	}

	prGiveUp {
		if(state == \asked) {
			this.fail(\no_answer, "nothing came back from %:%: is the daemon running?".format(addr.ip, addr.port))
		}
	}

	prEnd { |newState|
		state = newState;
		ears.do(_.free);
		CmdPeriod.remove(this)
	}
}
