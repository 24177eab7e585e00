# make bench ARCH=... BUILD=...: BUILD/bench-ARCH.elf, the core and what it is compared with, for `bitwren bench` to run in an
# emulator. The compilers and flags of an architecture are those that MicroPython's dynruntime.mk takes for native modules.

CROSS := $(if $(filter rv32imc%,$(ARCH)),riscv64-unknown-elf-,$(if $(filter arm%,$(ARCH)),arm-none-eabi-))
FLAGS_armv6m := -mthumb -mcpu=cortex-m0
FLAGS_armv7m := -mthumb -mcpu=cortex-m3
FLAGS_armv7emsp := -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
FLAGS_rv32imc := -march=rv32imac -mabi=ilp32 -mno-relax
FLAGS_rv32imc_zbb := -march=rv32imac_zbb -mabi=ilp32 -mno-relax
FLAGS_x64 := -m64 -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -Wl,--build-id=none
ifeq ($(FLAGS_$(ARCH)),)
$(error ARCH must be one of armv6m armv7m armv7emsp rv32imc rv32imc_zbb x64)
endif

override BUILD := $(OUT)/bench-$(ARCH)
CFLAGS := -std=c99 -Os -fpic -fno-common -ffreestanding -fstack-usage $(FLAGS_$(ARCH)) $(CORE_FLAGS)
CORE_O := $(addprefix $(BUILD)/,$(CORE:.c=.o) $(if $(filter armv%,$(ARCH)),$(THUMB:.S=.o)))
BENCH_O := $(addprefix $(BUILD)/,core-entries.o baselines.o)
BASE := 0x10000
# No Unicorn knows Zbb: QEMU's board runs it, with a beginning of its own, which must come first.
ifeq ($(ARCH),rv32imc_zbb)
START_O := $(BUILD)/start_riscv.o
BASE := 0x80000000
endif

.PHONY: bench
bench: $(OUT)/bench-$(ARCH).elf

$(OUT)/bench-$(ARCH).elf: $(START_O) $(CORE_O) $(BENCH_O)
	$(CROSS)gcc $(FLAGS_$(ARCH)) -static -nostdlib -nostartfiles -Wl,-Ttext=$(BASE) -Wl,-e$(BASE) -o $@ $^

$(START_O) $(CORE_O) $(BENCH_O): $(HEADERS) bench/bench.h bench/bench.mk Makefile | $(BUILD)
$(BUILD):
	mkdir -p $@

$(BUILD)/%.o: %.c
	$(CROSS)gcc $(CFLAGS) -o $@ -c $<
$(BUILD)/%.o: %.S
	$(CROSS)gcc $(CFLAGS) -o $@ -c $<
$(BUILD)/start_riscv.o: bench/start_riscv.S
	$(CROSS)gcc $(CFLAGS) -march=rv32imac_zicsr -o $@ -c $<
$(BUILD)/core-entries.o: bench/core.c
	$(CROSS)gcc $(CFLAGS) -o $@ -c $<
# At its best: -O3 unrolls the loops over a row.
$(BUILD)/baselines.o: bench/baselines.c
	$(CROSS)gcc $(CFLAGS) -O3 -o $@ -c $<
