/* What processes have in registries: see registry.h. All of it runs on the process's own thread, except for looking
 * at its keys. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "registry_inside.h"

/* Memberships */

static uv_rwlock_t *stripe_of(struct mb_registries *all, const struct mb_process *p) {
  return &all->stripes[p->index % MB_STRIPES].lock;
}

static struct mb_membership *find(const struct mb_process *p, const struct mb_registry *r) {
  struct mb_membership *m = p->memberships;
  while (m && m->registry != r) m = m->next;
  return m;
}

/* What p has in the registry of this name, NULL: nothing. 0 or MB_EREGISTRY. */
static int find_by_name(struct mb_scheduler *s, const struct mb_process *p, struct mb_bytes name,
                        struct mb_membership **m) {
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  *m = r ? find(p, r) : NULL; /* it has a reference, which outlasts the gate */
  uv_rwlock_rdunlock(gate);
  return r ? 0 : MB_EREGISTRY;
}

/* e, which is in its shard, becomes p's; with it m, if that is new. */
static void list(struct mb_registries *all, struct mb_process *p, struct mb_membership *m, struct mb_registration *e) {
  uv_rwlock_t *stripe = stripe_of(all, p);
  uv_rwlock_wrlock(stripe); /* partner: mb_registry_keys */
  e->own_next = m->first;
  if (m->first) {
    m->first->own_prev = e;
  } else {
    m->next = p->memberships;
    p->memberships = m;
  }
  m->first = e;
  uv_rwlock_wrunlock(stripe);
}

/* The place that points to m goes on behind it. Under the stripe, or when nobody else sees it. */
static void skip(struct mb_process *p, struct mb_membership *m) {
  struct mb_membership **place = &p->memberships;
  while (*place != m) place = &(*place)->next;
  *place = m->next;
}

/* e is no longer p's, and neither is m if that was all. */
static void unlist(struct mb_registries *all, struct mb_process *p, struct mb_membership *m,
                   struct mb_registration *e) {
  uv_rwlock_t *stripe = stripe_of(all, p);
  uv_rwlock_wrlock(stripe); /* partner: mb_registry_keys */
  if (e->own_next) e->own_next->own_prev = e->own_prev;
  if (e->own_prev)
    e->own_prev->own_next = e->own_next;
  else
    m->first = e->own_next;
  if (!m->first) skip(p, m);
  uv_rwlock_wrunlock(stripe);
}

/* End a registration that is nobody's any more. */
static void drop(struct mb_registries *all, struct mb_registry *r, struct mb_registration *e) {
  struct mb_shard *shard = mb_registry_shard(r, e->hash);
  uv_rwlock_wrlock(&shard->lock);
  mb_shard_remove(shard, e);
  uv_rwlock_wrunlock(&shard->lock);
  mb_registration_free(all, e);
}

/* End a membership that is in no list any more, with all that belongs to it. */
static void resign(struct mb_registries *all, struct mb_membership *m) {
  for (struct mb_registration *e = m->first, *next; e; e = next) {
    next = e->own_next;
    drop(all, m->registry, e);
  }
  mb_registry_release(all, m->registry);
  free(m);
}

/* The process exits, or the registry has closed. */
static void process_exits(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  struct mb_registries *all = &s->runtime->registries;
  struct mb_membership *m = (struct mb_membership *)h;
  uv_rwlock_t *stripe = stripe_of(all, p);
  uv_rwlock_wrlock(stripe); /* partner: mb_registry_keys */
  skip(p, m);
  uv_rwlock_wrunlock(stripe);
  resign(all, m);
}

/* The first from e on that is under a key. */
static struct mb_registration *next_under(struct mb_registration *e, const struct mb_address *at, uint32_t hash) {
  while (e && !(e->hash == hash && e->key_size == at->key.size && !memcmp(e->bytes, at->key.data, at->key.size)))
    e = e->own_next;
  return e;
}

/* What p has under a key of a unique registry. It stays: p alone takes it away. */
static struct mb_registration *own_unique(const struct mb_process *p, struct mb_registry *r,
                                          const struct mb_address *at, uint32_t hash) {
  struct mb_shard *shard = mb_registry_shard(r, hash);
  struct mb_registration *e;
  uv_rwlock_rdlock(&shard->lock);
  e = *mb_shard_find(shard, at, hash);
  if (e && e->pid != atomic_load_explicit(&p->pid, memory_order_relaxed)) e = NULL;
  uv_rwlock_rdunlock(&shard->lock);
  return e;
}

/* What a process does */

/* Put e under its key: 0, or MB_ENAME: *holder has the key. */
static int put(struct mb_registry *r, const struct mb_address *at, struct mb_registration *e, mb_pid *holder) {
  struct mb_shard *shard = mb_registry_shard(r, e->hash);
  struct mb_registration **place;
  int err = 0;
  uv_rwlock_wrlock(&shard->lock);
  place = mb_shard_find(shard, at, e->hash);
  if (*place && r->keys == MB_KEYS_UNIQUE) {
    *holder = (*place)->pid;
    err = MB_ENAME;
  } else {
    mb_shard_insert(shard, place, e);
  }
  uv_rwlock_wrunlock(&shard->lock);
  if (!err) mb_shard_grow(shard);
  return err;
}

int mb_registration_any(const struct mb_process *p, const struct mb_registry *r) { return find(p, r) != NULL; }

int mb_registration_add(struct mb_scheduler *s, struct mb_process *p, struct mb_registry *r,
                        const struct mb_address *at, struct mb_bytes value, mb_pid *who) {
  struct mb_registries *all = &s->runtime->registries;
  struct mb_membership *m = find(p, r), *fresh = NULL;
  mb_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
  struct mb_registration *e;
  int err;
  if (!m) {
    m = fresh = malloc(sizeof *fresh);
    if (!fresh) return MB_ENOMEM;
    *fresh = (struct mb_membership){.holding = {.end = process_exits, .kind = MB_HOLDING_MEMBERSHIP}, .registry = r};
  }
  e = mb_registration_new(all, pid, mb_ref_new(s), at, value);
  err = e ? put(r, at, e, who) : MB_ENOMEM;
  if (err) {
    if (e) mb_registration_free(all, e);
    free(fresh);
    return err;
  }
  if (fresh) {
    atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed); /* relaxed: the caller has one */
    (void)mb_holding_add(s, p, pid, &fresh->holding); /* it lives: this is its thread */
  }
  list(all, p, m, e);
  return 0;
}

int mb_registration_remove(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at, mb_ref ref,
                           mb_pid *left) {
  struct mb_registries *all = &s->runtime->registries;
  uint32_t hash = mb_shard_hash(at);
  struct mb_registration *e, *next;
  struct mb_membership *m;
  int duplicate, removed = 0, err = find_by_name(s, p, at->registry, &m);
  *left = 0;
  if (!m) return err;
  duplicate = m->registry->keys == MB_KEYS_DUPLICATE;
  /* In a unique registry a process may have very many keys, in a duplicate one a key very many processes. */
  e = duplicate ? next_under(m->first, at, hash) : own_unique(p, m->registry, at, hash);
  for (; e; e = next) {
    next = duplicate ? next_under(e->own_next, at, hash) : NULL;
    if (ref && e->ref != ref) continue;
    unlist(all, p, m, e);
    drop(all, m->registry, e);
    removed++;
  }
  if (!m->first) {
    *left = m->registry->link_target;
    (void)mb_holding_remove(s, p, &m->holding); /* it is there, too */
    resign(all, m);
  }
  return removed;
}

int mb_registry_update(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at,
                       struct mb_bytes value) {
  uint32_t hash = mb_shard_hash(at);
  struct mb_membership *m;
  struct mb_registration *e;
  struct mb_shard *shard;
  unsigned char *bytes, *old;
  int err = find_by_name(s, p, at->registry, &m);
  if (!m) return err;
  e = own_unique(p, m->registry, at, hash);
  if (!e) return 0;
  bytes = malloc(value.size ? value.size : 1);
  if (!bytes) return MB_ENOMEM;
  if (value.size) memcpy(bytes, value.data, value.size);
  old = mb_registration_own_value(e);
  shard = mb_registry_shard(m->registry, hash);
  uv_rwlock_wrlock(&shard->lock);
  e->value = bytes;
  e->value_size = value.size;
  uv_rwlock_wrunlock(&shard->lock);
  free(old);
  return 1;
}

/* What happens to it */

void mb_registry_orphan(struct mb_scheduler *s, struct mb_process *p, mb_pid link_target) {
  struct mb_membership *m = p->memberships;
  while (m && m->registry->link_target != link_target) m = m->next;
  if (!m) return;
  (void)mb_holding_remove(s, p, &m->holding); /* it is there: p lives, and this is its thread */
  process_exits(s, p, &m->holding);
}

int64_t mb_registry_keys(struct mb_scheduler *s, struct mb_bytes name, mb_pid pid, unsigned char *room, size_t size) {
  struct mb_process *p = mb_process_table_slot(&s->runtime->table, pid);
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  int64_t used = r ? 0 : MB_EREGISTRY;
  if (r && p) {
    uv_rwlock_t *stripe = stripe_of(&s->runtime->registries, p);
    struct mb_membership *m;
    uv_rwlock_rdlock(stripe); /* partner: the writers above */
    m = find(p, r);
    for (struct mb_registration *e = m ? m->first : NULL; e && e->pid == pid; e = e->own_next) {
      mb_append(room, size, &used, &e->key_size, sizeof e->key_size);
      mb_append(room, size, &used, e->bytes, e->key_size);
    }
    uv_rwlock_rdunlock(stripe);
  }
  uv_rwlock_rdunlock(gate);
  return used;
}
