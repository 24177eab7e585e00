# bitwren: from a fresh Debian 12 with Python 3.11, gcc, make and git to a built toolchain, firmware and native modules.
#
# Everything that is downloaded or built lies under .cache/, so `make distclean` leaves the checkout as it was cloned.
# Long steps say what they do; what they print is in .cache/log/. The steps themselves are in firmware/micropython/.
#
#   MPY_DIR=/path/to/micropython   use this source tree instead of the one fetched from Debian
#   FIRMWARE=file.uf2              use this Pico firmware (1.23 or later) instead of building one
#   PYTHON=python3.11  JOBS=2      which Python makes the virtual environment; how many compilers run at once
#   ARGS="..."                     passed on to pytest or to the console
#   MIP_URL=https://...            where .cache/dist/mip will be found, for `mip` before MicroPython 1.25 (make dist)
#   FUZZ_SECONDS=60                how long `make fuzz` looks at each kind of file

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 60
ARGS ?=

cache := $(CURDIR)/.cache
venv := $(cache)/venv
mpy := $(cache)/micropython
native := $(cache)/native
user_module := $(cache)/user-module
log := $(cache)/log
steps := firmware/micropython
run := $(steps)/logged.sh
archs := x64 armv6m armv7m armv7emsp rv32imc rv32imc_zbb xtensawin

MPY_DIR ?= $(mpy)/source
override MPY_DIR := $(abspath $(MPY_DIR))
source := $(MPY_DIR)/py/dynruntime.mk
ready := $(venv)/.ready

# MicroPython's build asks git for its version. Without this it would find bitwren's own repository around the source.
export GIT_CEILING_DIRECTORIES := $(cache)

.PHONY: help setup micropython unix pico-firmware qemu user-module natmods core fuzz demo console dist test lint clean distclean packages FORCE

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 16

## What is needed to run anything

packages:
	@$(steps)/packages.sh '$(PYTHON)' $(log)/packages.log

setup: $(ready) ## System packages (only if missing), virtual environment, bitwren installed in it

$(ready): pyproject.toml | packages
	@[ -x $(venv)/bin/python ] || '$(PYTHON)' -m venv $(venv)
	@$(run) $(log)/pip.log "Installing bitwren and its tools into .cache/venv (a minute)" \
	    $(venv)/bin/pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

## MicroPython: its source, the unix port, mpy-cross, the Pico's firmware

micropython: unix pico-firmware qemu ## All MicroPythons: this machine's, the Pico's and those for QEMU

unix: $(mpy)/unix/micropython ## MicroPython for this machine, and mpy-cross
unix: $(mpy)/mpy-cross/mpy-cross

pico-firmware: $(mpy)/pico/firmware.uf2 ## MicroPython for the Raspberry Pi Pico, as a UF2

ifeq ($(MPY_DIR),$(mpy)/source)
$(source): | packages
	@$(run) $(log)/fetch.log "Fetching MicroPython's source from Debian (15 MB and 20 MB of package lists, 10 seconds)" \
	    $(steps)/fetch.sh $(MPY_DIR)
else
$(source):
	@echo "MPY_DIR is $(MPY_DIR), and there is no MicroPython source there (py/dynruntime.mk is missing)." >&2; exit 1
endif

# Says what the builds were made from. It is written only when that changes, and then they are made again.
$(mpy)/origin: FORCE
	@mkdir -p $(@D); echo '$(MPY_DIR)' | cmp -s - $@ || echo '$(MPY_DIR)' >$@
$(mpy)/pico.origin: FORCE
	@mkdir -p $(@D); echo '$(or $(FIRMWARE),$(MPY_DIR))' | cmp -s - $@ || echo '$(or $(FIRMWARE),$(MPY_DIR))' >$@

# A release says its own date, the same on every machine, rather than the day on which it was built.
dated = SOURCE_DATE_EPOCH=$$(stat -c %Y $(MPY_DIR)/py/mpconfig.h)

$(mpy)/mpy-cross/mpy-cross: $(mpy)/origin | $(source) packages
	@rm -rf $(@D)
	@$(dated) $(run) $(log)/mpy-cross.log "Building mpy-cross (15 seconds)" \
	    $(MAKE) -C $(MPY_DIR)/mpy-cross -j$(JOBS) BUILD=$(@D)

# Left out: what needs libraries that Debian's source comes without, and nothing here uses.
unix_port = $(MAKE) -C $(MPY_DIR)/ports/unix -j$(JOBS) BUILD=$(@D) VARIANT=standard FROZEN_MANIFEST= \
    MICROPY_PY_BTREE=0 MICROPY_PY_SSL=0 MICROPY_SSL_MBEDTLS=0 MICROPY_PY_FFI=0

$(mpy)/unix/micropython: $(mpy)/origin | $(source) packages
	@rm -rf $(@D)
	@$(dated) $(run) $(log)/unix.log "Building MicroPython's unix port (20 seconds)" $(unix_port)

# The same with our core in it. Not made anew when the core changes: MicroPython's makefile sees to what that needs.
user-module: $(user_module)/micropython ## MicroPython for this machine with bitwren's core built in, as a user C module

$(user_module)/micropython: $(mpy)/origin $(wildcard firmware/native/*.[chS] firmware/native/micropython.mk) | $(source) packages
	@$(dated) $(run) $(log)/user-module.log "Building MicroPython's unix port with bitwren's core in it (20 seconds)" \
	    $(unix_port) USER_C_MODULES=$(CURDIR)/firmware
	@touch $@

ifdef FIRMWARE
ifeq ($(wildcard $(FIRMWARE)),)
$(error FIRMWARE is $(FIRMWARE), and there is no such file)
endif
$(mpy)/pico/firmware.uf2: $(mpy)/pico.origin $(FIRMWARE)
	@[ "$$(head -c 3 '$(FIRMWARE)')" = UF2 ] || { echo "$(FIRMWARE) is not a UF2 file." >&2; exit 1; }
	@mkdir -p $(@D); cp '$(FIRMWARE)' $@
else
$(mpy)/pico/firmware.uf2: $(mpy)/pico.origin | $(source) $(mpy)/mpy-cross/mpy-cross packages
	@rm -rf $(mpy)/build-pico
	@$(dated) $(run) $(log)/pico.log "Building the Raspberry Pi Pico's firmware (a minute)" \
	    $(steps)/build-pico.sh $(MPY_DIR) $(mpy)/mpy-cross/mpy-cross $(mpy)/build-pico $(JOBS)
	@mkdir -p $(@D); cp $(mpy)/build-pico/firmware.uf2 $@
endif

qemu: $(foreach name,m3 m4f rv32,$(mpy)/qemu-$(name)/firmware.elf) ## MicroPython for the boards that QEMU emulates

qemu_m3 := BOARD=MPS2_AN385
qemu_m4f := BOARD=MPS2_AN386 BOARD_DIR=$(abspath $(steps))/MPS2_AN386
# Debian's compiler names the instructions as version 2.2 of the RISC-V manual does.
qemu_rv32 := BOARD=VIRT_RV32 RV32_ARCH=rv32imac "AFLAGS=-mabi=ilp32 -march=rv32imac -misa-spec=2.2"

$(mpy)/qemu-m4f/firmware.elf: $(wildcard $(steps)/MPS2_AN386/*)
$(mpy)/qemu-%/firmware.elf: $(mpy)/origin | $(source) packages
	@rm -rf $(@D)
	@$(dated) $(run) $(log)/qemu-$*.log "Building MicroPython for QEMU, $* (15 seconds)" \
	    $(MAKE) -C $(MPY_DIR)/ports/qemu -j$(JOBS) BUILD=$(@D) FROZEN_MANIFEST= $(qemu_$*)

## bitwren's own C: native modules for MicroPython, and the same core for this machine
# What is up to date is firmware/native/Makefile's to know. MicroPython's linker needs pyelftools, which our Python has.

natmods: $(ready) | $(source) ## Native modules for MicroPython, one for each architecture
	@for arch in $(archs); do \
	    if [ $$arch = xtensawin ] && ! command -v clang-22 xtensa-esp32-elf-gcc >/dev/null; then \
	        echo "Native module for xtensawin: left out, needs clang-22 or Espressif's xtensa-esp32-elf-gcc"; continue; \
	    fi; \
	    $(run) $(log)/native-$$arch.log "Native module for $$arch" $(MAKE) -C firmware/native \
	        ARCH=$$arch MPY_DIR=$(MPY_DIR) BUILD=$(native) PYTHON=$(venv)/bin/python; \
	done

core: | packages ## The C core as a shared library for this machine
	@$(run) $(log)/core.log "C core for this machine" $(MAKE) -C firmware/native host BUILD=$(native)

# Inputs that reached something new stay in .cache/fuzz/, and the next run goes on from them. One that broke the core does too:
# .cache/native/fuzz/TARGET FILE shows what it does.
fuzz: $(ready) | packages ## Fuzz the C core, FUZZ_SECONDS=60 for encoders and as long for tables
	@$(run) $(log)/fuzz-build.log "C core for libFuzzer" $(MAKE) -C firmware/native fuzz BUILD=$(native)
	@$(venv)/bin/python tests/fuzz_seeds.py $(cache)/fuzz/seeds
	@for target in encoder table; do \
	    mkdir -p $(cache)/fuzz/$$target; \
	    $(run) $(log)/fuzz-$$target.log "Fuzzing: $$target, $(FUZZ_SECONDS) seconds" $(native)/fuzz/$$target \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=20 -max_len=65536 -artifact_prefix=$(cache)/fuzz/$$target- \
	        $(cache)/fuzz/$$target $(cache)/fuzz/seeds/$$target; \
	    grep -a '^Done' $(log)/fuzz-$$target.log; \
	done

## Using it

demo: $(ready) micropython natmods core ## Build the example corpus and ask it, on an emulated Pico
	@$(venv)/bin/bitwren demo -o .cache/demo/board-help

console: $(ready) micropython natmods core ## Ask the demo's table from this terminal, on an emulated Pico
	@[ -d .cache/demo/board-help ] || $(MAKE) --no-print-directory demo
	@$(venv)/bin/bitwren console .cache/demo/board-help --on pico $(ARGS)

dist: $(ready) unix pico-firmware natmods ## Release folder .cache/dist: wheel with native modules, packages for mip; tried out
	@$(venv)/bin/python -m bitwren_host.release $(cache)/dist $(if $(MIP_URL),--url '$(MIP_URL)')
	@$(run) $(log)/dist-wheel.log "Trying the wheel in a clean virtual environment (a minute)" \
	    $(venv)/bin/python tests/try_wheel.py $(cache)/dist/*.whl
	@$(run) $(log)/dist-mip.log "Trying mpremote mip install on an emulated Pico (two minutes)" \
	    $(venv)/bin/python tests/try_mip.py $(cache)/dist

test: lint micropython user-module natmods core ## All checks and tests, after building what they need
	@$(venv)/bin/pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(ready) ## ruff and mypy
	@$(venv)/bin/ruff check
	@$(venv)/bin/ruff format --check
	@$(venv)/bin/mypy

clean: ## Remove what was built; keep what was downloaded
	@rm -rf $(mpy)/unix $(mpy)/qemu-* $(mpy)/mpy-cross $(mpy)/pico $(mpy)/build-pico $(mpy)/*.origin $(mpy)/origin $(native) $(user_module) $(cache)/demo $(cache)/dist $(log)

distclean: ## Remove all of .cache
	@rm -rf $(cache)
