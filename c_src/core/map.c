#include "map.h"

#include <stddef.h>
#include <stdlib.h>

#include "error.h"
#include "hash.h"

static uint32_t home(const struct mb_map *m, uint64_t key) {
  return (uint32_t)mb_hash_u64(key) & (m->capacity - 1);
}

void mb_map_deinit(struct mb_map *m) {
  if (m->capacity) free(m->at.table);
  *m = (struct mb_map){0};
}

uint64_t *mb_map_get(const struct mb_map *m, uint64_t key) {
  if (m->count == 0) return NULL;
  if (m->capacity == 0) return m->at.one.key == key ? (uint64_t *)&m->at.one.value : NULL;
  for (uint32_t i = home(m, key);; i = (i + 1) & (m->capacity - 1)) {
    if (m->at.table[i].key == key) return &m->at.table[i].value;
    if (m->at.table[i].key == 0) return NULL;
  }
}

static void place(struct mb_map *m, uint64_t key, uint64_t value) {
  uint32_t i = home(m, key);
  while (m->at.table[i].key != 0) i = (i + 1) & (m->capacity - 1);
  m->at.table[i] = (struct mb_entry){key, value};
  m->count++;
}

static int resize(struct mb_map *m, uint32_t capacity) {
  struct mb_map bigger = {.capacity = capacity};
  uint32_t cursor = 0;
  bigger.at.table = calloc(capacity, sizeof *bigger.at.table);
  if (!bigger.at.table) return MB_ENOMEM;
  for (const struct mb_entry *e; (e = mb_map_next(m, &cursor));) place(&bigger, e->key, e->value);
  mb_map_deinit(m);
  *m = bigger;
  return 0;
}

int mb_map_put(struct mb_map *m, uint64_t key, uint64_t value) {
  uint64_t *there = mb_map_get(m, key);
  if (there) {
    *there = value;
    return 0;
  }
  if (m->capacity == 0 && m->count == 0) {
    m->at.one = (struct mb_entry){key, value};
    m->count = 1;
    return 0;
  }
  if (m->capacity == 0 || (m->count + 1) * 4 > m->capacity * 3) {
    int err = resize(m, m->capacity ? m->capacity * 2 : 4);
    if (err) return err;
  }
  place(m, key, value);
  return 0;
}

int mb_map_remove(struct mb_map *m, uint64_t key, uint64_t *value) {
  uint64_t *there = mb_map_get(m, key);
  uint32_t hole, mask;
  if (!there) return 0;
  if (value) *value = *there;
  m->count--;
  if (m->count == 0) {
    mb_map_deinit(m);
    return 1;
  }
  mask = m->capacity - 1;
  hole = (uint32_t)((struct mb_entry *)((char *)there - offsetof(struct mb_entry, value)) -
                    m->at.table);
  /* Move back every entry of the run that may stand in the hole, so no tombstones are needed. */
  for (uint32_t i = (hole + 1) & mask; m->at.table[i].key != 0; i = (i + 1) & mask) {
    uint32_t h = home(m, m->at.table[i].key);
    if (((i - h) & mask) >= ((i - hole) & mask)) {
      m->at.table[hole] = m->at.table[i];
      hole = i;
    }
  }
  m->at.table[hole].key = 0;
  if (m->capacity > 64 && m->count * 8 < m->capacity) (void)resize(m, m->capacity / 4);
  return 1;
}

const struct mb_entry *mb_map_next(const struct mb_map *m, uint32_t *cursor) {
  if (m->capacity == 0) return m->count && (*cursor)++ == 0 ? &m->at.one : NULL;
  while (*cursor < m->capacity) {
    const struct mb_entry *e = &m->at.table[(*cursor)++];
    if (e->key != 0) return e;
  }
  return NULL;
}
