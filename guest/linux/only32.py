"""only32.py OUT BZIMAGE: a copy of a Linux kernel that does not tell of its 64-bit entry, so that it is entered in 32-bit mode.

The setup header's xloadflags, bit 0 (Linux, Documentation/arch/x86/boot.rst, "Details of Header Fields")."""

import pathlib
import sys

XLOADFLAGS, XLF_KERNEL_64 = 0x236, 1

out, kernel = map(pathlib.Path, sys.argv[1:])
image = bytearray(kernel.read_bytes())
image[XLOADFLAGS] &= ~XLF_KERNEL_64
out.write_bytes(image)
