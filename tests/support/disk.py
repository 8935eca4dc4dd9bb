"""A small file system of its own, which a test can fill and break."""

import fcntl
import os
import pathlib
import struct
import subprocess

MIB = 1 << 20

# xfs_fs.h, and ext4.h: the file system ends at once, without a flush of its journal.
FS_IOC_SHUTDOWN = 0x8004587d
NO_LOG_FLUSH = 2


class LoopDisk:
    """ext4 in a file, mounted at `path`."""

    def __init__(self, folder, mebibytes=64, inodes=4096):
        self.image = pathlib.Path(folder, "disk.img")
        self.path = pathlib.Path(folder, "disk")
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(mebibytes * MIB)
        self.run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(inodes), self.image)
        self.mount()

    @staticmethod
    def run(*command):
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)

    def mount(self):
        self.run("mount", "-o", "loop,errors=remount-ro", self.image, self.path)

    def unmount(self):
        self.run("umount", self.path)

    def stop(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True, timeout=60)

    def free(self):
        """Bytes that are free."""
        info = os.statvfs(self.path)
        return info.f_bavail * info.f_frsize

    def free_inodes(self):
        return os.statvfs(self.path).f_favail

    def fill(self, leave):
        """A file that leaves so many bytes free."""
        size = self.free() - leave
        assert size > 0
        with open(self.path / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, size)

    def use_inodes(self, leave):
        (self.path / "many").mkdir()
        for number in range(self.free_inodes() - leave):
            (self.path / "many" / str(number)).touch()

    def clear(self):
        """Takes away what fill and use_inodes made."""
        (self.path / "filler").unlink(missing_ok=True)
        self.run("rm", "-rf", self.path / "many")

    def read_only(self):
        """At once, also for files that are open: as after an error of the disk."""
        self.run("mount", "-o", "remount,abort", self.path)

    def cut_power(self):
        """From now on nothing reaches the disk, and what was not synced is gone; mount again with power_on()."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def power_on(self):
        """Nothing may have a file open any more."""
        self.unmount()
        self.mount()
