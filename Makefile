# make demo: text to 3D on the embedded prior.  make test: the tests.  make comfyui: ComfyUI with this pack.
# make gpu-check: what only an NVIDIA card can tell.
PYTHON ?= python3
VENV ?= .venv
SITE ?= output/site-venv
OUT ?= output/demo
# Where there is no ComfyUI, the CPU build of torch is enough; TORCH=torch takes the platform's default build.
TORCH ?= $(if $(filter Linux,$(shell uname -s)),torch==2.13.0+cpu,torch>=2.4)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# for all but the tests, which run on every checkout that tests/hosts.py finds
COMFYUI_PATH ?= $(HOME)/comfy/ComfyUI
# processes that share the tests, each with a ComfyUI server of its own and one thread for torch; 0 = none beside make
JOBS ?= 2

PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
COMFY_PY = $(or $(COMFYUI_PYTHON),$(firstword $(wildcard $(COMFYUI_PATH)/.venv/bin/python $(COMFYUI_PATH)/venv/bin/python)),$(PY))

.PHONY: demo test test-all lint types docs site locales comfyui thumbnails help-pictures gpu-check clean

demo: $(VENV)/.headless
	$(PY) -m tbsd_core demo --out $(OUT)

test: $(VENV)/.dev
	@$(PY) -m tests.hosts
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

# also what is slow, and each host with what is alike on all: before a release
test-all: ARGS += --slow --hosts all
test-all: test

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev
	$(VENV)/bin/pyright --pythonpath $(PY)

# after a change of a method or a balancer: renews what docs and help pages say of them
docs: $(VENV)/.dev
	$(PY) -m tests.written

# README, docs and help pages as a static site in output/site, by mkdocs-material in an environment of its own
site: $(SITE)/.mkdocs
	rm -rf output/site-pages
	mkdir -p output/site-pages
	git ls-files LICENSE ':!tests' '*.md' '*.webp' 'workflows/*.jpg' | tar c -T - | tar x -C output/site-pages
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict

# after a change of a node's texts: renews locales/en and says what is left to translate
locales:
	"$(COMFY_PY)" tests/comfy/inside/locales.py "$(COMFYUI_PATH)" "$(CURDIR)" --write

comfyui: $(VENV)/.headless
	$(PIP) comfy-cli
	$(VENV)/bin/comfy --skip-prompt --no-enable-telemetry install --cpu --skip-torch-or-directml || \
	  (echo "ComfyUI could not be installed: comfy-cli needs access to github.com" && exit 1)
	ln -sfn "$(CURDIR)" "$(COMFYUI_PATH)/custom_nodes/tbsd-score-distillation"
	@echo "Start it with: cd $(COMFYUI_PATH) && $(abspath $(PY)) main.py"

# Runs every template on ComfyUI; then the pictures of the help pages, some of which are made from them.
thumbnails: $(VENV)/.dev
	COMFYUI_PATH="$(COMFYUI_PATH)" COMFYUI_PYTHON="$(COMFY_PY)" $(PY) -m benchmarks.thumbnails $(ARGS)

help-pictures: $(VENV)/.dev
	$(PY) -m benchmarks.help_pictures
	COMFYUI_PATH="$(COMFYUI_PATH)" COMFYUI_PYTHON="$(COMFY_PY)" $(PY) -m benchmarks.help_screenshots

# What only an NVIDIA card can tell, about 8 minutes; needs a build of torch with CUDA, which a new environment gets.
gpu-check: TORCH = torch>=2.4
gpu-check: TORCH_INDEX =
gpu-check: $(VENV)/.dev
	@$(PY) -m tests.hosts
	$(PY) -m benchmarks.gpu_check $(ARGS)

clean:
	rm -rf $(VENV) output

# Stamps make set-up idempotent: they are newer than what they were made from, or the step runs again.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Missing: $(PYTHON). Install Python 3.10 to 3.13, or call make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.10 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) -V). Call make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Missing: the venv module of $(PYTHON) (Debian: apt-get install python3-venv)"; exit 1; }

# The wheel from its index, then what it needs from the ordinary one.
$(VENV)/.torch: | $(VENV)/bin/python
	@$(PY) -c 'import torch' 2>/dev/null || \
	  { $(PIP) --no-deps --retries 1 --timeout 20 $(addprefix --extra-index-url ,$(TORCH_INDEX)) "$(TORCH)" && $(PIP) "$(TORCH)"; } || \
	  { echo "Missing: torch. $(TORCH) could not be installed; call make TORCH=torch for the default build"; exit 1; }
	@touch $@

$(VENV)/.headless: $(VENV)/.torch requirements.txt requirements-headless.txt
	$(PIP) -r requirements-headless.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.headless requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

$(SITE)/.mkdocs:
	@$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/pip install --quiet --disable-pip-version-check "mkdocs-material==9.*"
	@touch $@
