## targets:
##   all               the hypervisor and the guests (default)
##   run               install what is missing, build, boot the VMs, attach the terminal to the console
##   test              install what is missing, build, run every automatic test
##   bench             measure on the best machine found, keep the rows, make a page of charts: build/bench/
##   iso               write a GRUB ISO that boots on BIOS and UEFI
##   linux             fetch Debian's cloud kernel and busybox, and pack them for guest/linux.cfg
##   hypervisor        build only build/sluice.elf, its disassembly and its symbols
##   guests            build only the guests: build/guest/
##   host-tests        build the cmocka programs: build/tests/host/
##   fuzzers           build the fuzzers: build/tests/fuzz/fuzz_NAME, which run by hand for as long as you like
##   stress-tests      build what runs in threads under ThreadSanitizer: build/tests/host/stress_NAME
##   bench-user        build what `make bench` runs on this computer's own CPU: build/tests/bench/user
##   golden            write the golden table of plans anew, and into docs/mitigations.md: a deliberate change
##   lint              layers, format, headers alone, cppcheck, the shape of the entry path
##   traps             spring each known trap in a copy of the tree, and see its test fail
##   machines          list the machines with what each can show
##   clean             remove build/
##   help              this list
## variables:
##   VMS="a.cfg ..."   run, iso: the VM configuration files (default: the demo set in guest/)
##   CMDLINE="..."     run, bench, iso: boot options, added to those of the machine
##   MACHINE=name      run, bench, iso: see `make machines` (default: kvm where it offers VMX, else bochs-skylake)
##   CPUS=n            run, bench: CPUs of the emulated machine, up to 8 in Bochs (default: 2; bench: 1, where ticks are exact)
##   OUT=path          iso: where to write it (default: build/sluice.iso); bench: OUT.tsv and OUT.html
##   A=file B=file     bench: measure nothing, show one saved run or two side by side (.tsv, or a console's text)
##   ROWS=pattern      test: only the rows whose name matches, as in ROWS='emu/boot-*'
##   JOBS=n            traps: so many at a time (default: 2)
##   DEPS=no           run, test, bench, iso: do not install packages, only check
##   CROSS_COMPILE=..  the toolchain's prefix (default: x86_64-linux-gnu-)

CROSS_COMPILE ?= x86_64-linux-gnu-
VMS ?= guest/probe0.cfg guest/probe1.cfg guest/spin.cfg
CPUS ?= 2
export VMS CMDLINE MACHINE CPUS OUT ROWS DEPS A B CROSS_COMPILE

CC := $(CROSS_COMPILE)gcc
LD := $(CROSS_COMPILE)ld
SIZE := $(CROSS_COMPILE)size
NM := $(CROSS_COMPILE)nm
OBJDUMP := $(CROSS_COMPILE)objdump
NASM := nasm
HOSTCC := gcc
FUZZCC := clang

VERSION := 0.1
IMAGE_LIMIT_BYTES := 262144

# ---- flags ----

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
FREESTANDING := -std=c11 -ffreestanding -nostdlib -fno-pic -fno-pie -fno-stack-protector -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -mgeneral-regs-only -fcf-protection=none -fno-jump-tables \
	-O2 -g $(WARNINGS) -I. -Ibuild/gen
CFLAGS := $(FREESTANDING) -mno-red-zone -mcmodel=small -Wa,--noexecstack
GUEST_CFLAGS := $(FREESTANDING) -m32 -march=i686 -Wa,--noexecstack
LDFLAGS := -z noexecstack -z max-page-size=0x1000 --build-id=none --fatal-warnings
NASMFLAGS := -I ./ -I build/gen/ -g -F dwarf -Werror
HOST_CFLAGS := -std=gnu11 -O1 -g $(WARNINGS) -I. -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

# ---- what there is ----

SOURCES := $(wildcard boot/*.c boot/*.asm arch/*.c arch/*.asm hv/*.c hv/policy/*.c)
OBJECTS := $(patsubst %,build/%.o,$(basename $(SOURCES)))
ifneq ($(words $(OBJECTS)),$(words $(sort $(OBJECTS))))
$(error a .c and a .asm of one name would share an object file)
endif
GUESTS := $(patsubst guest/%,build/guest/%.elf,$(basename $(wildcard guest/*.c guest/*.asm)))
GUEST_LIB := $(patsubst %,build/%.o,$(basename $(wildcard guest/lib/*.c guest/lib/*.asm)))
GUEST_CFGS := $(patsubst %,build/%,$(wildcard guest/*.cfg))

# Modules without hardware access: linked into the host tests and the fuzz harnesses as they are.
PURE := $(wildcard hv/policy/*.c) boot/multiboot2.c arch/acpi.c arch/calendar.c arch/ept.c arch/ept_overlay.c arch/guest_paging.c hv/audit_rules.c
HOST_OBJECTS := $(patsubst %.c,build/host/%.o,$(PURE))
FUZZ_OBJECTS := $(patsubst %.c,build/fuzz/%.o,$(PURE))
HOST_TESTS := $(patsubst %.c,build/%,$(wildcard tests/host/test_*.c))
FUZZERS := $(patsubst %.c,build/%,$(wildcard tests/fuzz/fuzz_*.c))

# What runs in threads on the host, under ThreadSanitizer. clang's, for gcc's does not take fences.
TSAN_CFLAGS := -std=gnu11 -O1 -g $(WARNINGS) -I. -fsanitize=thread -fno-omit-frame-pointer -pthread
STRESS_OBJECTS := $(patsubst %,build/tsan/%.o,hv/handshake hv/promise_word hv/policy/promise)
STRESS_TESTS := $(patsubst %.c,build/%,$(wildcard tests/host/stress_*.c))

# `run`, `test` and `bench` promise what their last line is, so make must not add "*** Error 1" to it. In question mode make
# runs nothing but the recipe lines marked + and passes an exit status of 1 on without a word.
ifneq ($(filter run test bench,$(MAKECMDGOALS)),)
ifeq ($(words $(MAKECMDGOALS)),1)
MAKEFLAGS += --question
endif
endif
BUILD = MAKEFLAGS= $(MAKE) --silent --no-print-directory --jobs=$$(nproc)

.PHONY: all hypervisor guests linux host-tests fuzzers stress-tests bench-user run test bench iso lint traps golden \
	machines clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

# Linux is fetched only where a cfg of VMS asks for it.
LINUX := build/guest/linux.bzImage build/guest/linux-32bit.bzImage build/guest/linux.cpio
LINUX_WANTED := $(if $(VMS),$(shell grep -lsE '^[[:blank:]]*kernel[[:blank:]]*=[[:blank:]]*"linux(-32bit)?[.]bzImage"' $(VMS)))

all: hypervisor guests $(if $(LINUX_WANTED),linux)
hypervisor: build/sluice.elf build/sluice.dis build/sluice.sym
guests: $(GUESTS) $(GUEST_CFGS)
host-tests: $(HOST_TESTS)
fuzzers: $(FUZZERS)
stress-tests: $(STRESS_TESTS)

# ---- the hypervisor ----

build/sluice.elf: $(OBJECTS) linker.ld build/arch/abi/offsets_check.o
	$(LD) $(LDFLAGS) -T linker.ld -o $@ $(OBJECTS)
	@$(SIZE) $@ | awk -v limit=$(IMAGE_LIMIT_BYTES) 'NR == 2 { bytes = $$1 + $$2; \
		printf "image: %d of %d bytes\n", bytes, limit; exit bytes > limit }'

build/sluice.dis: build/sluice.elf
	$(OBJDUMP) -d -M intel $< > $@

build/sluice.sym: build/sluice.elf
	$(NM) -n $< > $@

build/%.o: %.c Makefile | build/gen/version.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

build/%.o: %.asm build/gen/offsets.inc Makefile
	@mkdir -p $(@D)
	$(NASM) -f elf64 $(NASMFLAGS) -MD $(@:.o=.d) -o $@ $<

build/gen/version.h: FORCE
	@mkdir -p $(@D)
	@commit=$$(git describe --always --dirty --exclude '*' 2>/dev/null); \
	printf '#define SLUICE_VERSION "%s"\n' "$(VERSION)$${commit:+-$$commit}" > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The numbers that assembly shares with C: the compiler evaluates them, lines with ->NAME VALUE become %define.
build/gen/offsets.s: arch/abi/offsets.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -MT $@ -S -o $@ $<

offsets_as = sed -n 's/.*->\([A-Za-z_][A-Za-z0-9_]*\) \$$\{0,1\}\(-\{0,1\}[0-9][0-9a-fA-Fx]*\).*/$(1)/p'

build/gen/offsets.inc: build/gen/offsets.s
	@$(call offsets_as,%define \1 \2) $< > $@

build/gen/offsets.h: build/gen/offsets.s
	@$(call offsets_as,#define GEN_\1 (\2)) $< > $@

build/arch/abi/offsets_check.o: build/gen/offsets.h

# ---- the guests: 32-bit programs, one a file ----

build/guest/%.elf: build/guest/%.o $(GUEST_LIB) guest/guest.ld
	$(LD) -m elf_i386 $(LDFLAGS) -T guest/guest.ld -o $@ $< $(GUEST_LIB)

build/guest/%.o: guest/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

build/guest/%.o: guest/%.asm Makefile
	@mkdir -p $(@D)
	$(NASM) -f elf32 $(NASMFLAGS) -MD $(@:.o=.d) -o $@ $<

build/guest/%.cfg: guest/%.cfg
	@mkdir -p $(@D)
	@cp $< $@

# ---- the Linux guest: Debian's kernel, and a file system of busybox; see guest/linux ----

linux: $(LINUX)

build/guest/linux.bzImage: | guest/linux/fetch.sh
	@sh guest/linux/fetch.sh $@ './boot/vmlinuz-*' linux-image-cloud-amd64 linux-image-virtual

build/guest/linux-32bit.bzImage: guest/linux/only32.py build/guest/linux.bzImage
	@python3 $< $@ build/guest/linux.bzImage

build/guest/linux/busybox: | guest/linux/fetch.sh
	@sh guest/linux/fetch.sh $@ '*/bin/busybox' busybox-static
	@chmod +x $@

build/guest/linux/init: guest/linux/init.c Makefile
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) -static $(LDFLAGS:%=-Wl,%) -o $@ $<

build/guest/linux.cpio: guest/linux/initrd.py build/guest/linux/busybox build/guest/linux/init guest/linux/start \
		guest/linux/cpu
	@python3 $< $@ build/guest/linux/busybox build/guest/linux/init

# ---- tests on the host ----

build/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

build/host/libpure.a: $(HOST_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

build/tests/host/%: tests/host/%.c build/host/libpure.a Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -o $@ $< build/host/libpure.a -lcmocka

build/tsan/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(FUZZCC) $(TSAN_CFLAGS) -MMD -MP -c -o $@ $<

$(STRESS_TESTS): build/%: %.c $(STRESS_OBJECTS) Makefile
	@mkdir -p $(@D)
	$(FUZZCC) $(TSAN_CFLAGS) -MMD -MP -o $@ $< $(STRESS_OBJECTS)

build/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(FUZZCC) $(HOST_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

build/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJECTS) Makefile
	@mkdir -p $(@D)
	$(FUZZCC) $(HOST_CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer -MMD -MP -o $@ $< $(FUZZ_OBJECTS)

# ---- what `make bench` runs on the developer's own CPU ----

# Static: it is to run in the small file system of a guest, too.
BENCH_CFLAGS := -std=gnu11 -O2 -g -static $(WARNINGS) -I.
BENCH_USER := $(if $(filter x86_64 amd64,$(shell uname -m)),build/tests/bench/user)

bench-user: $(BENCH_USER)

build/tests/bench/user: tests/bench/user.c hv/policy/bench_stats.c build/tests/bench/user_asm.o Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(BENCH_CFLAGS) -MMD -MP -o $@ $(filter %.c %.o,$^)

build/tests/bench/user_asm.o: tests/bench/user.asm build/gen/offsets.inc Makefile
	@mkdir -p $(@D)
	$(NASM) -f elf64 $(NASMFLAGS) -MD $(@:.o=.d) -o $@ $<

# ---- what people type ----

run:
	+@sh tests/run/deps.sh run >&2 && $(BUILD) all >&2 </dev/null || { echo 'run: died' >&2; exit 1; }
	+@python3 tests/run/run.py

test:
	+@sh tests/run/deps.sh test >&2 || { echo '0 passed, 1 failed, 0 skipped'; exit 1; }
	+@MAKEFLAGS= python3 tests/run/test.py </dev/null

# Debian's own Python finds Debian's plotting library; another one that stands first in PATH may not.
DEBIAN_PYTHON := $(or $(wildcard /usr/bin/python3),python3)

ifneq ($(A)$(B),)
bench:
	+@sh tests/run/deps.sh page >&2 || { echo 'bench: died' >&2; exit 1; }
	+@$(DEBIAN_PYTHON) tests/bench/bench.py
else
bench: export CPUS := $(if $(filter file,$(origin CPUS)),1,$(CPUS))
bench:
	+@sh tests/run/deps.sh bench >&2 && $(BUILD) all bench-user >&2 </dev/null || { echo 'bench: died' >&2; exit 1; }
	+@$(DEBIAN_PYTHON) tests/bench/bench.py
endif

iso:
	@sh tests/run/deps.sh iso >&2
	@$(BUILD) all
	@python3 tests/run/iso.py

lint:
	@sh tests/run/deps.sh test >&2
	@$(BUILD) all
	@python3 tests/lint/lint.py

golden: build/tests/host/test_golden_plan
	@$< print > tests/host/golden_plan.txt
	@python3 tests/host/golden.py write

traps:
	@sh tests/run/deps.sh test >&2
	@MAKEFLAGS= python3 tests/traps/traps.py

machines:
	@python3 tests/run/machine.py

clean:
	rm -rf build

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

-include $(shell find build -name '*.d' 2>/dev/null)
