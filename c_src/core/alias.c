#include "alias.h"

#include <stdlib.h>

#include "error.h"
#include "runtime.h"

struct mb_alias {
  struct mb_holding holding; /* of the process; first, see process_exits */
  mb_ref ref;
  mb_pid pid;
  uint8_t ends; /* enum mb_alias_ends */
};

int mb_aliases_init(struct mb_aliases *all) {
  *all = (struct mb_aliases){0};
  all->has_lock = uv_rwlock_init(&all->lock) == 0;
  return all->has_lock ? 0 : MB_ENOMEM;
}

void mb_aliases_deinit(struct mb_aliases *all) {
  mb_map_deinit(&all->by_ref); /* empty: every process has ended */
  if (all->has_lock) uv_rwlock_destroy(&all->lock);
  all->has_lock = 0;
}

static void forget(struct mb_runtime *rt, struct mb_alias *a) {
  uv_rwlock_wrlock(&rt->aliases.lock);
  mb_map_remove(&rt->aliases.by_ref, a->ref, NULL);
  uv_rwlock_wrunlock(&rt->aliases.lock);
  free(a);
}

static void process_exits(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  (void)p;
  forget(s->runtime, (struct mb_alias *)h);
}

int mb_alias_add(struct mb_scheduler *s, struct mb_process *p, mb_ref ref, enum mb_alias_ends ends) {
  struct mb_aliases *all = &s->runtime->aliases;
  mb_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
  struct mb_alias *a = malloc(sizeof *a);
  int err;
  if (!a) return MB_ENOMEM;
  *a = (struct mb_alias){.holding = {.end = process_exits, .kind = MB_HOLDING_ALIAS}, .ref = ref, .pid = pid,
                         .ends = (uint8_t)ends};
  uv_rwlock_wrlock(&all->lock);
  err = mb_map_put(&all->by_ref, ref, (uint64_t)(uintptr_t)a);
  uv_rwlock_wrunlock(&all->lock);
  if (err) {
    free(a);
    return err;
  }
  p->flags |= MB_HAS_ALIASES;
  (void)mb_holding_add(s, p, pid, &a->holding); /* it lives: this is its thread */
  return 0;
}

static struct mb_alias *find(struct mb_aliases *all, mb_ref ref) {
  const uint64_t *there = mb_map_get(&all->by_ref, ref);
  return there ? (struct mb_alias *)(uintptr_t)*there : NULL;
}

mb_pid mb_alias_find(struct mb_runtime *rt, mb_ref ref) {
  const struct mb_alias *a;
  mb_pid pid;
  uv_rwlock_rdlock(&rt->aliases.lock);
  a = find(&rt->aliases, ref);
  pid = a ? a->pid : 0;
  uv_rwlock_rdunlock(&rt->aliases.lock);
  return pid;
}

/* An alias of p's, which no other thread ends; NULL when it has none of that reference. */
static struct mb_alias *own(struct mb_scheduler *s, struct mb_process *p, mb_ref ref) {
  struct mb_alias *a;
  if (!(p->flags & MB_HAS_ALIASES)) return NULL;
  uv_rwlock_rdlock(&s->runtime->aliases.lock);
  a = find(&s->runtime->aliases, ref);
  uv_rwlock_rdunlock(&s->runtime->aliases.lock);
  return a && a->pid == atomic_load_explicit(&p->pid, memory_order_relaxed) ? a : NULL;
}

static void end(struct mb_scheduler *s, struct mb_process *p, struct mb_alias *a) {
  if (mb_holding_remove(s, p, &a->holding)) forget(s->runtime, a);
}

int mb_alias_end(struct mb_scheduler *s, struct mb_process *p, mb_ref ref) {
  struct mb_alias *a = own(s, p, ref);
  if (!a) return 0;
  end(s, p, a);
  return 1;
}

void mb_alias_monitor_ended(struct mb_scheduler *s, struct mb_process *p, mb_ref ref) {
  struct mb_alias *a = own(s, p, ref);
  if (a && a->ends & MB_ALIAS_WITH_MONITOR) end(s, p, a);
}

int mb_alias_arrived(struct mb_scheduler *s, struct mb_process *p, mb_ref ref, enum mb_alias_ends *ends) {
  struct mb_alias *a = own(s, p, ref);
  if (!a) return 0;
  *ends = a->ends & MB_ALIAS_AT_MESSAGE ? (enum mb_alias_ends)a->ends : MB_ALIAS_EXPLICIT;
  if (*ends) end(s, p, a);
  return 1;
}
