# Every target sets itself up on a bare machine: Python 3.11 or newer, a network, nothing else.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := src tests bench
BENCH_PIP := .bench/bin/pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt --constraint bench/constraints.txt

.PHONY: demo test slow check docs bench peers timm clean

demo: $(BIN)/.run
	$(BIN)/delineate demo

# The processes that tests start would compile the source again, each for itself.
test slow: export PYTHONDONTWRITEBYTECODE :=

test: $(BIN)/.dev
	$(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadfile

slow: $(BIN)/.dev
	$(BIN)/python -m pytest -m "slow" -n 2 --dist loadfile

check: $(BIN)/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/codespell

docs: $(BIN)/.dev
	$(BIN)/python docs/generate.py

# The tests that compare with other packages, in the environment of the benchmarks.
peers: .bench/.dev
	.bench/bin/python -m pytest tests/augment/test_foreign_transforms.py tests/models \
		tests/engine/test_transfer.py tests/metrics/test_surface_peers.py \
		tests/export/test_onnx_file.py tests/export/test_bundle.py

# What needs timm, in an environment of its own of several GB.
timm: .timm/.ready
	.timm/bin/python -m pytest -m "not gpu" tests/systems/test_spine_networks.py \
		tests/systems/test_spine_rates.py tests/systems/test_spine_schema.py \
		tests/models/test_foreign.py

# DATA=a Decathlon folder takes real scans instead of drawn ones.
bench: .bench/.ready
	.bench/bin/python bench/results.py $(if $(DATA),--data "$(DATA)")

clean:
	rm -rf .venv .bench .timm demo build dist

# torch first and pinned: the CPU build where the machine offers one.
$(BIN)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	touch $@

$(BIN)/.dev: $(BIN)/.run
	$(PIP) --editable ".[dev]"
	touch $@

# The peers beside us, in an environment of their own.
.bench/.ready: pyproject.toml constraints.txt bench/requirements.txt bench/constraints.txt
	test -x .bench/bin/python || $(PYTHON) -m venv .bench
	$(BENCH_PIP) --requirement bench/requirements.txt --editable .
	# Comes with nnU-Net, which does not need it here; beside a CPU build its import fails.
	.bench/bin/pip uninstall --quiet --yes torchvision
	touch $@

.bench/.dev: .bench/.ready
	$(BENCH_PIP) --editable ".[dev,albumentations,monai,onnx]"
	touch $@

# timm needs torchvision, which fails beside a CPU build: an older torch is no CPU build anywhere.
.timm/.ready: pyproject.toml constraints.txt
	test -x .timm/bin/python || $(PYTHON) -m venv .timm
	grep --invert-match '^torch==' constraints.txt > .timm/constraints.txt
	.timm/bin/pip install --quiet --disable-pip-version-check \
		--constraint .timm/constraints.txt "torch<2.13" torchvision --editable ".[dev,timm]"
	touch $@
