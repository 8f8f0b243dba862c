#!/bin/sh
# Installs the Debian packages that a target of the Makefile needs: deps.sh iso|run|test|bench|page.
# Plain shell, because python3 may be one of them. Says nothing when nothing is missing.
set -eu

build="nasm python3"
iso="grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools"
bochs="bochs bochsbios vgabios"
qemu="qemu-system-x86"
plots="python3-matplotlib"
tests="libc6-dev libcmocka-dev clang libclang-rt-dev cppcheck clang-format spin"

case "${MACHINE:-}" in
bochs*) emulators=$bochs ;;
kvm* | qemu*) emulators=$qemu ;;
*) # run.py will choose: kvm needs a usable /dev/kvm
	emulators=$bochs
	if [ -w /dev/kvm ]; then emulators="$bochs $qemu"; fi
	;;
esac

case "${1:-}" in
iso) wanted="$build $iso" ;;
run) wanted="$build $iso $emulators" ;;
test) wanted="$build $iso $bochs $qemu $tests $plots" ;;
bench) wanted="$build $iso $emulators libc6-dev binutils $plots" ;;
page) wanted="python3 $plots" ;;
*)
	echo "usage: deps.sh iso|run|test|bench|page" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "deps: this is not Debian or Ubuntu: see to it that these are there: $wanted" >&2
	exit 0
fi

installed=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' $wanted 2>/dev/null || true)"
missing=
for package in $wanted; do
	case "$installed" in
	*" installed=$package "*) ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -z "$missing" ]; then exit 0; fi

as_root=
if [ "$(id -u)" -ne 0 ]; then as_root="sudo "; fi
install="${as_root}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$missing"

if [ "${DEPS:-}" = no ]; then
	echo "deps: missing:$missing" >&2
	echo "deps: to install them: ${as_root}apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi

echo "deps: installing with apt-get:$missing" >&2
# A fresh container has no package lists, an old one may have stale lists.
known=no
if apt-cache show $missing >/dev/null 2>&1 && $install </dev/null >&2; then known=yes; fi
if [ $known = no ]; then
	${as_root}apt-get update </dev/null >&2
	$install </dev/null >&2
fi
