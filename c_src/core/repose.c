#include "repose.h"

#include "runtime.h"

static void awake(struct mb_scheduler *s, int was) {
  if (was == MB_HOPELESS) atomic_fetch_add(&s->runtime->hopeful, 1);
}

void mb_rouse(struct mb_scheduler *s) {
  int was;
  if (atomic_load(&s->repose) == MB_AWAKE) return; /* partner: the store in mb_repose */
  was = atomic_exchange(&s->repose, MB_AWAKE);
  awake(s, was); /* before the caller can lose hope itself */
  if (was != MB_AWAKE) uv_async_send(&s->doorbell);
}

int mb_repose(struct mb_scheduler *s, int hopeless) {
  struct mb_runtime *rt = s->runtime;
  atomic_store(&s->repose, hopeless ? MB_HOPELESS : MB_ASLEEP); /* partner: the load in mb_rouse */
  if (atomic_load(&s->posted) || atomic_load(&s->stop) || atomic_load(&s->noticed)) {
    int was = atomic_exchange(&s->repose, MB_AWAKE);
    /* Somebody who has roused it has counted it, although it was not uncounted yet. */
    if (hopeless && was == MB_AWAKE) atomic_fetch_sub(&rt->hopeful, 1);
    return 0;
  }
  atomic_fetch_add(&rt->sleepers, 1);
  if (hopeless && atomic_fetch_sub(&rt->hopeful, 1) == 1) {
    atomic_store(&rt->deadlocked, 1);
    mb_rouse(&rt->schedulers[0]);
  }
  return 1;
}

int mb_arise(struct mb_scheduler *s) {
  struct mb_runtime *rt = s->runtime;
  atomic_fetch_sub(&rt->sleepers, 1);
  awake(s, atomic_exchange(&s->repose, MB_AWAKE));
  return s->id == 0 && atomic_exchange(&rt->deadlocked, 0) && atomic_load(&rt->hopeful) == 1 &&
         !atomic_load(&s->posted);
}
