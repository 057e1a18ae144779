# One makefile, no recursion: every folder lists its own sources in a fragment of its own, and nothing is
# found by globbing, so that a file that is not listed is not built.
#
#   make                   the programs, in $(OUT)
#   make check             everything that must pass before a change lands (needs root: it boots instances)
#   make unit              unit tests only, no root needed
#   make SANITIZE=address,undefined   the same programs, instrumented, in a folder of their own
#   make CC=clang

VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PKG_CONFIG ?= pkg-config
SANITIZE ?=
COMMA := ,

BUILD := build
OUT := $(BUILD)/$(notdir $(CC))$(if $(SANITIZE),-$(subst $(COMMA),-,$(SANITIZE)))

prefix ?= /usr
sysconfdir ?= /etc

# What the sources include; --as-needed keeps out of each program what that program does not use.
PACKAGES := libcurl libcrypto expat jansson libsystemd inih libarchive yaml-0.1
ifneq ($(MAKECMDGOALS),clean)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES))
CMOCKA_LIBS := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)
endif

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Werror -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wundef -Wformat=2 -Wvla -Wno-format-nonliteral
HARDENING := -fstack-protector-strong -fPIE -fno-strict-aliasing -fvisibility=hidden \
        $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -DMUSTER_VERSION='"$(VERSION)"' -I. $(PKG_CFLAGS) \
        $(WARNINGS) $(HARDENING) $(CPPFLAGS) $(CFLAGS) $(SAN_FLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections -pthread $(LDFLAGS) $(SAN_FLAGS)
SAN_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)

# make V=1 shows the commands.
Q := $(if $(V),,@)
SAY := $(if $(V),@:,@printf '%-4s %s\n')

.PHONY: all check check-long unit demo bench lint format deb install clean
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# Fragments add to these.
LIB_SRC :=
PROGRAMS :=
UNIT_TESTS :=
FUZZERS :=
MAN_PAGES :=

include agent/base/base.mk
include agent/net/net.mk
include units/units.mk
include hooks/hooks.mk
include artifacts/artifacts.mk
include agent/agent.mk
include agent/cli/cli.mk
include tests/tests.mk

LIB := $(OUT)/libmuster.a
LIB_OBJ := $(LIB_SRC:%.c=$(OUT)/%.o)
MAIN_SRC := $(foreach p,$(PROGRAMS),$($(p)_MAIN))
PROGRAM_FILES := $(addprefix $(OUT)/,$(PROGRAMS))
C_FILES := $(LIB_SRC) $(MAIN_SRC) $(UNIT_TESTS:%=tests/unit/%.c) $(FUZZERS:%=tests/fuzz/%.c) $(TEST_SUPPORT_SRC)

all: $(PROGRAM_FILES)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(AR) rcs $@ $^

define PROGRAM_RULE
$(OUT)/$(1): $$($(1)_MAIN:%.c=$(OUT)/%.o) $(LIB)
	$$(SAY) LD $$@
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM_RULE,$(p))))

$(OUT)/tests/unit/test-%: $(OUT)/tests/unit/test-%.o $(TEST_SUPPORT_SRC:%.c=$(OUT)/%.o) $(LIB)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) $($(@F)_LDFLAGS) -o $@ $^ $(PKG_LIBS) $(CMOCKA_LIBS)

UNIT_FILES := $(addprefix $(OUT)/tests/unit/,$(UNIT_TESTS))

# make unit UNIT='test-error test-buffer' runs a choice of them.
unit: $(UNIT_FILES) $(PROGRAM_FILES)
	@tests/run-unit $(if $(UNIT),$(addprefix $(OUT)/tests/unit/,$(UNIT)),$(UNIT_FILES))

format:
	clang-format -i $(C_FILES) $(sort $(wildcard $(addsuffix *.h,$(sort $(dir $(C_FILES))))))

clean:
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(MAIN_SRC:%.c=$(OUT)/%.d) $(UNIT_FILES:=.d)
