/* ThreadSanitizer knows descriptors by the calls that open and close them, but libuv closes by syscall(): whoever is
 * given the number next would seem to share it with whoever had it before, without any order. So that one calls close.
 * Linked into programs that are built with it. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static long (*theirs)(long number, ...);

__attribute__((constructor)) static void find(void) { *(void **)&theirs = dlsym(RTLD_NEXT, "syscall"); }

__attribute__((visibility("default"))) long syscall(long number, ...) {
  va_list list;
  long a[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long); /* as many as there can be: who has fewer ignores the rest */
  va_end(list);
  return number == SYS_close ? close((int)a[0]) : theirs(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
