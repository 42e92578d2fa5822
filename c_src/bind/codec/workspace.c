#include "codec/workspace.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

enum { LINEAR = 12, KEEP_BYTES = 1 << 16, KEEP_OBJECTS = KEEP_BYTES / 16 };

static void deinit(struct mb_workspace *w) {
  mb_buffer_deinit(&w->out);
  free(w->seen);
  free(w->index);
  free(w->deferred);
}

struct mb_workspace *mb_workspace_new(void) {
  struct mb_workspace *w = calloc(1, sizeof *w);
  if (w) w->deferred_values = LUA_NOREF;
  return w;
}

void mb_workspace_free(struct mb_workspace *w) {
  if (!w) return;
  deinit(w);
  free(w);
}

static int collect(lua_State *L) {
  struct mb_workspace *w = lua_touserdata(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, w->deferred_values);
  deinit(w);
  memset(w, 0, sizeof *w);
  w->deferred_values = LUA_NOREF;
  return 0;
}

struct mb_workspace *mb_workspace_push(lua_State *L) {
  struct mb_workspace *w = lua_newuserdatauv(L, sizeof *w, 0);
  memset(w, 0, sizeof *w);
  w->deferred_values = LUA_NOREF;
  if (luaL_newmetatable(L, "moonbeam.workspace")) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return w;
}

static void forget(struct mb_workspace *w, lua_State *L) {
  w->seen_count = 0;
  w->objects = 0;
  w->deferred_count = 0;
  if (w->deferred_values != LUA_NOREF) {
    luaL_unref(L, LUA_REGISTRYINDEX, w->deferred_values);
    w->deferred_values = LUA_NOREF;
  }
}

void mb_workspace_reset(struct mb_workspace *w, lua_State *L) {
  mb_workspace_drop(w);
  w->out.size = 0;
  forget(w, L);
}

void mb_workspace_finish(struct mb_workspace *w, lua_State *L) {
  if (w->deferred_count) forget(w, L); /* what is deferred is held by the deferred_values */
  if (w->seen_capacity > KEEP_OBJECTS) {
    free(w->seen);
    free(w->index);
    w->seen = NULL;
    w->index = NULL;
    w->seen_capacity = w->index_capacity = w->seen_count = 0;
  }
  if (w->deferred_capacity > KEEP_OBJECTS) {
    free(w->deferred);
    w->deferred = NULL;
    w->deferred_capacity = w->deferred_count = 0;
  }
}

void mb_workspace_drop(struct mb_workspace *w) {
  if (w->out.capacity > KEEP_BYTES) mb_buffer_deinit(&w->out);
}

static size_t home(const struct mb_workspace *w, const void *object) {
  return (size_t)mb_hash_u64((uint64_t)(uintptr_t)object) & (w->index_capacity - 1);
}

struct mb_seen *mb_workspace_find(const struct mb_workspace *w, const void *object) {
  if (w->seen_count <= LINEAR) {
    for (size_t i = 0; i < w->seen_count; i++)
      if (w->seen[i].object == object) return &w->seen[i];
    return NULL;
  }
  for (size_t i = home(w, object); w->index[i]; i = (i + 1) & (w->index_capacity - 1))
    if (w->seen[w->index[i] - 1].object == object) return &w->seen[w->index[i] - 1];
  return NULL;
}

static void enter(struct mb_workspace *w, size_t number) {
  size_t i = home(w, w->seen[number].object);
  while (w->index[i]) i = (i + 1) & (w->index_capacity - 1);
  w->index[i] = (uint32_t)number + 1;
}

/* Build the index over what is seen, at most half full. 0 when memory is out. */
static int build_index(struct mb_workspace *w) {
  size_t capacity = w->index_capacity ? w->index_capacity : 64;
  while (capacity < (w->seen_count + 1) * 2) capacity *= 2;
  if (capacity != w->index_capacity) {
    uint32_t *index = malloc(capacity * sizeof *index);
    if (!index) return 0;
    free(w->index);
    w->index = index;
    w->index_capacity = capacity;
  }
  memset(w->index, 0, w->index_capacity * sizeof *w->index);
  for (size_t i = 0; i < w->seen_count; i++) enter(w, i);
  return 1;
}

struct mb_seen *mb_workspace_add(struct mb_workspace *w, const void *object) {
  if (w->seen_count == w->seen_capacity) {
    size_t capacity = w->seen_capacity ? w->seen_capacity * 2 : 32;
    struct mb_seen *seen = realloc(w->seen, capacity * sizeof *seen);
    if (!seen) return NULL;
    w->seen = seen;
    w->seen_capacity = capacity;
  }
  w->seen[w->seen_count] = (struct mb_seen){.object = object};
  if (w->seen_count == LINEAR || (w->seen_count > LINEAR && (w->seen_count + 1) * 2 > w->index_capacity)) {
    if (!build_index(w)) return NULL;
  }
  w->seen_count++;
  if (w->seen_count > LINEAR) enter(w, w->seen_count - 1);
  return &w->seen[w->seen_count - 1];
}

struct mb_deferred *mb_workspace_defer(struct mb_workspace *w) {
  if (w->deferred_count == w->deferred_capacity) {
    size_t capacity = w->deferred_capacity ? w->deferred_capacity * 2 : 32;
    struct mb_deferred *later = realloc(w->deferred, capacity * sizeof *later);
    if (!later) return NULL;
    w->deferred = later;
    w->deferred_capacity = capacity;
  }
  return &w->deferred[w->deferred_count++];
}
