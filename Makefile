# One makefile, no recursion: every folder lists its own sources in a fragment of its own, and nothing is
# found by globbing, so that a file that is not listed is not built.
#
#   make                   the programs, in $(OUT)
#   make check             everything that must pass before a change lands (needs root: it boots instances)
#   make check-long        that, and what takes longer
#   make unit              unit tests only, no root needed; UNIT='test-error test-buffer' for a choice
#   make lab               the lab tests only: booted instances, a cloud; LAB='-k reload' is given to pytest
#   make check-crash       deployments killed and failed at every call that changes a disk; CRASH='--tenth' for some
#   make demo              the story of a launched instance, told by the lab with times
#   make bench             how fast it is, beside what does the same, and what it takes; BENCH=--quick
#   make lint              static analysis
#   make format            clang-format over everything
#   make fuzz SECONDS=20   every fuzzer on its corpus, then for so long (without SECONDS: 20,000 runs)
#   make deb               the Debian package, in build/
#   make install DESTDIR=… prefix=/usr
#
#   make SANITIZE=address,undefined   the same programs, instrumented, in a folder of their own
#   make CC=clang
#   make V=1               shows the commands

VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PKG_CONFIG ?= pkg-config
INSTALL ?= install
SANITIZE ?=
COMMA := ,

BUILD := build
OUT := $(BUILD)/$(notdir $(CC))$(if $(SANITIZE),-$(subst $(COMMA),-,$(SANITIZE)))

prefix ?= /usr
sysconfdir ?= /etc
bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
libexecdir ?= $(prefix)/lib/muster
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
unitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d

# These run before anything is installed, or need nothing of it.
GOALS_WITHOUT_LIBRARIES := check check-long demo bench deb package explore fuzz lint clean format
NEEDS_LIBRARIES := $(if $(filter-out $(GOALS_WITHOUT_LIBRARIES),$(or $(MAKECMDGOALS),all)),yes)

# What the sources include; --as-needed keeps out of each program what that program does not use.
PACKAGES := libcurl libcrypto expat jansson libsystemd inih libarchive libzstd zlib liblzma yaml-0.1
ifdef NEEDS_LIBRARIES
MISSING := $(shell $(PKG_CONFIG) --print-errors --exists $(PACKAGES) 2>&1 || echo missing)
ifneq ($(MISSING),)
$(error The libraries that muster is made of are not all there; as root, tests/setup installs them ($(MISSING)))
endif
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES))
CMOCKA_LIBS := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null || echo -lcmocka)
endif

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Werror -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wundef -Wformat=2 -Wvla -Wno-format-nonliteral -Wno-string-concatenation
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE -fno-strict-aliasing -fvisibility=hidden \
        $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
# The folder that it is built in leaves no trace in what is built.
REPRODUCIBLE := -ffile-prefix-map=$(CURDIR)=.
SAN_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -DMUSTER_VERSION='"$(VERSION)"' \
        -DMUSTER_LIBEXECDIR='"$(libexecdir)"' -I. $(PKG_CFLAGS) \
        $(WARNINGS) $(HARDENING) $(REPRODUCIBLE) -ffunction-sections -fdata-sections \
        $(CPPFLAGS) $(CFLAGS) $(SAN_FLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections -pthread $(LDFLAGS) $(SAN_FLAGS)

Q := $(if $(V),,@)
SAY := $(if $(V),@:,@printf '%-4s %s\n')

.PHONY: all test-programs check check-long unit demo bench lint format fuzz fuzz-run \
        deb package install clean print-lists print-compiler FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# Fragments add to these.
LIB_SRC :=
PROGRAMS :=
TEST_PROGRAMS :=
UNIT_TESTS :=
TEST_SUPPORT_SRC :=
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
MAIN_SRC := $(foreach p,$(PROGRAMS) $(TEST_PROGRAMS),$($(p)_MAIN))
PROGRAM_FILES := $(addprefix $(OUT)/,$(PROGRAMS))
TEST_PROGRAM_FILES := $(addprefix $(OUT)/,$(TEST_PROGRAMS))
UNIT_FILES := $(addprefix $(OUT)/tests/unit/,$(UNIT_TESTS))
FUZZ_FILES := $(addprefix $(OUT)/tests/fuzz/,$(FUZZERS))
C_FILES := $(LIB_SRC) $(MAIN_SRC) $(UNIT_TESTS:%=tests/unit/%.c) $(FUZZERS:%=tests/fuzz/%.c) $(TEST_SUPPORT_SRC)
HEADERS = $(sort $(wildcard $(addsuffix *.h,$(sort $(dir $(C_FILES))))))

all: $(PROGRAM_FILES)

# Driven by the lab tests, never installed.
test-programs: $(TEST_PROGRAM_FILES)

# Changes when a flag or the version does, and then everything is compiled and linked again.
FLAGS = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS)
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Also made anew when a list changes: what was taken out of it is no member any more, and a test's --wrap counts.
$(LIB): $(LIB_OBJ) $(MAKEFILE_LIST)
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(AR) rcsD $@ $(LIB_OBJ)

define PROGRAM_RULE
$(OUT)/$(1): $$($(1)_MAIN:%.c=$(OUT)/%.o) $(LIB)
	$$(SAY) LD $$@
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach p,$(PROGRAMS) $(TEST_PROGRAMS),$(eval $(call PROGRAM_RULE,$(p))))

# A test that stands between the code and the system says so in NAME_LDFLAGS (--wrap).
$(OUT)/tests/unit/test-%: $(OUT)/tests/unit/test-%.o $(TEST_SUPPORT_SRC:%.c=$(OUT)/%.o) $(LIB)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) $($(@F)_LDFLAGS) -o $@ $^ $(PKG_LIBS) $(CMOCKA_LIBS)

unit: $(UNIT_FILES) $(PROGRAM_FILES)
	@tests/run-unit $(if $(UNIT),$(addprefix $(OUT)/tests/unit/,$(UNIT)),$(UNIT_FILES))

check: must-be-root
	@tests/setup
	@tests/check

check-long: must-be-root
	@tests/setup
	@tests/check --long

lint:
	@tests/setup build check house venv
	@tests/lint

format:
	clang-format -i $(C_FILES) $(HEADERS)

# Fuzzers are built by clang, with coverage and sanitizers, in a folder of their own. Without SECONDS each runs over
# its corpus and then a fixed number of times with a fixed seed: the same every time, for make check.
FUZZ_HOW := $(if $(SECONDS),-max_total_time=$(SECONDS),-runs=20000 -seed=1)
fuzz:
	@$(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer-no-link,address,undefined fuzz-run

fuzz-run: $(FUZZ_FILES)
	@tests/run-fuzz '$(FUZZ_HOW)' $(FUZZ_FILES)

$(OUT)/tests/fuzz/fuzz-%: $(OUT)/tests/fuzz/fuzz-%.o $(LIB)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(PKG_LIBS)

# The package is built from a copy, so that nothing of it lies about in the tree; a second time only what changed.
DEB_TREE := $(BUILD)/deb/muster-$(VERSION)
DEB = $(BUILD)/muster_$(VERSION)_$(shell dpkg --print-architecture).deb
package:
	@tests/setup build package
	@echo 'building the package; what it says is in $(BUILD)/deb/build.log'
	@mkdir -p $(DEB_TREE)
	@tar --exclude=./$(BUILD) --exclude=./.git -c . | tar -x -C $(DEB_TREE)
	@cd $(DEB_TREE) && rm -rf debian/muster debian/.debhelper debian/debhelper-build-stamp debian/files && \
		DEB_BUILD_OPTIONS='nocheck terse parallel=$(shell nproc)' dpkg-buildpackage --build=binary --no-pre-clean \
		--unsigned-source --unsigned-changes >../build.log 2>&1 || { tail -n 60 ../build.log; exit 1; }
	@cp $(BUILD)/deb/$(notdir $(DEB)) $(DEB)

deb: package
	@tests/setup lintian
	@lintian --pedantic --allow-root --fail-on=error,warning,info,pedantic $(BUILD)/deb/muster_$(VERSION)_*.changes
	@echo $(DEB)

# Where a program goes, if not to bindir.
musterd_DIR := $(sbindir)
muster-unpack_DIR := $(libexecdir)
INSTALL_PROGRAMS := $(PROGRAMS:%=install-program/%)
INSTALL_PAGES := $(MAN_PAGES:%=install-page/%)
.PHONY: $(INSTALL_PROGRAMS) $(INSTALL_PAGES)

install: $(INSTALL_PROGRAMS) $(INSTALL_PAGES)
	@for unit in musterd.service muster-recover.service; do \
		$(INSTALL) -D -m 0644 units/$$unit $(DESTDIR)$(unitdir)/$$unit && \
		sed -i 's,/usr/sbin/,$(sbindir)/,' $(DESTDIR)$(unitdir)/$$unit || exit 1; done
	@$(INSTALL) -D -m 0644 units/muster.sysusers $(DESTDIR)$(sysusersdir)/muster.conf
	@$(INSTALL) -D -m 0644 units/muster.tmpfiles $(DESTDIR)$(tmpfilesdir)/muster.conf
	@$(INSTALL) -D -m 0644 units/org.muster.Agent1.conf $(DESTDIR)$(datadir)/dbus-1/system.d/org.muster.Agent1.conf
	@$(INSTALL) -D -m 0644 agent/cli/muster.bash-completion $(DESTDIR)$(datadir)/bash-completion/completions/muster
	@$(INSTALL) -D -m 0644 agent/cli/muster.zsh-completion $(DESTDIR)$(datadir)/zsh/vendor-completions/_muster
	@$(INSTALL) -D -m 0644 agent/cli/muster.fish $(DESTDIR)$(datadir)/fish/vendor_completions.d/muster.fish

$(INSTALL_PROGRAMS): install-program/%: $(OUT)/%
	@$(INSTALL) -D $< $(DESTDIR)$(or $($*_DIR),$(bindir))/$*

$(INSTALL_PAGES): install-page/%: %
	@$(INSTALL) -D -m 0644 $< $(DESTDIR)$(mandir)/man$(subst .,,$(suffix $<))/$(notdir $<)

clean:
	rm -rf $(BUILD)

# What the tests of the house ask.
print-lists:
	@$(foreach list,LIB_SRC MAIN_SRC PROGRAMS UNIT_TESTS TEST_SUPPORT_SRC FUZZERS MAN_PAGES OUT VERSION,\
		echo '$(list) :=' '$($(list))';)

print-compiler:
	@echo '$(subst ','\'',$(CC) $(ALL_CFLAGS))'

-include $(LIB_OBJ:.o=.d) $(MAIN_SRC:%.c=$(OUT)/%.d) $(UNIT_FILES:=.d) $(FUZZ_FILES:=.d) \
        $(TEST_SUPPORT_SRC:%.c=$(OUT)/%.d)
