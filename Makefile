# Every target does its own set-up on a fresh Debian 12 (packages, build, private cluster). `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := all
PG_CONFIG ?= pg_config
export PG_CONFIG
PGXS_MAKE = $(MAKE) --no-print-directory -s -f pgxs.mk
SUITES = unit regress isolation worker standby stress http dump crash storm money replay
SUDO := $(shell [ "$$(id -u)" = 0 ] || [ -w "$$($(PG_CONFIG) --pkglibdir 2>/dev/null || echo /)" ] || echo sudo)

.PHONY: all help build install demo run stop roads check $(SUITES:%=check-%) storm bench compare surge-day asan valgrind format lint clean packages-%

help: ## this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@echo "check-SUITE     one suite: $(SUITES)"

packages-%:
	@scripts/packages.sh $*

all: packages-build ## build the extension, haild and the replay program
	@$(PGXS_MAKE) all
	@$(MAKE) --no-print-directory -s -C frontend
	@$(MAKE) --no-print-directory -s -C test/replay

install: packages-run all ## install the extension and haild into the system
	@$(SUDO) env PG_CONFIG="$(PG_CONFIG)" $(PGXS_MAKE) install
	@$(SUDO) install -m 755 frontend/haild "$$($(PG_CONFIG) --bindir)/haild"
	@echo "installed pg_hail into $$($(PG_CONFIG) --pkglibdir) and haild into $$($(PG_CONFIG) --bindir)"

demo: install ## replay real trips through HTTP and check every invariant (ONCE=1: exit afterwards)
	@scripts/demo.sh

run: install ## start database and haild on localhost; prints URLs and tokens
	@scripts/run.sh start

stop: ## stop what `make run` or `make demo` left running
	@scripts/run.sh stop

roads: packages-roads ## load a road network where psql connects to: REGION=, NODES=FILE, ROADS=FILE (HOUR_SHIFT=, TIME_FACTOR=)
	@scripts/load_roads.sh "$(REGION)" "$(NODES)" "$(ROADS)"

learn: ## ETAs learn from past trips where psql connects to: CSV=FILE, REGION=code (TIMES=local|utc, BAD=FILE)
	@scripts/learn.sh "$(CSV)" "$(REGION)"

eta-errors: packages-test install ## learn from LEARN=FILE, foretell TEST=FILE, TZ=zone: how wrong ETAs are (JSON=, NODES=, ROADS=)
	@scripts/eta_errors.sh "$(LEARN)" "$(TEST)" "$(TZ)"

check: packages-test install ## build and run every test suite on private clusters
	@scripts/check.sh $(SUITES)

$(SUITES:%=check-%): check-%: packages-test install
	@scripts/check.sh $*

storm: packages-test install ## 10,000 races of 64 drivers, 500 over HTTP, 200 kills; 1,000,000 money operations, 200 kills; report in storm.json
	@[ ! -f "$${STORM_JSON:-storm.json}" ] || rm "$${STORM_JSON:-storm.json}"
	@STORM_RACES=$${STORM_RACES:-10000} STORM_HTTP=$${STORM_HTTP:-500} STORM_KILLS=$${STORM_KILLS:-200} \
		STORM_JSON=$${STORM_JSON:-storm.json} test/storm/run; races=$$?; \
		STORM_MONEY=$${STORM_MONEY:-1000000} STORM_MONEY_KILLS=$${STORM_MONEY_KILLS:-200} \
		STORM_JSON=$${STORM_JSON:-storm.json} test/money/run && exit $$races

bench: packages-bench install ## benchmarks against peers (BENCH=live runs one group)
	@test/bench/run $(BENCH)

compare: packages-test install ## the same trips under each strategy, one table (STRATEGIES=, SCENARIO=, DRIVERS=, ACCEPT=, SEED=)
	@test/replay/compare $(STRATEGIES)

surge-day: packages-test install ## a day of real pickups through the engine: docs/surge_day.svg, build/surge_day.geojson (DAY=, SEED=, SPARE=, HAIL_DATA=)
	@PICTURE=docs/surge_day.svg test/replay/surge_day

asan: packages-test ## the unit tests and the front under AddressSanitizer and UBSan
	@scripts/asan.sh

valgrind: packages-test install ## the ledger's SQL tests with every server process under valgrind (TESTS=, minutes)
	@scripts/valgrind.sh

format: packages-test ## reformat all C code
	@git ls-files '*.c' '*.h' | xargs clang-format -i

lint: packages-test ## formatting, -Wall -Wextra -Werror, every test scheduled
	@scripts/lint.sh

clean: ## remove what was built
	@$(PGXS_MAKE) clean
	@$(MAKE) --no-print-directory -s -C frontend clean
	@$(MAKE) --no-print-directory -s -C test/replay clean
	@$(MAKE) --no-print-directory -s -C test/storm clean
	@$(MAKE) --no-print-directory -s -C test/money clean
	@$(MAKE) --no-print-directory -s -C test/unit clean
