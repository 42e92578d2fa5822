/* A small map from 64-bit keys to 64-bit values: links, monitors, timers by reference.
 *
 * Most processes have none or one of each, so one entry lives inside the struct and nothing is
 * allocated for it; more go to an open-addressing table (linear probing, backward-shift deletion,
 * at most 3/4 full). Key 0 is never stored. Owned by one thread; no function here is thread-safe. */
#ifndef MB_MAP_H
#define MB_MAP_H

#include <stdint.h>

struct mb_entry {
  uint64_t key; /* 0: empty */
  uint64_t value;
};

struct mb_map {
  uint32_t count;
  uint32_t capacity; /* 0: the one entry is inline; else a power of two */
  union {
    struct mb_entry one;
    struct mb_entry *table;
  } at;
};

/* Give back the map's memory and leave it empty. A zeroed map is a valid empty one. */
void mb_map_deinit(struct mb_map *m);

/* The value's place, valid until the next change; NULL when the key is not there. */
uint64_t *mb_map_get(const struct mb_map *m, uint64_t key);

/* Set or replace. 0, or MB_ENOMEM with the map unchanged. */
int mb_map_put(struct mb_map *m, uint64_t key, uint64_t value);

/* Remove; 1 when it was there (its value in *value when value is not NULL), else 0. */
int mb_map_remove(struct mb_map *m, uint64_t key, uint64_t *value);

/* Iterate: start with *cursor = 0; NULL at the end. The map must not change meanwhile. */
const struct mb_entry *mb_map_next(const struct mb_map *m, uint32_t *cursor);

#endif
