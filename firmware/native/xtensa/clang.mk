# xtensawin (ESP32, ESP32-S2, ESP32-S3), with Debian's LLVM 22, whose Xtensa backend is experimental.
#
# Its objects are not quite what MicroPython's linker expects, and three things bring them together:
# - all C files become one assembly file, because mpy_ld tells the constants of two files apart by their section's name alone, and
#   silently takes the one's for the other's;
# - literals.py moves what instructions load with l32r into one aligned section;
# - relocations.py writes addends into the section, where mpy_ld looks for them.

include xtensa/llvm.mk

TARGET := --target=xtensa-none-elf $(FEATURES:%=-Xclang -target-feature -Xclang +%)

# MicroPython's headers include a few of libc's. Those of newlib, installed with the Arm compiler, serve every 32-bit machine.
NEWLIB ?= /usr/include/newlib
LIBC_HEADERS := -nostdlibinc -isystem $(NEWLIB)
# LLVM makes no position-independent code for Xtensa, and none is needed: mpy_ld reaches everything through its own table.
UNKNOWN := -fpic -fno-tree-loop-distribute-patterns -fno-schedule-insns -fno-tree-ter
CLANG = clang$(LLVM) $(TARGET) $(filter-out $(UNKNOWN),$(CFLAGS)) -ffreestanding $(LIBC_HEADERS)

LINKED := $(BUILD)/whole.o
SIZED := $(BUILD)/whole.o
SIZE := llvm-size$(LLVM)

# In place of dynruntime.mk's rule: objects that hold LLVM's intermediate code, to be joined before machine code is made.
$(BUILD)/%.o: %.c $(CONFIG_H) Makefile
	$(ECHO) "CLANG $<"
	$(Q)$(CLANG) -emit-llvm -c -o $@ $<

$(SRC_O) $(BUILD)/whole.s $(BUILD)/stand_in.s: xtensa/clang.mk

$(BUILD)/whole.bc: $(SRC_O)
	$(Q)llvm-link$(LLVM) -o $@ $^

# Functions keep the -Os or -O2 that they were compiled with. A struct of up to 32 words is copied in place, not by a call of
# memcpy, which a native module has not.
$(BUILD)/whole.s: $(BUILD)/whole.bc
	$(Q)clang$(LLVM) $(TARGET) -O2 -mllvm -max-store-memcpy=32 -S -o $@ -x ir $<

$(BUILD)/%.fixed.s: $(BUILD)/%.s xtensa/literals.py
	$(Q)$(PYTHON) xtensa/literals.py $< $@

$(BUILD)/whole.o: $(BUILD)/whole.fixed.s xtensa/relocations.py
	$(Q)$(ASSEMBLE) -o $@.part $<
	$(Q)$(PYTHON) xtensa/relocations.py $@.part $@

# The stand-in for MicroPython that calls the module's functions under qemu-xtensa: make ARCH=xtensawin ... stand-in
.PHONY: stand-in
stand-in: $(BUILD)/stand_in

$(BUILD)/stand_in.s: xtensa/stand_in.c $(CONFIG_H)
	$(Q)$(CLANG) -Wno-unused-parameter -S -o $@ $<

$(BUILD)/stand_in.o: $(BUILD)/stand_in.fixed.s
	$(Q)$(ASSEMBLE) -o $@ $<

$(BUILD)/start.o: xtensa/start.s
	$(Q)$(ASSEMBLE),+exception -o $@ $< # which has the instruction for system calls

$(BUILD)/stand_in: $(BUILD)/start.o $(BUILD)/stand_in.o xtensa/stand_in.ld
	$(Q)xtensa-lx106-elf-ld --no-warn-rwx-segments -T xtensa/stand_in.ld -o $@ $(filter %.o,$^)
