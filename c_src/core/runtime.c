#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

int mb_runtime_init(struct mb_runtime *rt, const struct mb_upcalls *upcalls, uint32_t limit) {
  int err;
  *rt = (struct mb_runtime){.upcalls = upcalls};
  if (limit == 0 || limit > MB_MAX_INDEX) limit = MB_DEFAULT_LIMIT;
  err = mb_table_init(&rt->table, limit);
  if (!err) err = mb_names_init(&rt->names);
  if (!err) {
    rt->schedulers = calloc(1, sizeof *rt->schedulers);
    err = rt->schedulers ? mb_scheduler_init(&rt->schedulers[0], rt, 0) : MB_ENOMEM;
    rt->scheduler_count = 1;
  }
  if (err) mb_runtime_deinit(rt);
  return err;
}

void mb_runtime_deinit(struct mb_runtime *rt) {
  mb_ticker_deinit(rt);
  if (rt->schedulers)
    for (uint32_t i = 0; i < rt->scheduler_count; i++) mb_scheduler_deinit(&rt->schedulers[i]);
  free(rt->schedulers);
  mb_names_deinit(&rt->names);
  mb_table_deinit(&rt->table);
  mb_reason_release(rt->normal);
  mb_reason_release(rt->killed);
  mb_reason_release(rt->noproc);
  mb_reason_release(rt->noconnection);
  *rt = (struct mb_runtime){0};
}

struct mb_process *mb_lookup(struct mb_runtime *rt, mb_pid pid) {
  struct mb_process *p = mb_table_slot(&rt->table, pid);
  return p && atomic_load_explicit(&p->pid, memory_order_acquire) == pid ? p : NULL;
}

int mb_register(struct mb_scheduler *s, mb_pid pid, const char *name, uint32_t size) {
  struct mb_process *p = mb_local(s, pid);
  struct mb_name *entry;
  int err;
  if (!p) return MB_ENOPROC;
  if (p->name) return MB_ENAME;
  err = mb_names_add(&s->runtime->names, name, size, pid, &entry);
  if (!err) p->name = entry;
  return err;
}

int mb_unregister(struct mb_scheduler *s, const char *name, uint32_t size) {
  mb_pid pid = mb_names_find(&s->runtime->names, name, size);
  struct mb_process *p = pid ? mb_lookup(s->runtime, pid) : NULL;
  if (p) p->name = NULL;
  return mb_names_remove(&s->runtime->names, name, size) != 0;
}
