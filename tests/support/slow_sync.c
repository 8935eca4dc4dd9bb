// A disk that takes long: every fdatasync takes SLOW_SYNC_MICROS longer. For LD_PRELOAD; see slow_sync.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char* micros = getenv("SLOW_SYNC_MICROS");
  if (micros != NULL) usleep((useconds_t)atol(micros));
  return real(fd);
}
