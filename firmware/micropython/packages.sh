#!/bin/bash
# packages.sh PYTHON LOG: makes sure that the tools every build step needs are on this machine.
# Looks for the tools, not for package names, so that a toolchain installed by hand counts too.
set -euo pipefail

python=$1
log=$2
here=$(dirname "$0")

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "bitwren needs Python 3.11 or later, and '$python' is not. Say which one to use: make PYTHON=/path/to/python3" >&2
    exit 1
fi

# gcc prints a library's full path when it has it, and the bare name back when it has not.
arm_has() { [ "$(arm-none-eabi-gcc -print-file-name="$1" 2>/dev/null || echo "$1")" != "$1" ]; }

missing=()
command -v gcc >/dev/null || missing+=(gcc)
# A gcc installed without what it recommends has no C library to compile against.
echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1 || missing+=(libc6-dev)
command -v cmake >/dev/null || missing+=(cmake)
command -v arm-none-eabi-gcc >/dev/null || missing+=(gcc-arm-none-eabi)
arm_has libc.a || missing+=(libnewlib-arm-none-eabi)
arm_has libstdc++.a || missing+=(libstdc++-arm-none-eabi-newlib)
command -v riscv64-unknown-elf-gcc >/dev/null || missing+=(gcc-riscv64-unknown-elf)
[ "$(riscv64-unknown-elf-gcc -print-file-name=picolibc.specs 2>/dev/null || echo picolibc.specs)" != picolibc.specs ] ||
    missing+=(picolibc-riscv64-unknown-elf)
command -v qemu-system-arm >/dev/null || missing+=(qemu-system-arm)
command -v qemu-system-riscv32 >/dev/null || missing+=(qemu-system-misc)
command -v bzip2 >/dev/null || missing+=(bzip2)
command -v xz >/dev/null || missing+=(xz-utils)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

# For xtensawin and fuzzing alone, and left out where apt has none: LLVM 22 came to Debian 12 with the security updates.
wished=()
command -v clang-22 >/dev/null || wished+=(clang-22)
command -v llvm-mc-22 >/dev/null || wished+=(llvm-22)
compgen -G "$(clang-22 --print-runtime-dir 2>/dev/null)/libclang_rt.fuzzer*.a" >/dev/null || wished+=(libclang-rt-22-dev)
command -v xtensa-lx106-elf-ld >/dev/null || wished+=(binutils-xtensa-lx106)
command -v xtensa-lx106-elf-gcc >/dev/null || wished+=(gcc-xtensa-lx106)
command -v qemu-xtensa >/dev/null || wished+=(qemu-user)

install() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Packages are missing. As root: apt-get install $*" >&2
            return 1
        fi
        as_root=(sudo)
        # Asked for here, where the question can be seen: the steps below write to a log.
        sudo -v
    fi
    DEBIAN_FRONTEND=noninteractive "$here/logged.sh" "$log" "Installing $* (a minute or two)" \
        "${as_root[@]}" sh -c "apt-get update && apt-get install -y --no-install-recommends $*"
}

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "This system has no apt-get. Install what these Debian packages hold, then run make again: ${missing[*]}" >&2
        exit 1
    fi
    install "${missing[@]}"
fi

# Asked after the first installation, which fetches the package lists on a machine that never had any.
known=()
for package in "${wished[@]}"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        known+=("$package")
    fi
done
[ ${#known[@]} -eq 0 ] || install "${known[@]}" || echo "Without them, the native module for xtensawin and fuzzing are left out." >&2
