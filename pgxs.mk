# The extension itself: everything PGXS needs to build and install pg_hail.
# Called by the Makefile (PGXS claims target names such as `check`, so it lives in a file of its own).
HAIL_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" extension/pg_hail.control)

EXTENSION  = extension/pg_hail
MODULE_big = pg_hail
OBJS       = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))
INSTALL_SQL = extension/pg_hail--$(HAIL_VERSION).sql
DATA_built = $(INSTALL_SQL)
SHLIB_LINK = -lcrypto -lm
EXTRA_CLEAN = $(wildcard extension/pg_hail--*.sql) $(wildcard src/*.d src/*/*.d)

PG_CONFIG ?= pg_config
# Server headers are system headers: warnings in them are not ours.
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -Isrc
PG_CFLAGS   = -std=gnu11 -Wextra -Wno-unused-parameter -Wno-declaration-after-statement -Wno-missing-field-initializers $(HAIL_CFLAGS)

override with_llvm := no
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(INSTALL_SQL): $(sort $(wildcard extension/install/*.sql))
	cat $^ > $@

# An object is rebuilt when any header changes: the tree is small.
$(OBJS): $(wildcard src/*.h src/*/*.h)
