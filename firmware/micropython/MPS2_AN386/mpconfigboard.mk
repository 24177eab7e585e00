# Arm's MPS2 with FPGA image AN386, a Cortex-M4F with hard float: MicroPython's qemu port, run by qemu's machine mps2-an386.
# It loads armv7emsp native modules, as the RP2350's Arm cores do. The machine differs from the port's own MPS2_AN385 in the core only.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an386

CFLAGS += -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M4F"'

LDSCRIPT = $(BOARD_DIR)/link.ld

# The port's startup code does not know of FPUs: fpu.c comes in at the first function that it calls.
LDFLAGS += -Wl,--wrap=mp_semihosting_init
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o fpu.o
vpath fpu.c $(BOARD_DIR)

MPY_CROSS_FLAGS += -march=armv7emsp
