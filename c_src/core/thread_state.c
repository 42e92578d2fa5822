#include "thread_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <dirent.h>
#include <sys/syscall.h>
#endif

enum { ASKING_NS = 5000 }; /* what it takes to ask for the time, at most, when nothing comes in between */

static uint64_t processor_time(const struct mb_thread *t) {
  struct timespec now;
  return clock_gettime(t->clock, &now) == 0 ? (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec : 0;
}

/* The start of what /proc tells in one of the thread's files: its size, 0 if there is none. */
static size_t kernel_text(const struct mb_thread *t, const char *file, char text[64]) {
  char path[64];
  ssize_t size;
  int fd;
  if (!t->id) return 0;
  snprintf(path, sizeof path, "/proc/self/task/%ld/%s", t->id, file);
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  size = read(fd, text, 63);
  close(fd);
  if (size < 0) size = 0;
  text[size] = 0;
  return (size_t)size;
}

/* The state that /proc tells, 'R' for one that runs or could; 0: unknown. */
static char kernel_state(const struct mb_thread *t) {
  char text[64], *end; /* "id (name) state ...": a name has 15 bytes at most */
  if (!kernel_text(t, "stat", text)) return 0;
  end = strrchr(text, ')');
  return end && end[1] == ' ' ? end[2] : 0;
}

uint64_t mb_thread_delay(struct mb_thread *t) {
  char text[64]; /* "time on a processor, time ready without one, ..." */
  unsigned long long now;
  uint64_t before = t->delayed;
  if (!kernel_text(t, "schedstat", text) || sscanf(text, "%*u %llu", &now) != 1) return 0;
  t->delayed = now;
  return now - before;
}

uint64_t mb_thread_own_delay(void) {
  struct mb_thread t = {0};
#ifdef __linux__
  t.id = syscall(SYS_gettid);
#endif
  return mb_thread_delay(&t);
}

uint64_t mb_program_delay(void) {
  uint64_t all = 0;
#ifdef __linux__
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return 0;
  for (const struct dirent *task; (task = readdir(tasks));) {
    struct mb_thread t = {.id = strtol(task->d_name, NULL, 10)};
    all += mb_thread_delay(&t); /* of "." and "..": nothing */
  }
  closedir(tasks);
#endif
  return all;
}

void mb_thread_init(struct mb_thread *t) {
  *t = (struct mb_thread){.thread = pthread_self()};
#ifndef __APPLE__
  t->has_clock = pthread_getcpuclockid(t->thread, &t->clock) == 0;
#endif
#ifdef __linux__
  t->id = syscall(SYS_gettid);
#endif
  (void)mb_thread_delay(t); /* from here on */
}

void mb_thread_look(struct mb_thread *t) {
  if (t->has_clock) t->ran = processor_time(t);
}

/* Whether the thread is on a processor at this moment. Where it has run for longer than asking takes, the caller has
 * been kept from its own meanwhile, by this thread maybe: then all is as before. */
static int is_running(struct mb_thread *t) {
  uint64_t before = processor_time(t);
  for (;; before = t->ran) {
    t->ran = processor_time(t);
    if (t->ran - before < ASKING_NS) return t->ran != before;
  }
}

/* Whether the kernel says that the thread, which does not run, could; `otherwise` if it says nothing. */
static int could_run(struct mb_thread *t, int otherwise) {
  uint64_t before = t->ran;
  char state = kernel_state(t);
  if (state == 0) return otherwise;
  /* to ask has taken a while, in which it may have gone on to wait */
  return state == 'R' && (is_running(t) || t->ran == before);
}

int mb_thread_is_ready(struct mb_thread *t) { return could_run(t, 0); }

enum mb_thread_state mb_thread_sample(struct mb_thread *t) {
  uint64_t before = t->ran;
  if (!t->has_clock || is_running(t)) return MB_THREAD_RUNS;
  if (t->ran == before) return MB_THREAD_STILL;
  return could_run(t, 1) ? MB_THREAD_RUNS : MB_THREAD_WAITS; /* others may have its processor: the caller, maybe */
}
