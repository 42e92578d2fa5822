#include "codec/scratch.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "heap/shared.h"

enum { LINEAR = 12, KEEP_BYTES = 1 << 16, KEEP_OBJECTS = KEEP_BYTES / 16 };

void mb_scratch_let_go(struct mb_scratch *scratch) {
  struct mb_shared *const *values = (struct mb_shared *const *)(void *)scratch->shares.bytes;
  for (size_t i = 0; i < scratch->shares.size / sizeof *values; i++) mb_block_release(&values[i]->block);
  scratch->shares.size = 0;
}

static void deinit(struct mb_scratch *scratch) {
  mb_scratch_let_go(scratch);
  mb_buffer_deinit(&scratch->out);
  mb_buffer_deinit(&scratch->shares);
  free(scratch->seen);
  free(scratch->index);
  free(scratch->deferred);
}

struct mb_scratch *mb_scratch_new(void) {
  struct mb_scratch *scratch = calloc(1, sizeof *scratch);
  if (scratch) scratch->deferred_values = LUA_NOREF;
  return scratch;
}

void mb_scratch_free(struct mb_scratch *scratch) {
  if (!scratch) return;
  deinit(scratch);
  free(scratch);
}

static int collect(lua_State *L) {
  struct mb_scratch *scratch = lua_touserdata(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, scratch->deferred_values);
  deinit(scratch);
  memset(scratch, 0, sizeof *scratch);
  scratch->deferred_values = LUA_NOREF;
  return 0;
}

struct mb_scratch *mb_scratch_push(lua_State *L) {
  struct mb_scratch *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
  memset(scratch, 0, sizeof *scratch);
  scratch->deferred_values = LUA_NOREF;
  if (luaL_newmetatable(L, "moonbeam.scratch")) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return scratch;
}

static void forget(struct mb_scratch *scratch, lua_State *L) {
  scratch->seen_count = 0;
  scratch->objects = 0;
  mb_scratch_let_go(scratch);
  scratch->deferred_count = 0;
  if (scratch->deferred_values != LUA_NOREF) {
    luaL_unref(L, LUA_REGISTRYINDEX, scratch->deferred_values);
    scratch->deferred_values = LUA_NOREF;
  }
}

void mb_scratch_reset(struct mb_scratch *scratch, lua_State *L) {
  mb_scratch_drop(scratch);
  scratch->out.size = 0;
  forget(scratch, L);
}

void mb_scratch_finish(struct mb_scratch *scratch, lua_State *L) {
  if (scratch->deferred_count) forget(scratch, L); /* what is deferred is held by the deferred_values */
  if (scratch->seen_capacity > KEEP_OBJECTS) {
    free(scratch->seen);
    free(scratch->index);
    scratch->seen = NULL;
    scratch->index = NULL;
    scratch->seen_capacity = scratch->index_capacity = scratch->index_room = scratch->seen_count = 0;
  }
  if (scratch->deferred_capacity > KEEP_OBJECTS) {
    free(scratch->deferred);
    scratch->deferred = NULL;
    scratch->deferred_capacity = scratch->deferred_count = 0;
  }
  if (scratch->shares.capacity > KEEP_BYTES && scratch->shares.size == 0) mb_buffer_deinit(&scratch->shares);
}

void mb_scratch_drop(struct mb_scratch *scratch) {
  if (scratch->out.capacity > KEEP_BYTES) mb_buffer_deinit(&scratch->out);
}

static size_t home(const struct mb_scratch *scratch, const void *object) {
  return (size_t)mb_hash_u64((uint64_t)(uintptr_t)object) & (scratch->index_capacity - 1);
}

/* The slot of an object in the index: its own, or the free one where it belongs. */
static inline uint32_t *slot(const struct mb_scratch *scratch, const void *object) {
  size_t i = home(scratch, object);
  while (scratch->index[i] && scratch->seen[scratch->index[i] - 1].object != object)
    i = (i + 1) & (scratch->index_capacity - 1);
  return &scratch->index[i];
}

struct mb_seen *mb_scratch_find(const struct mb_scratch *scratch, const void *object) {
  uint32_t at;
  if (scratch->seen_count <= LINEAR) {
    for (size_t i = 0; i < scratch->seen_count; i++)
      if (scratch->seen[i].object == object) return &scratch->seen[i];
    return NULL;
  }
  at = *slot(scratch, object);
  return at ? &scratch->seen[at - 1] : NULL;
}

/* Build the index over what is seen, with room for as much again, at most half full. 0 when memory is out. */
static int build_index(struct mb_scratch *scratch) {
  size_t capacity = 64;
  while (capacity < (scratch->seen_count + 1) * 4) capacity *= 2;
  if (capacity > scratch->index_room) {
    uint32_t *index = malloc(capacity * sizeof *index);
    if (!index) return 0;
    free(scratch->index);
    scratch->index = index;
    scratch->index_room = capacity;
  }
  scratch->index_capacity = capacity;
  memset(scratch->index, 0, capacity * sizeof *scratch->index);
  for (size_t i = 0; i < scratch->seen_count; i++) *slot(scratch, scratch->seen[i].object) = (uint32_t)i + 1;
  return 1;
}

/* Whether something has to grow before one more is added. */
static inline int is_full(const struct mb_scratch *scratch) {
  size_t count = scratch->seen_count;
  return count == scratch->seen_capacity || count == LINEAR ||
         (count > LINEAR && (count + 1) * 2 > scratch->index_capacity);
}

/* Room for one more; 0 when memory is out. */
static int grow(struct mb_scratch *scratch) {
  size_t count = scratch->seen_count;
  if (count == scratch->seen_capacity) {
    size_t capacity = count ? count * 2 : 32;
    struct mb_seen *seen = realloc(scratch->seen, capacity * sizeof *seen);
    if (!seen) return 0;
    scratch->seen = seen;
    scratch->seen_capacity = capacity;
  }
  if (count == LINEAR || (count > LINEAR && (count + 1) * 2 > scratch->index_capacity)) return build_index(scratch);
  return 1;
}

struct mb_seen *mb_scratch_meet(struct mb_scratch *scratch, const void *object, int *fresh) {
  uint32_t *at = NULL;
  *fresh = 0;
  if (scratch->seen_count > LINEAR) {
    at = slot(scratch, object);
    if (*at) return &scratch->seen[*at - 1];
  } else {
    for (size_t i = 0; i < scratch->seen_count; i++)
      if (scratch->seen[i].object == object) return &scratch->seen[i];
  }
  if (is_full(scratch)) {
    if (!grow(scratch)) return NULL;
    if (scratch->seen_count >= LINEAR) at = slot(scratch, object);
  }
  *fresh = 1;
  if (at) *at = (uint32_t)scratch->seen_count + 1;
  scratch->seen[scratch->seen_count] = (struct mb_seen){.object = object};
  return &scratch->seen[scratch->seen_count++];
}

struct mb_seen *mb_scratch_add(struct mb_scratch *scratch, const void *object) {
  int fresh;
  return mb_scratch_meet(scratch, object, &fresh);
}

struct mb_deferred *mb_scratch_defer(struct mb_scratch *scratch) {
  if (scratch->deferred_count == scratch->deferred_capacity) {
    size_t capacity = scratch->deferred_capacity ? scratch->deferred_capacity * 2 : 32;
    struct mb_deferred *later = realloc(scratch->deferred, capacity * sizeof *later);
    if (!later) return NULL;
    scratch->deferred = later;
    scratch->deferred_capacity = capacity;
  }
  return &scratch->deferred[scratch->deferred_count++];
}
