#include "runtime.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "freeze.h"
#include "loop.h"
#include "park.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h> /* it does not scan mapped memory by itself */
#else
#define __lsan_register_root_region(at, size) (void)0
#define __lsan_unregister_root_region(at, size) (void)0
#endif

enum { ROOM = MB_MAX_SCHEDULERS * sizeof(struct mb_scheduler) }; /* bytes */

/* Room for all schedulers: nobody moves, and pages that nobody touches cost nothing, which calloc does not promise. */
static struct mb_scheduler *room_new(void) {
  void *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return NULL;
  __lsan_register_root_region(room, ROOM);
  return room;
}

static void room_free(struct mb_scheduler *room) {
  __lsan_unregister_root_region(room, ROOM);
  munmap(room, ROOM);
}

int mb_runtime_init(struct mb_runtime *rt, const struct mb_upcalls *upcalls, uint32_t limit, uint32_t schedulers) {
  int err;
  *rt = (struct mb_runtime){.upcalls = upcalls};
  if (limit == 0 || limit > MB_MAX_INDEX) limit = MB_DEFAULT_LIMIT;
  err = mb_process_table_init(&rt->table, limit);
  if (!err) err = mb_names_init(&rt->names);
  if (!err) err = mb_aliases_init(&rt->aliases);
  if (!err) err = mb_registries_init(&rt->registries);
  if (!err) {
    rt->schedulers = room_new();
    err = rt->schedulers ? mb_scheduler_init(&rt->schedulers[0], rt, 0) : MB_ENOMEM;
    rt->scheduler_count = schedulers;
    rt->could_wake = 1;
    rt->started = 1;
  }
  if (err) mb_runtime_deinit(rt);
  return err;
}

int mb_runtime_start(struct mb_runtime *rt) {
  uint32_t i;
  int err = 0;
  for (i = 1; i < rt->scheduler_count && !err; i++) {
    err = mb_scheduler_init(&rt->schedulers[i], rt, i);
    atomic_store(&rt->schedulers[i].parked, MB_PARKED); /* it can be given work: its thread is about to run it */
  }
  if (err) {
    while (--i > 0) mb_scheduler_deinit(&rt->schedulers[i]);
    return err;
  }
  atomic_fetch_add(&rt->could_wake, (int)rt->scheduler_count - 1);
  atomic_fetch_add(&rt->sleepers, rt->scheduler_count - 1);
  atomic_store_explicit(&rt->started, rt->scheduler_count, memory_order_release);
  mb_freeze_at_exit(rt);
  return 0;
}

void mb_runtime_deinit(struct mb_runtime *rt) {
  mb_freeze_forget(rt);
  mb_ticker_deinit(rt);
  if (rt->schedulers)
    for (uint32_t i = 0; i < rt->started; i++) mb_scheduler_deinit(&rt->schedulers[i]);
  if (rt->schedulers) room_free(rt->schedulers);
  mb_registries_deinit(&rt->registries);
  mb_aliases_deinit(&rt->aliases);
  mb_names_deinit(&rt->names);
  mb_process_table_deinit(&rt->table);
  mb_reason_release(rt->normal);
  mb_reason_release(rt->killed);
  mb_reason_release(rt->noproc);
  mb_reason_release(rt->noconnection);
  *rt = (struct mb_runtime){0};
}

const char *mb_node_name(const struct mb_runtime *rt) {
  (void)rt;
  return "nonode@nohost"; /* as Erlang's, which has not been given one */
}

int mb_register(struct mb_scheduler *s, mb_pid pid, const char *name, uint32_t size) {
  struct mb_process *p = mb_process_table_lookup(&s->runtime->table, pid);
  return p ? mb_names_add(s, p, pid, name, size) : MB_ENOPROC;
}
