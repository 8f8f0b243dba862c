"""Packs the Linux guest's first file system: initrd.py OUT BUSYBOX INIT. The same input gives the same bytes.

The format is cpio's "newc", which the kernel unpacks (Linux, Documentation/driver-api/early-userspace/
buffer-format.rst). Not compressed, for unpacking would be most of what a guest does until /init."""

import pathlib
import stat
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
FOLDERS = ("bin", "dev", "proc", "sys", "tmp")
DIRECTORY, PROGRAM, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777


def padded(data):
    return data + bytes(-len(data) % 4)


def record(number, name, mode, data=b""):
    """One file: the header's 13 numbers in hexadecimal, the name, the data, each padded to 4 bytes."""
    path = name.encode() + b"\0"
    numbers = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    return padded(b"070701" + b"".join(b"%08x" % n for n in numbers) + path) + padded(data)


def files(busybox, init):
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    yield from ((name, DIRECTORY, b"") for name in FOLDERS)
    yield "init", PROGRAM, init.read_bytes()
    yield "bin/busybox", PROGRAM, busybox.read_bytes()
    yield from ((f"bin/{name}", PROGRAM, (HERE / name).read_bytes()) for name in ("start", "cpu"))
    yield from ((f"bin/{name}", LINK, b"busybox") for name in applets if name != "busybox")


def main():
    out, busybox, init = map(pathlib.Path, sys.argv[1:])
    records = [record(number, *file) for number, file in enumerate(files(busybox.resolve(), init), start=1)]
    out.write_bytes(b"".join(records) + record(0, "TRAILER!!!", 0))


if __name__ == "__main__":
    main()
