#!/bin/bash
# fetch.sh FOLDER: puts MicroPython's source, with all that its rp2 port needs, into FOLDER.
#
# Everything comes from Debian's archive, through the mirror this machine already uses, signed and verified by apt:
# Debian trixie's packages, read on whatever release this is, with a sources list and package lists of our own. The
# system's own apt configuration and lists are not touched, and root is not needed.
set -euo pipefail

suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

target=$(realpath -m "$1")
work=$target.part
rm -rf "$work"
mkdir -p "$work/source" "$work/lists/partial" "$work/cache/archives/partial" "$work/download"

give_up() {
    echo "$1 Or give a MicroPython source tree (1.23 or later, submodules included): make MPY_DIR=/path/to/micropython" >&2
    exit 1
}

command -v apt-get >/dev/null || give_up "MicroPython's source is fetched with apt-get, which this system has not."
[ -e "$keyring" ] || give_up "$keyring is missing: install the package debian-archive-keyring."

# Without the sandbox user, which could not write below a private folder.
private=(-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none)

# The repositories that this machine is set up for, as apt knows them.
repositories() { apt-get "$@" indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u; }

candidates=$(repositories)
if [ -z "$candidates" ]; then
    # Nobody has run apt-get update here: do it in our own folder, where it needs no root.
    apt-get "${private[@]}" update
    candidates=$(repositories "${private[@]}")
fi

private+=(-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=-)
found=
for uri in $candidates; do
    case $uri in *security*) continue ;; esac
    printf '%s [signed-by=%s] %s %s main\n' deb "$keyring" "$uri" "$suite" deb-src "$keyring" "$uri" "$suite" >"$work/sources.list"
    if apt-get "${private[@]}" -o APT::Update::Error-Mode=any update; then
        found=$uri
        break
    fi
done
[ -n "$found" ] || give_up "None of this machine's apt repositories has Debian $suite."

cd "$work/download"
apt-get "${private[@]}" source --download-only micropython mbedtls
apt-get "${private[@]}" download pico-sdk-source tinyusb-source

# Debian's patches are for Debian's own build of the unix port, so the upstream tarball is taken as it is. What is left
# out is never compiled here and would be 4,000 files more.
tar --no-same-owner -xf micropython_*.orig.tar.* -C "$work/source" --strip-components=1 \
    --exclude='*/docs/*' --exclude='micropython-*/tests/*' --exclude='*/logo/*'
(cd "$work/source/ports" && find . -mindepth 1 -maxdepth 1 -type d ! -name unix ! -name rp2 ! -name qemu -exec rm -rf {} +)

# The submodules that Debian's tarball comes without, where the rp2 port looks for them.
lib=$work/source/lib
dpkg-deb --fsys-tarfile pico-sdk-source_*.deb | tar --no-same-owner -x -C "$lib/pico-sdk" --strip-components=4 \
    --exclude=./usr/src/pico-sdk/lib ./usr/src/pico-sdk
dpkg-deb --fsys-tarfile tinyusb-source_*.deb | tar --no-same-owner -x -C "$lib/tinyusb" --strip-components=4 \
    --wildcards --no-wildcards-match-slash ./usr/src/tinyusb/src './usr/src/tinyusb/hw/bsp/*.*' ./usr/src/tinyusb/hw/bsp/rp2040
tar --no-same-owner -xf mbedtls_*.orig.tar.* -C "$lib/mbedtls" --strip-components=1 \
    --wildcards --no-wildcards-match-slash '*/library' '*/include'

rm -rf "$target"
mv "$work/source" "$target"
rm -rf "$work"
