# lakehouse: builds and installs the extension with PGXS.  Everything else
# (make deps, demo, check, unit, installcheck, tapcheck, interop, bench, fuzz,
# lint, coverage) stands in test/lib/house.mk and needs no Postgres to be read.
#
#	make && sudo make install		build, and install into $(PG_CONFIG)'s server
#	make demo						set up all it needs, then show the thing
#	make check						set up all it needs, then run every test

EXTENSION  = lakehouse
MODULE_big = lakehouse
PG_CONFIG ?= pg_config
top       := $(dir $(abspath $(firstword $(MAKEFILE_LIST))))

HOUSE = deps stage demo check lint lint-selftest unit unit-arm installcheck tapcheck \
	interop interop-jvm clients bench bench-vector fuzz tools coverage suite-pgvector \
	coreregress coreisolation sqlsmith suite-contrib suite-django suite-sqlalchemy suite-dbt \
	suite-dlt suite-loaders suite-partman suite-cron suite-postgis \
	installcheck-assert installcheck-discard

ifneq ($(filter $(HOUSE),$(MAKECMDGOALS)),)
include $(top)test/lib/house.mk
else

EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(top)$(EXTENSION).control)
LAYERS     := $(shell sed -n 's/^\([a-z]*\):.*/\1/p' $(top)src/LAYERS)
SRCS       := $(sort $(wildcard $(top)src/*.c $(LAYERS:%=$(top)src/%/*.c)))
HDRS       := $(wildcard $(top)src/*.h $(LAYERS:%=$(top)src/%/*.h))
OBJS       := $(patsubst $(top)%.c,%.o,$(SRCS))
$(shell mkdir -p sql $(sort $(dir $(OBJS))))

DATA       = $(wildcard $(top)sql/$(EXTENSION)--*--*.sql)
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql

PG_CPPFLAGS = -I$(top)src -DLH_VERSION='"$(EXTVERSION)"'
PG_CFLAGS   = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -fvisibility=hidden
SHLIB_LINK  = -lzstd -lsnappy -llz4 -lz -ljansson
EXTRA_CLEAN = $(OBJS:.o=.d) build/stage build/unit build/arm build/pure build/tools build/fuzz build/coverage

# PGXS's own installcheck would need a running cluster; ours makes one.
NO_INSTALLCHECK = 1
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error no PGXS found through PG_CONFIG=$(PG_CONFIG): run "make deps", or set PG_CONFIG)
endif
include $(PGXS)

# Some servers' PGXS say -O1, which the decoders and kernels pay for; the last one counts.
OPTIMIZE ?= -O2
override CFLAGS += $(OPTIMIZE)

# Servers up to 15 leave PGDLLEXPORT empty, and we hide what is not exported.
ifneq ($(filter 13 14 15,$(MAJORVERSION)),)
override CPPFLAGS += -DPGDLLEXPORT='__attribute__((visibility("default")))'
endif

# The extension vector, by pgvector's name but on our library: the same SQL.
VECTOR_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(top)sql/vector/vector.control)
VECTOR_SQL     := build/vector--$(VECTOR_VERSION).sql

$(VECTOR_SQL): $(top)sql/vector/head.sql $(top)sql/install/49_vector_begin.sql \
		$(sort $(wildcard $(top)sql/install/[56]?_*.sql)) $(top)sql/install/79_vector_done.sql $(top)sql/vector/vector.control
	@mkdir -p $(@D)
	cat /dev/null $(filter %.sql,$^) > $@

# Never over an installed pgvector.
install-vector: $(VECTOR_SQL)
	@control='$(DESTDIR)$(datadir)/extension/vector.control'; \
	if [ -e "$$control" ] && ! grep -q "libdir/lakehouse" "$$control"; then \
		echo "pgvector is installed ($$control): nothing is written over it." >&2; \
		echo "Databases that have it keep it; remove its package first if lakehouse is to take its place." >&2; \
		exit 1; \
	fi
	$(MKDIR_P) '$(DESTDIR)$(datadir)/extension'
	$(INSTALL_DATA) $(top)sql/vector/vector.control $(VECTOR_SQL) '$(DESTDIR)$(datadir)/extension/'

.PHONY: install-vector

# Debian's PGXS tracks no headers: objects do it here (clang writes the .bc and
# must not overwrite the .d), and every .bc depends on every header.
$(OBJS): override CFLAGS += -MMD -MP
-include $(OBJS:.o=.d)
$(OBJS:.o=.bc): $(HDRS)

$(DATA_built): $(sort $(wildcard $(top)sql/install/*.sql)) $(top)$(EXTENSION).control
	cat /dev/null $(filter %.sql,$^) > $@

endif
