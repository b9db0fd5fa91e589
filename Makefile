# 'make help' lists all targets. 'make run' and 'make test' are enough to start.

PYTHON ?= python3
# Variables on the command line, for example 'make loadtest AGENTS=1000 STORE=mysql', become options of the Python tools.
# The defaults are in the tools. ARGS= passes any other option; '.venv/bin/python -m loadtest --help' lists them.
flag = $(if $($(1)),--$(2) "$($(1))")
switch = $(if $(filter 1,$($(1))),--$(2))

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -q
SPEEDUPS := $(wildcard _speedups/*/*_c.pxd _speedups/*/*_py.py)
SYSTEM_TESTS := system or browser or boot

.PHONY: help run build debug test test-fast test-pure lint types proto docs bench holds profile loadtest viewers simulate attack chaos mutants coverage api-check fuzz-lane follow torrent page-10000 screenshots h2spec soak partition lines outage race ack-edge packages boot repository images clean
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

run: build ## start a server and one local agent; HTTP_PORT=8440 AGENT_PORT=8441 ENROL_PORT=8442 DATA=./data
	@exec $(PY) deploy/dev/run_local.py $(call flag,DATA,data) $(call flag,HTTP_PORT,http-port) $(call flag,AGENT_PORT,agent-port) $(call flag,ENROL_PORT,enrol-port) $(ARGS)

build: $(VENV)/compiled ## make .venv, install Clarion into it, compile _speedups

debug: $(VENV)/installed ## compile _speedups with bounds checks, line tracing and _speedups/*/*.html
	CLARION_DEBUG_BUILD=1 $(PY) setup.py -q build_ext --inplace --force
	@touch $(VENV)/compiled

test: $(VENV)/test-tools build ## run every test on SQLite and MariaDB, and require full branch coverage of server/core; ARGS= for pytest, WORKERS=auto
	@$(PYTHON) deploy/dev/system_packages.py test
	$(PY) -m pytest -m 'not boot' -n "$(or $(WORKERS),auto)" --dist loadfile $(ARGS)

test-fast: $(VENV)/test-tools build ## the tests that start neither servers and agents nor a browser
	@$(PYTHON) deploy/dev/system_packages.py database
	$(PY) -m pytest -m 'not ($(SYSTEM_TESTS))' $(ARGS)

test-pure: $(VENV)/test-tools build ## as test-fast, on the plain Python twins of _speedups
	@$(PYTHON) deploy/dev/system_packages.py database
	CLARION_PURE=1 $(PY) -m pytest -m 'not ($(SYSTEM_TESTS))' $(ARGS)

coverage: $(VENV)/test-tools build ## branch coverage of server/core by its own tests, as htmlcov/index.html
	$(PY) -m coverage run -m pytest tests/core $(ARGS)
	@$(PY) -m coverage html -q
	@$(PY) -m coverage report

lint: $(VENV)/test-tools ## ruff
	$(VENV)/bin/ruff check .

types: $(VENV)/test-tools ## mypy, strict
	$(VENV)/bin/mypy

proto: $(VENV)/test-tools ## regenerate proto/gen from proto/command.proto
	$(PY) proto/generate.py

docs: $(VENV)/test-tools build ## redraw the pages that are tables in the code, and build the site in build/site; a warning is an error
	$(PY) docs/generate.py
	$(PY) -m sphinx -q -W --keep-going -n -b html docs build/site
	@echo "the site is build/site/index.html"

bench: $(VENV)/test-tools build ## print how fast the parts are on this machine
	@$(PYTHON) deploy/dev/system_packages.py database
	$(PY) tests/tools/bench/all.py

holds: $(VENV)/test-tools build ## how long any request holds the event loop; HOSTS=10000 ARGS='--only select'
	$(PY) -m tests.tools.bench.holds.holds $(call flag,HOSTS,hosts) $(ARGS)

profile: $(VENV)/test-tools build ## a table of where the server's CPU goes, and folded stacks in ./profile; ARGS='--agents 2000 --rounds 3'
	$(PY) -m tests.tools.bench.profile $(ARGS)

loadtest: build ## simulated agents against a real server; AGENTS=200 ROUNDS=3 TLS=0 STORE=sqlite|mysql PURE=0 COMPARE=0 REPORT=report.json SERVER=
	@$(if $(filter mysql,$(STORE)),$(if $(findstring --set store.,$(ARGS)),,$(PYTHON) deploy/dev/system_packages.py database))
	$(PY) -m loadtest $(call flag,AGENTS,agents) $(call flag,ROUNDS,rounds) $(call flag,REPORT,report) \
	  $(if $(SERVER),--server "$(SERVER)" --token-file "$(TOKEN_FILE)" --agent-address "$(AGENT_ADDRESS)",$(call flag,STORE,store)) \
	  $(call switch,TLS,tls) $(call switch,PURE,pure) $(call switch,COMPARE,compare) $(ARGS)

viewers: build ## what VIEWERS=50 viewers of a running task's page cost the server, with AGENTS=10000 simulated agents; REPORT=report.json
	$(PY) -m loadtest --scenario answers --scenario viewers --agents "$(or $(AGENTS),10000)" $(call flag,VIEWERS,viewers) $(call flag,REPORT,report) $(ARGS)

simulate: $(VENV)/test-tools build ## play schedules of faults against the engines in simulated time; SEEDS=20000 FIRST=0
	$(PY) -m tests.tools.simulate $(call flag,SEEDS,seeds) $(call flag,FIRST,first) $(ARGS)

mutants: $(VENV)/test-tools build ## break one line after the other in a copy of the tree, and require that its tests fail; ARGS='--only TEXT'
	@$(PYTHON) deploy/dev/system_packages.py database
	$(PY) -m tests.tools.mutants $(ARGS)

follow: $(VENV)/test-tools build ## follow one host's output through LIVE_ROUNDS=100 kills of viewer, agent and server, byte by byte
	LIVE_ROUNDS="$(or $(LIVE_ROUNDS),100)" $(PY) -m pytest tests/system/output/test_live.py $(ARGS)

torrent: $(VENV)/test-tools build ## output floods: a gigabyte in one line, a million lines per second, binary data; TORRENT_BYTES=1073741824 TORRENT_LINES=1000000 TORRENT_SECONDS=10
	TORRENT_BYTES="$(or $(TORRENT_BYTES),1073741824)" TORRENT_LINES="$(or $(TORRENT_LINES),1000000)" TORRENT_SECONDS="$(or $(TORRENT_SECONDS),10)" \
	  $(PY) -m pytest -rP tests/system/output/test_output_flood.py $(ARGS)

page-10000: $(VENV)/test-tools build ## the page in Chromium from creation to re-run while PAGE_HOSTS=10000 simulated hosts answer within PAGE_SECONDS=20
	@$(PYTHON) deploy/dev/system_packages.py browser
	PAGE_HOSTS="$(or $(PAGE_HOSTS),10000)" PAGE_SECONDS="$(or $(PAGE_SECONDS),20)" $(PY) -m pytest -s tests/system/page/test_many.py $(ARGS)

screenshots: $(VENV)/test-tools build ## take the pictures in docs/images again: every page, light, dark and on a phone
	@$(PYTHON) deploy/dev/system_packages.py pictures
	$(PY) -m tests.web.screenshots docs/images

api-check: $(VENV)/test-tools build ## a client generated from /openapi.json runs a task, promtool reads /metrics, schemathesis tries every route; EXAMPLES=30 SEED=1 ARGS='-- --include-path-regex hosts'
	$(PY) -m tests.tools.api $(call flag,EXAMPLES,examples) $(call flag,SEED,seed) $(ARGS)

fuzz-lane: $(VENV)/test-tools ## mutated frames and messages against the compiled HTTP/2 fast path under AddressSanitizer; CASES=1000000 SEED=1 REPLAY=fuzz-failures/case-N.json
	@$(PYTHON) deploy/dev/system_packages.py build
	PY=$(PY) tests/tools/fuzz/asan.sh "$(CASES)" "$(SEED)" $(if $(REPLAY),"$(REPLAY)")

h2spec: $(VENV)/test-tools build ## run h2spec (a Go program; H2SPEC=path) in strict mode against an agent port; ARGS= for h2spec
	@$(if $(H2SPEC),H2SPEC="$(H2SPEC)") $(PY) -m tests.tools.h2.h2spec $(ARGS)

attack: $(VENV)/test-tools build ## every attack on the agent port while healthy agents work; SECONDS=30 AGENTS=500 ARGS='--attack "rapid reset"'
	$(PY) -m tests.tools.attack $(call flag,SECONDS,seconds) $(call flag,AGENTS,agents) $(ARGS)

chaos: $(VENV)/test-tools build ## kills and faults of network, disk and database on real processes, then a verification of every row; AGENTS=200 EXECUTIONS=10000 KILLS=100 SEED=1 STORE=sqlite|mysql REPORT=chaos.json
	@$(if $(filter mysql,$(STORE)),$(PYTHON) deploy/dev/system_packages.py database)
	$(PY) -m tests.tools.chaos $(call flag,EXECUTIONS,executions) $(call flag,KILLS,kills) $(call flag,STORE,store) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

soak: $(VENV)/test-tools build ## steady load with one percent of faults: checks that memory and descriptors do not grow; MINUTES=60 AGENTS=50 SEED=1
	$(PY) -m tests.tools.chaos --soak $(MINUTES) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

partition: $(VENV)/test-tools build ## half of the agents cut off while commands run and start; AGENTS=200 SECONDS=600 SEED=1
	$(PY) -m tests.tools.chaos --partition $(SECONDS) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

lines: $(VENV)/test-tools build ## network-fault test: affects half the agents; reports detection time, recovery time and impact on the rest; AGENTS=10 SECONDS=60
	$(PY) -m tests.tools.chaos --lines $(SECONDS) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

outage: $(VENV)/test-tools build ## the database is unavailable while commands end and work is requested; SECONDS=600 AGENTS=20 STORE=sqlite|mysql
	@$(if $(filter mysql,$(STORE)),$(PYTHON) deploy/dev/system_packages.py database)
	$(PY) -m tests.tools.chaos --outage $(SECONDS) $(call flag,STORE,store) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

race: $(VENV)/test-tools build ## commands that end within 5 ms of their cancel; COMMANDS=10000 AGENTS=10 SEED=1
	$(PY) -m tests.tools.chaos --race $(COMMANDS) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

ack-edge: $(VENV)/test-tools build ## kill the server within a millisecond of an acknowledgement: its database must contain what it acknowledged; KILLS=1000 AGENTS=4
	$(PY) -m tests.tools.chaos --edge $(call flag,KILLS,kills) $(call flag,AGENTS,agents) $(call flag,SEED,seed) $(call flag,REPORT,report) $(ARGS)

packages: $(VENV)/packaging build ## deb and rpm packages, the one-file agent and SHA256SUMS in build/packages; RUNTIME=portable|system ARCH=amd64|arm64 OUT= ARGS='--pure'
	@$(PYTHON) deploy/dev/system_packages.py packages
	$(PY) -m deploy.packages build $(call flag,RUNTIME,runtime) $(call flag,ARCH,arch) $(call flag,OUT,out) $(ARGS)

boot: $(VENV)/test-tools packages ## boot Debian in a container, install the packages, and restart, kill, upgrade and remove services while commands run; RUNTIME=portable|system
	@$(PYTHON) deploy/dev/system_packages.py boot
	CLARION_BOOT_DIST="$(abspath $(or $(OUT),build/packages))/$(if $(filter system,$(RUNTIME)),dist-system,dist)" $(PY) -m pytest tests/deploy/boot $(ARGS)

repository: $(VENV)/packaging ## signed apt and yum repositories of the built packages; KEY=fingerprint RUNTIME=portable|system OUT=
	@$(PYTHON) deploy/dev/system_packages.py packages
	$(PY) -m deploy.packages repository --key "$(KEY)" $(call flag,RUNTIME,runtime) $(call flag,OUT,out) $(ARGS)

images: $(VENV)/packaging ## container images of the built packages as OCI archives, with buildah; RUNTIME=portable|system OUT= ARGS='--image agent'
	@$(PYTHON) deploy/dev/system_packages.py images
	$(PY) -m deploy.packages images $(call flag,RUNTIME,runtime) $(call flag,OUT,out) $(ARGS)

clean: ## remove everything that was built; DATA is kept
	rm -rf $(VENV) build dist *.egg-info htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f $(foreach kind,so c html,_speedups/*.$(kind) _speedups/*/*.$(kind))
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# These stamp files record what .venv contains, so that a step runs again only when its sources change.

$(VENV)/installed: pyproject.toml setup.py
	@$(PYTHON) deploy/dev/system_packages.py build
	@echo "clarion: making $(VENV) and installing Clarion with what it depends on (a minute or two, once)"
	@$(PYTHON) -m venv $(VENV)
	@CLARION_PURE=1 $(PIP) -e '.[server,cli,build]'
	@touch $@

$(VENV)/compiled: $(VENV)/installed $(SPEEDUPS)
	@echo "clarion: compiling _speedups"
	@rm -f _speedups/*.so _speedups/*/*.so
	@$(PY) setup.py -q build_ext --inplace --force
	@if ls _speedups/*/*.so >/dev/null 2>&1; then touch $@; fi  # otherwise the next run tries again

$(VENV)/test-tools: $(VENV)/installed
	@echo "clarion: installing what tests and checks need (a minute or two, once)"
	@CLARION_PURE=1 $(PIP) -e '.[server,cli,dev]'
	@touch $@

$(VENV)/packaging: $(VENV)/installed
	@echo "clarion: installing what builds packages (a minute, once)"
	@CLARION_PURE=1 $(PIP) -e '.[server,cli,cluster,build,packages]'
	@touch $@
