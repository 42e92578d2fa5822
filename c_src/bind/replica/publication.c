#include "replica/publication.h"

#include <stdlib.h>
#include <string.h>

void mb_publications_init(struct mb_publications *all) { pthread_mutex_init(&all->mutex, NULL); }

void mb_publications_deinit(struct mb_publications *all) {
  while (all->first) {
    struct mb_publication *p = all->first;
    all->first = p->next;
    mb_publication_release(p);
  }
  mb_map_deinit(&all->names);
  pthread_mutex_destroy(&all->mutex);
}

void mb_publication_release(struct mb_publication *p) {
  if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1) return;
  mb_block_release(p->holds);
  free(p);
}

static void append(struct mb_publications *all, struct mb_publication *p) {
  p->before = all->last;
  if (all->last)
    all->last->next = p;
  else
    all->first = p;
  all->last = p;
}

static void take_out(struct mb_publications *all, struct mb_publication *p) {
  if (p->before)
    p->before->next = p->next;
  else
    all->first = p->next;
  if (p->next)
    p->next->before = p->before;
  else
    all->last = p->before;
  mb_publication_release(p);
}

/* p is the latest publication of a name. */
static void supersede(struct mb_publications *all, struct mb_publication *p, uint64_t name) {
  uint64_t *latest = mb_map_get(&all->names, name);
  struct mb_publication *old = latest ? (struct mb_publication *)(uintptr_t)*latest : NULL;
  if (old == p) return; /* a name that it sets twice */
  if (mb_map_put(&all->names, name, (uintptr_t)p) == 0)
    p->current++;
  else
    p->current += 2; /* memory is out: it stays for good, which does no harm */
  if (old && --old->current == 0) take_out(all, old);
}

unsigned mb_publish(struct mb_publications *all, int kind, uint32_t origin, const void *bytes, size_t size,
                    struct mb_block *holds, const uint64_t *names, size_t count) {
  struct mb_publication *p = malloc(sizeof *p + size);
  unsigned version;
  if (!p) {
    mb_block_release(holds);
    return 0;
  }
  *p = (struct mb_publication){.origin = origin, .kind = kind, .size = size, .holds = holds};
  atomic_init(&p->references, 1);
  memcpy(p->bytes, bytes, size);
  pthread_mutex_lock(&all->mutex);
  version = p->version = atomic_load_explicit(&all->version, memory_order_relaxed) + 1;
  append(all, p);
  if (count == 0) p->current = 1;
  for (size_t i = 0; i < count; i++) supersede(all, p, names[i]);
  atomic_store_explicit(&all->version, version, memory_order_release); /* partner: whoever is about to adopt */
  pthread_mutex_unlock(&all->mutex);
  return version;
}

struct mb_publication *mb_publication_after(struct mb_publications *all, unsigned version) {
  struct mb_publication *p, *found = NULL;
  pthread_mutex_lock(&all->mutex);
  for (p = all->last; p && p->version > version; p = p->before) found = p; /* few are new */
  if (found) atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
  pthread_mutex_unlock(&all->mutex);
  return found;
}
