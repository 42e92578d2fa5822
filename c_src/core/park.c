#include "park.h"

#include "runtime.h"

static void woken(struct mb_scheduler *s, int was) {
  if (was == MB_PARKED_IDLE) atomic_fetch_add(&s->runtime->could_wake, 1);
}

void mb_wake_scheduler(struct mb_scheduler *s) {
  int was;
  if (atomic_load(&s->parked) == MB_AWAKE) return; /* partner: the store in mb_park */
  was = atomic_exchange(&s->parked, MB_AWAKE);
  woken(s, was); /* before the caller can become idle itself */
  if (was != MB_AWAKE) uv_async_send(&s->doorbell);
}

/* What could wake somebody is gone. */
static void one_less(struct mb_runtime *rt) {
  if (atomic_fetch_sub(&rt->could_wake, 1) != 1) return;
  atomic_store(&rt->deadlocked, 1);
  mb_wake_scheduler(&rt->schedulers[0]);
}

void mb_waker_add(struct mb_runtime *rt) { atomic_fetch_add(&rt->could_wake, 1); }

void mb_waker_remove(struct mb_runtime *rt) { one_less(rt); }

int mb_park(struct mb_scheduler *s, int idle) {
  struct mb_runtime *rt = s->runtime;
  atomic_store(&s->parked, idle ? MB_PARKED_IDLE : MB_PARKED); /* partner: the load in mb_wake_scheduler */
  if (atomic_load(&s->posted) || atomic_load(&s->stop) || atomic_load(&s->noticed)) {
    int was = atomic_exchange(&s->parked, MB_AWAKE);
    /* Somebody who has woken it has counted it, although it was not uncounted yet. */
    if (idle && was == MB_AWAKE) atomic_fetch_sub(&rt->could_wake, 1);
    return 0;
  }
  atomic_fetch_add(&rt->sleepers, 1);
  if (idle) one_less(rt);
  return 1;
}

int mb_unparked(struct mb_scheduler *s) {
  struct mb_runtime *rt = s->runtime;
  atomic_fetch_sub(&rt->sleepers, 1);
  woken(s, atomic_exchange(&s->parked, MB_AWAKE));
  return s->id == 0 && atomic_exchange(&rt->deadlocked, 0) && atomic_load(&rt->could_wake) == 1 &&
         !atomic_load(&s->posted);
}
