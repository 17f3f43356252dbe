# trigger_engine: build, install, and the commands a developer uses.
#
#   make                  build the library and the install script
#   make install          install them into the server that PG_CONFIG names
#   make strict           clean rebuild with -Werror, asserts and debug points
#   make demo             see messages arrive, with a private temporary server
#   make check            run all tests, with private temporary servers
#   make installcheck     run the regression scripts against an installed extension
#   make bench            measure, as ratios against a baseline in the same run
#   make fuzz             make up templates for ten minutes (FUZZ_SECONDS) and look for crashes
#   make deps             install, or without root list, the packages all this needs
#   make format, lint     lay out the sources; look for mistakes in them

EXTENSION = trigger_engine
EXTVERSION = 1.0
PG_CONFIG ?= pg_config

# Commands that a script carries out. They must work before a server is
# installed, so none of them includes PGXS.
SCRIPTED = bench check demo deps format fuzz installcheck lint

ifneq ($(filter $(SCRIPTED),$(MAKECMDGOALS)),)

export PG_CONFIG
.PHONY: $(MAKECMDGOALS)
.NOTPARALLEL:

check:
	@test/lib/check
installcheck:
	@test/lib/installcheck
deps:
	@test/lib/deps
format:
	@test/lib/format
lint:
	@test/lib/lint
demo:
	@test/demo/run
bench:
	@test/bench/run
fuzz:
	@test/fuzz/run

# other goals on the same command line, as in "make clean check"
$(filter-out $(SCRIPTED),$(MAKECMDGOALS)):
	@$(MAKE) --no-print-directory $@

else

# ---- library ----

MODULE_big = trigger_engine
PGFILEDESC = "trigger_engine - behavioural triggers, journeys and message delivery"
SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
INCLUDES := $(sort $(wildcard src/*.h src/*/*.h))
OBJS = $(SOURCES:.c=.o)

LIBRARIES = libcurl libcrypto icu-i18n icu-uc
WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers

# Symbols are kept apart by their prefix and not by hidden visibility: inlined
# JIT code finds the functions of an extension by name.
PG_CPPFLAGS = -I$(srcdir)/src $(shell pkg-config --cflags $(LIBRARIES)) $(DEFINES)
PG_CFLAGS = $(WARNINGS) $(EXTRA_CFLAGS)
SHLIB_LINK = $(shell pkg-config --libs $(LIBRARIES))

# ---- install script: one topic a file, in the order of their numbers ----

TOPICS := $(sort $(wildcard sql/[0-9]*.sql))
INSTALL_SCRIPT_SQL = $(EXTENSION)--$(EXTVERSION).sql
DATA = $(wildcard sql/$(EXTENSION)--*--*.sql)
DATA_built = $(INSTALL_SCRIPT_SQL)

EXTRA_CLEAN = tmp_check tmp_check_iso output_iso results log regression.diffs regression.out

NO_INSTALLCHECK = 1
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(INSTALL_SCRIPT_SQL): $(TOPICS)
	cat $(TOPICS) > $@

# Debian builds without dependency tracking, so that every object (and its
# bitcode) depends on every header.
$(OBJS) $(OBJS:.o=.bc): $(INCLUDES)

# long loops over doubles
src/score/kmeans.o src/score/kmeans_lloyd.o: override CFLAGS += $(CFLAGS_VECTORIZE) $(CFLAGS_UNROLL_LOOPS)

.PHONY: strict
strict:
	$(MAKE) clean
	$(MAKE) all EXTRA_CFLAGS=-Werror DEFINES="-DUSE_ASSERT_CHECKING -DTE_DEBUG_POINTS"

endif
