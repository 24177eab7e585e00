# LLVM's assembler for Xtensa, with the instructions that all three chips have.

LLVM ?= -22

# Instructions that all three chips have, as ESP-IDF's core-isa.h says for each. The S2 has no "loop" and no "mac16".
FEATURES := windowed density nsa sext minmax mul16 mul32
comma := ,
space := $(subst ,, )
ASSEMBLE := llvm-mc$(LLVM) -triple=xtensa -filetype=obj -mattr=+$(subst $(space),$(comma)+,$(FEATURES))
