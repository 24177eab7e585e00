# xtensawin with Espressif's gcc (xtensa-esp32-elf-gcc, or CROSS=), for who has it and no LLVM 22.
#
# mpy_ld takes what lies at the same place in sections of the same name, in two files, for one thing, so each file's sections get names
# of their own. Tests build this with Debian's gcc for the ESP8266, which makes the same assembly when asked for register windows, and whose
# assembler does not know them: XTENSA_AS=llvm takes LLVM's instead.

XTENSA_AS ?= gcc
# Debian's comes without libc: newlib's headers, installed with the Arm compiler, serve every 32-bit machine.
GCC_FLAGS := $(if $(filter xtensa-lx106-elf-,$(CROSS)),-mabi=windowed -isystem /usr/include/newlib)

ifeq ($(XTENSA_AS),llvm)
include xtensa/llvm.mk
ASSEMBLE_GCC = $(PYTHON) xtensa/gas.py $(1).own.s $(1).near.s && $(PYTHON) xtensa/literals.py $(1).near.s $(1).fixed.s && \
    $(ASSEMBLE) -o $(1).part $(1).fixed.s && $(PYTHON) xtensa/relocations.py $(1).part $(1).o
else
ASSEMBLE_GCC = $(CROSS)gcc -c -o $(1).o $(1).own.s
endif

$(SRC_O): xtensa/gcc.mk xtensa/sections.py

# In place of dynruntime.mk's rule.
$(BUILD)/%.o: %.c $(CONFIG_H) Makefile
	$(ECHO) "CC $<"
	$(Q)$(CROSS)gcc $(CFLAGS) $(GCC_FLAGS) -S -o $(@:.o=.s) $<
	$(Q)$(PYTHON) xtensa/sections.py $(@:.o=.s) $(@:.o=.own.s) $*
	$(Q)$(call ASSEMBLE_GCC,$(@:.o=))
