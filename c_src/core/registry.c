#include "registry.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "hash.h"
#include "registry_inside.h"

/* The store */

static uv_rwlock_t *lock_at(struct mb_registries *all, unsigned i) {
  return i < MB_GATES ? &all->gates[i].lock : &all->stripes[i - MB_GATES].lock;
}

int mb_registries_init(struct mb_registries *all) {
  *all = (struct mb_registries){0};
  for (; all->locks < MB_GATES + MB_STRIPES; all->locks++)
    if (uv_rwlock_init(lock_at(all, all->locks)) != 0) return MB_ENOMEM;
  return 0;
}

static void registry_free(struct mb_registries *all, struct mb_registry *r);

void mb_registries_deinit(struct mb_registries *all) {
  for (unsigned i = 0; i < MB_REGISTRY_BUCKETS; i++) { /* the program's own are left */
    for (struct mb_registry *r = all->buckets[i], *next; r; r = next) {
      next = r->next;
      registry_free(all, r);
    }
  }
  while (all->locks > 0) uv_rwlock_destroy(lock_at(all, --all->locks));
}

/* What is left in it is metadata: members have references. */
static void registry_free(struct mb_registries *all, struct mb_registry *r) {
  for (unsigned i = 0; i < r->shard_count; i++) {
    struct mb_shard *shard = &r->shards[i];
    for (uint32_t b = 0; b < shard->capacity; b++) {
      for (struct mb_registration *e = shard->buckets[b], *next; e; e = next) {
        next = e->chain;
        mb_registration_free(all, e);
      }
    }
    mb_shard_deinit(shard);
  }
  if (r->server) atomic_fetch_sub_explicit(&all->registries, 1, memory_order_relaxed);
  free(r);
}

void mb_registry_release(struct mb_registries *all, struct mb_registry *r) {
  /* acq_rel: the last one must see everybody else's use as done */
  if (atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) == 1) registry_free(all, r);
}

/* Gates */

uv_rwlock_t *mb_registry_enter(struct mb_scheduler *s) {
  uv_rwlock_t *gate = &s->runtime->registries.gates[s->id % MB_GATES].lock;
  uv_rwlock_rdlock(gate);
  return gate;
}

static void close_gates(struct mb_registries *all) {
  for (unsigned i = 0; i < MB_GATES; i++) uv_rwlock_wrlock(&all->gates[i].lock);
}

static void open_gates(struct mb_registries *all) {
  for (unsigned i = 0; i < MB_GATES; i++) uv_rwlock_wrunlock(&all->gates[i].lock);
}

/* Behind a gate: the place that points to the registry of this name, or where it would be put. */
static struct mb_registry **find(struct mb_registries *all, struct mb_bytes name) {
  struct mb_registry **at = &all->buckets[mb_hash_bytes(name.data, name.size) % MB_REGISTRY_BUCKETS];
  while (*at && !((*at)->name.size == name.size && !memcmp((*at)->name.data, name.data, name.size))) at = &(*at)->next;
  return at;
}

struct mb_registry *mb_registry_find(struct mb_scheduler *s, struct mb_bytes name) {
  return *find(&s->runtime->registries, name);
}

struct mb_registry *mb_registry_acquire(struct mb_scheduler *s, struct mb_bytes name) {
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  /* relaxed: behind the gate it is open, and while it is open it has a reference */
  if (r) atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
  uv_rwlock_rdunlock(gate);
  return r;
}

/* The server exits: nobody finds the registry any more. */
static void server_exits(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  struct mb_registries *all = &s->runtime->registries;
  struct mb_registry *r = (struct mb_registry *)h;
  (void)p;
  close_gates(all);
  *find(all, r->name) = r->next;
  open_gates(all);
  mb_registry_release(all, r);
}

int mb_registry_open(struct mb_scheduler *s, struct mb_process *p, struct mb_bytes name, enum mb_keys keys,
                     mb_pid link_target, struct mb_bytes settings, mb_pid *server) {
  struct mb_registries *all = &s->runtime->registries;
  struct mb_registry *r, **at;
  int err = 0;
  if (p && p->state == MB_EXITING) return MB_ENOPROC;
  r = malloc(sizeof *r + name.size + settings.size);
  if (!r) return MB_ENOMEM;
  *r = (struct mb_registry){.holding = {.end = server_exits, .kind = MB_HOLDING_REGISTRY},
                            .keys = keys, .link_target = link_target};
  atomic_init(&r->references, 1);
  r->server = p ? atomic_load_explicit(&p->pid, memory_order_relaxed) : 0;
  memcpy(r->bytes, name.data, name.size);
  r->name = (struct mb_bytes){r->bytes, name.size};
  if (settings.size) memcpy(r->bytes + name.size, settings.data, settings.size);
  r->settings = (struct mb_bytes){r->bytes + name.size, settings.size};
  if (p) atomic_fetch_add_explicit(&all->registries, 1, memory_order_relaxed);
  while (!err && r->shard_count < MB_SHARDS) {
    err = mb_shard_init(&r->shards[r->shard_count]);
    r->shard_count += !err;
  }
  if (!err) {
    close_gates(all);
    at = find(all, name);
    if (*at) {
      *server = (*at)->server;
      err = MB_ENAME;
    } else {
      *at = r;
    }
    open_gates(all);
  }
  if (err)
    registry_free(all, r);
  else if (p)
    (void)mb_holding_add(s, p, r->server, &r->holding); /* it lives: this is its thread */
  return err;
}

int mb_registry_link_target(struct mb_scheduler *s, struct mb_bytes name, mb_pid *link_target) {
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  if (r) *link_target = r->link_target;
  uv_rwlock_rdunlock(gate);
  return r ? 0 : MB_EREGISTRY;
}

int64_t mb_registry_settings(struct mb_scheduler *s, struct mb_bytes name, unsigned char *room, size_t size) {
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  int64_t used = r ? 0 : MB_EREGISTRY;
  if (r) mb_append(room, size, &used, r->settings.data, r->settings.size);
  uv_rwlock_rdunlock(gate);
  return used;
}

/* Looking things up */

int64_t mb_registry_lookup(struct mb_scheduler *s, const struct mb_address *at, mb_pid only, unsigned char *room,
                           size_t size) {
  uint32_t hash = mb_shard_hash(at);
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, at->registry);
  int64_t used = r ? 0 : MB_EREGISTRY;
  if (r) {
    struct mb_shard *shard = mb_registry_shard(r, hash);
    struct mb_registration *first, *e;
    uv_rwlock_rdlock(&shard->lock);
    e = first = *mb_shard_find(shard, at, hash);
    while (e) {
      if (!only || e->pid == only) {
        struct mb_found found = {e->pid, e->ref, e->value_size};
        mb_append(room, size, &used, &found, sizeof found);
        mb_append(room, size, &used, e->value, e->value_size);
      }
      e = e->next != first ? e->next : NULL;
    }
    uv_rwlock_rdunlock(&shard->lock);
  }
  uv_rwlock_rdunlock(gate);
  return used;
}

/* Append the registrations of a key, of which e is the first. Under the shard's lock. */
static void append_entries(const struct mb_registration *e, unsigned char *room, size_t size, int64_t *used) {
  const struct mb_registration *first = e;
  do {
    struct mb_entry_found entry = {{e->pid, e->ref, e->value_size}, e->key_size};
    mb_append(room, size, used, &entry, sizeof entry);
    mb_append(room, size, used, e->bytes, e->key_size);
    mb_append(room, size, used, e->value, e->value_size);
    e = e->next;
  } while (e != first);
}

int64_t mb_registry_entries(struct mb_scheduler *s, struct mb_bytes name, enum mb_key_of of, unsigned char *room,
                            size_t size) {
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  int64_t used = r ? 0 : MB_EREGISTRY;
  for (unsigned i = 0; r && i < MB_SHARDS; i++) {
    struct mb_shard *shard = &r->shards[i];
    uv_rwlock_rdlock(&shard->lock);
    for (uint32_t b = 0; b < shard->capacity; b++) {
      for (const struct mb_registration *e = shard->buckets[b]; e; e = e->chain)
        if ((e->pid == 0) == (of == MB_KEY_OF_META)) append_entries(e, room, size, &used);
    }
    uv_rwlock_rdunlock(&shard->lock);
  }
  uv_rwlock_rdunlock(gate);
  return used;
}

int mb_registry_whereis(struct mb_scheduler *s, const struct mb_address *at, mb_pid *pid) {
  uint32_t hash = mb_shard_hash(at);
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, at->registry);
  int err = !r ? MB_EREGISTRY : r->keys == MB_KEYS_DUPLICATE ? MB_EDUPLICATE : 0;
  *pid = 0;
  if (!err) {
    struct mb_shard *shard = mb_registry_shard(r, hash);
    struct mb_registration *e;
    uv_rwlock_rdlock(&shard->lock);
    e = *mb_shard_find(shard, at, hash);
    if (e) *pid = e->pid;
    uv_rwlock_rdunlock(&shard->lock);
  }
  uv_rwlock_rdunlock(gate);
  return err;
}

int64_t mb_registry_count(struct mb_scheduler *s, struct mb_bytes name) {
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, name);
  int64_t count = r ? 0 : MB_EREGISTRY;
  for (unsigned i = 0; r && i < MB_SHARDS; i++) {
    uv_rwlock_rdlock(&r->shards[i].lock);
    count += r->shards[i].count;
    uv_rwlock_rdunlock(&r->shards[i].lock);
  }
  uv_rwlock_rdunlock(gate);
  return count;
}

int mb_registry_set_meta(struct mb_scheduler *s, const struct mb_address *at, const struct mb_bytes *value,
                         const mb_ref *expected) {
  struct mb_registries *all = &s->runtime->registries;
  struct mb_registry *r = mb_registry_acquire(s, at->registry);
  struct mb_registration *e = value ? mb_registration_new(all, 0, mb_ref_new(s), at, *value) : NULL, *old = NULL;
  int err = !r ? MB_EREGISTRY : value && !e ? MB_ENOMEM : 0;
  if (!err) {
    uint32_t hash = mb_shard_hash(at);
    struct mb_shard *shard = mb_registry_shard(r, hash);
    uv_rwlock_wrlock(&shard->lock);
    old = *mb_shard_find(shard, at, hash);
    if (expected && (old ? old->ref : 0) != *expected) {
      old = NULL;
      err = 1;
    } else {
      if (old) mb_shard_remove(shard, old);
      if (e) mb_shard_insert(shard, mb_shard_find(shard, at, hash), e);
      e = NULL;
    }
    uv_rwlock_wrunlock(&shard->lock);
    mb_shard_grow(shard);
  }
  if (old) mb_registration_free(all, old);
  if (e) mb_registration_free(all, e);
  if (r) mb_registry_release(all, r);
  return err;
}

mb_ref mb_registry_meta_ref(struct mb_scheduler *s, const struct mb_address *at) {
  uint32_t hash = mb_shard_hash(at);
  uv_rwlock_t *gate = mb_registry_enter(s);
  struct mb_registry *r = mb_registry_find(s, at->registry);
  mb_ref ref = 0;
  if (r) {
    struct mb_shard *shard = mb_registry_shard(r, hash);
    const struct mb_registration *e;
    uv_rwlock_rdlock(&shard->lock);
    e = *mb_shard_find(shard, at, hash);
    if (e) ref = e->ref;
    uv_rwlock_rdunlock(&shard->lock);
  }
  uv_rwlock_rdunlock(gate);
  return ref;
}
