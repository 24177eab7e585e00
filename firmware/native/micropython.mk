# The core as a user C module, in the firmware itself, for MicroPython's ports that are built with make:
#
#   make -C ports/unix USER_C_MODULES=/path/to/bitwren/firmware

BITWREN_DIR := $(USERMOD_DIR)

# Only module.c holds names for MicroPython to look for.
SRC_USERMOD_C += $(BITWREN_DIR)/module.c
SRC_USERMOD_LIB_C += $(filter-out %/module.c,$(sort $(wildcard $(BITWREN_DIR)/*.c)))
SRC_USERMOD_LIB_ASM += $(sort $(wildcard $(BITWREN_DIR)/*.S))
CFLAGS_USERMOD += -I$(BITWREN_DIR)

# The Makefile beside says why. Ports compile with -Os.
BITWREN_O := $(patsubst $(USER_C_MODULES)/%,$(BUILD)/%,$(BITWREN_DIR))
$(BITWREN_O)/products.o $(BITWREN_O)/scan.o: CFLAGS += -O2
