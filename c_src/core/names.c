#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "hash.h"
#include "runtime.h"

int mb_names_init(struct mb_names *n) {
  *n = (struct mb_names){.capacity = 64};
  n->buckets = calloc(n->capacity, sizeof *n->buckets);
  if (!n->buckets) return MB_ENOMEM;
  if (uv_rwlock_init(&n->lock) != 0) {
    free(n->buckets);
    n->buckets = NULL;
    return MB_ENOMEM;
  }
  return 0;
}

void mb_names_deinit(struct mb_names *n) {
  if (!n->buckets) return;
  for (uint32_t i = 0; i < n->capacity; i++) {
    for (struct mb_name *e = n->buckets[i], *next; e; e = next) {
      next = e->next;
      free(e);
    }
  }
  free(n->buckets);
  n->buckets = NULL;
  uv_rwlock_destroy(&n->lock);
}

static struct mb_name **find(struct mb_names *n, uint32_t hash, const char *text, uint32_t size) {
  struct mb_name **at = &n->buckets[hash & (n->capacity - 1)];
  while (*at && !((*at)->hash == hash && (*at)->size == size && !memcmp((*at)->text, text, size)))
    at = &(*at)->next;
  return at;
}

mb_pid mb_names_find(struct mb_names *n, const char *text, uint32_t size) {
  uint32_t hash = (uint32_t)mb_hash_bytes(text, size);
  struct mb_name *e;
  mb_pid pid;
  uv_rwlock_rdlock(&n->lock);
  e = *find(n, hash, text, size);
  pid = e ? e->pid : 0;
  uv_rwlock_rdunlock(&n->lock);
  return pid;
}

/* Move all entries to a table of twice the size, which the caller allocated; the old one is returned. */
static struct mb_name **grow(struct mb_names *n, struct mb_name **buckets) {
  struct mb_name **old = n->buckets;
  uint32_t old_capacity = n->capacity;
  n->buckets = buckets;
  n->capacity *= 2;
  for (uint32_t i = 0; i < old_capacity; i++) {
    for (struct mb_name *e = old[i], *next; e; e = next) {
      struct mb_name **at = &n->buckets[e->hash & (n->capacity - 1)];
      next = e->next;
      e->next = *at;
      *at = e;
    }
  }
  return old;
}

/* Under the table's lock: p's pointer goes, and the entry from the table. */
static void take_out(struct mb_names *n, struct mb_process *p, struct mb_name *e) {
  mb_lock_take(&p->lock); /* partner: mb_names_of, which looks without the table's lock */
  p->name = NULL;
  mb_lock_drop(&p->lock);
  *find(n, e->hash, e->text, e->size) = e->next;
  n->count--;
}

/* The process exits. Its name may have been taken away since; only who holds the table's lock changes that. */
static void process_exits(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  struct mb_names *n = &s->runtime->names;
  struct mb_name *e = (struct mb_name *)h;
  uv_rwlock_wrlock(&n->lock);
  if (p->name == e) take_out(n, p, e);
  uv_rwlock_wrunlock(&n->lock);
  free(e);
}

int mb_names_add(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, const char *text, uint32_t size) {
  struct mb_names *n = &s->runtime->names;
  struct mb_name *e = malloc(sizeof *e + size + 1), **at, **spare = NULL;
  uint32_t full;
  int err;
  if (!e) return MB_ENOMEM;
  uv_rwlock_rdlock(&n->lock);
  full = n->count >= n->capacity ? n->capacity : 0; /* a hint: checked again under the lock */
  uv_rwlock_rdunlock(&n->lock);
  if (full) spare = calloc((size_t)full * 2, sizeof *spare);
  *e = (struct mb_name){.holding = {.end = process_exits, .kind = MB_HOLDING_NAME}, .pid = pid,
                        .hash = (uint32_t)mb_hash_bytes(text, size), .size = size};
  memcpy(e->text, text, size);
  e->text[size] = '\0';
  uv_rwlock_wrlock(&n->lock);
  if (spare && n->capacity == full) spare = grow(n, spare);
  at = find(n, e->hash, text, size);
  err = *at ? MB_ENAME : 0;
  if (!err) {
    mb_lock_take(&p->lock); /* partner: mb_holdings_close, after which nobody can name p */
    if (atomic_load_explicit(&p->pid, memory_order_relaxed) != pid ||
        atomic_load_explicit(&p->exiting, memory_order_relaxed)) {
      err = MB_ENOPROC;
    } else if (p->name) {
      err = MB_ENAMED;
    } else {
      p->name = e;
      mb_holding_put(s, p, &e->holding);
    }
    mb_lock_drop(&p->lock);
  }
  if (!err) {
    *at = e;
    n->count++;
  }
  uv_rwlock_wrunlock(&n->lock);
  free(spare);
  if (err) free(e);
  return err;
}

int mb_names_remove(struct mb_scheduler *s, const char *text, uint32_t size) {
  struct mb_names *n = &s->runtime->names;
  struct mb_name *e;
  int had = 0, own = 0;
  uv_rwlock_wrlock(&n->lock);
  e = *find(n, (uint32_t)mb_hash_bytes(text, size), text, size);
  if (e) {
    struct mb_process *p = mb_process_table_slot(&s->runtime->table, e->pid);
    had = 1;
    take_out(n, p, e);
    own = mb_holding_remove(s, p, &e->holding); /* else process_exits waits for the lock, and frees it */
  }
  uv_rwlock_wrunlock(&n->lock);
  if (own) free(e);
  return had;
}

char *mb_names_of(struct mb_names *n, struct mb_process *p, uint32_t *size) {
  char *copy = NULL;
  int has;
  mb_lock_take(&p->lock); /* most have none: no need of the table's lock */
  has = p->name != NULL;
  mb_lock_drop(&p->lock);
  if (!has) return NULL;
  uv_rwlock_rdlock(&n->lock);
  if (p->name && (copy = malloc((size_t)p->name->size + 1))) {
    *size = p->name->size;
    memcpy(copy, p->name->text, (size_t)*size + 1);
  }
  uv_rwlock_rdunlock(&n->lock);
  return copy;
}

static size_t add_up(struct mb_names *n, char *out) {
  size_t size = 0;
  for (uint32_t i = 0; i < n->capacity; i++) {
    for (struct mb_name *e = n->buckets[i]; e; e = e->next) {
      if (out) {
        memcpy(out + size, &e->size, sizeof e->size);
        memcpy(out + size + sizeof e->size, e->text, e->size);
      }
      size += sizeof e->size + e->size;
    }
  }
  return size;
}

char *mb_names_all(struct mb_names *n, size_t *size) {
  char *all = NULL;
  size_t room = 0;
  for (;;) {
    uv_rwlock_rdlock(&n->lock);
    *size = add_up(n, NULL);
    if (all && *size <= room) (void)add_up(n, all);
    uv_rwlock_rdunlock(&n->lock);
    if (all && *size <= room) return all;
    free(all); /* more names came while memory was asked for */
    room = *size + 1;
    all = malloc(room);
    if (!all) return NULL;
  }
}
