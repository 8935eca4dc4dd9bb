// A mutant of the system instead of the program: syncs that do nothing, for LD_PRELOAD.
int fdatasync(int descriptor) {
  (void)descriptor;
  return 0;
}
int fsync(int descriptor) { return fdatasync(descriptor); }
