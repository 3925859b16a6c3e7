# `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

# Real clients for tests. Installed only where this may be done without asking for a password.
DEBIAN_PACKAGES := puredata-core liblo-tools nodejs supercollider-language supercollider-server jackd2 lua5.4 \
  pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 sndfile-programs ffmpeg mediainfo flac
CLIENTS := pd oscsend node sclang scsynth jackd lua5.4 pulseaudio sndfile-info ffprobe mediainfo flac

# What `make fast` leaves out: programs of others, daemons as processes, training.
SLOW := tests/clients tests/journeys tests/golden tests/onnx_export

.PHONY: demo test lint types fast clients clean

demo: $(VENV)/.installed
	@$(BIN)/clipsonic demo

# Tests that need no device and no program of others share the processors, a file to a process; the rest come one by one.
PARALLEL := tests/onnx_export tests/plugin_server
test: export OMP_NUM_THREADS = 1
test: lint types clients
	$(BIN)/python -m pytest --cov --cov-report= --cov-fail-under=0 -n auto --maxprocesses 4 --dist loadfile $(PARALLEL)
	$(BIN)/python -m pytest --cov --cov-append $(PARALLEL:%=--ignore=%)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(SLOW:%=--ignore=%)

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,test,train]"
	@touch $@ $(VENV)/.installed

clients:
	@(for name in $(CLIENTS); do command -v $$name >/dev/null || exit 1; done) || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends $(DEBIAN_PACKAGES) >/dev/null; \
	else echo "tests with real clients need: $(DEBIAN_PACKAGES)"; fi

clean:
	rm -rf $(VENV)
