#include "replica/replica.h"

#include <string.h>
#include <uv.h>

#include "code/adopt.h"
#include "codec/codec.h"
#include "core/hash.h"
#include "heap/errors.h"
#include "heap/site.h"
#include "replica/place.h"
#include "replica/publication.h"
#include "replica/replica_inside.h"
#include "replica/watch.h"

enum {
  /* What tables hold is compared before each process when that is not more: a number of bytes, for how long it takes
   * also depends on who else has the processor. More takes one of so many parts of the time. */
  CONTENTS_BYTES = 64 * 1024,
  CONTENTS_SHARE = 20
};

/* Push an array of the hashes of the names in a list. */
static uint64_t *push_hashes(lua_State *L, int list, size_t count) {
  uint64_t *hashes = lua_newuserdatauv(L, count * sizeof *hashes + 1, 0);
  for (size_t i = 0; i < count; i++) {
    size_t size;
    const char *text;
    lua_rawgeti(L, list, (lua_Integer)(i * MB_REPLICA_STRIDE) + 1);
    lua_rawgeti(L, list, (lua_Integer)(i * MB_REPLICA_STRIDE) + 2);
    lua_pushfstring(L, "%d %s ", (int)lua_tointeger(L, -2), luaL_typename(L, -1));
    luaL_tolstring(L, -2, NULL);
    lua_concat(L, 2);
    text = lua_tolstring(L, -1, &size);
    hashes[i] = mb_hash_bytes(text, size) | 1;
    lua_pop(L, 3);
  }
  return hashes;
}

/* `holds`: see mb_publish. */
static void publish(struct mb_heap *h, lua_State *L, int kind, const void *bytes, size_t size, struct mb_block *holds,
                    const uint64_t *names, size_t named) {
  unsigned version = mb_publish(h->publications, kind, h->id, bytes, size, holds, names, named);
  if (version == 0) mb_no_memory(L);
  if (version == h->adopted + 1) h->adopted = version; /* else others' are still to be adopted */
}

static void publish_list(struct mb_heap *h, lua_State *L, int kind, int list) {
  int top = lua_gettop(L), values = 1;
  size_t named = lua_rawlen(L, list) / MB_REPLICA_STRIDE;
  const struct mb_buffer *out;
  struct mb_block *holds;
  uint64_t *names;
  if (named == 0) return;
  names = push_hashes(L, list, named);
  lua_pushvalue(L, list);
  lua_pushnil(L);
  if (kind == MB_REPLICA_LATER) {
    lua_newtable(L);
    lua_replace(L, top + 2);
    for (size_t i = 0; i < named; i++) {
      lua_rawgeti(L, list, (lua_Integer)(i * MB_REPLICA_STRIDE) + 2);
      lua_rawseti(L, top + 2, (lua_Integer)i + 1);
    }
    mb_encode(h, L, list, 1, mb_replica_all, &out);
    lua_pushlstring(L, (const char *)out->bytes, out->size);
    lua_replace(L, top + 3);
    values = 2;
  }
  mb_encode_keeping(h, L, top + 2, values, mb_replica_all, &holds, &out);
  publish(h, L, kind, out->bytes, out->size, holds, names, named);
  lua_settop(L, top);
}

/* publish_later(heap, list): may raise, for what has not been tried */
static int publish_later(lua_State *L) {
  publish_list(lua_touserdata(L, 1), L, MB_REPLICA_LATER, 2);
  return 0;
}

static void know_list(struct mb_heap *h, lua_State *L, int list, int stride) {
  int top = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= n; i += stride) {
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, list, i + 1);
    lua_rawgeti(L, list, i + stride - 1);
    if (stride == MB_REPLICA_STRIDE) {
      lua_rawgeti(L, list, i + 2);
      if (!lua_toboolean(L, -1)) lua_pushnil(L), lua_replace(L, top + 3);
      lua_pop(L, 1);
    }
    mb_replica_know(h, L, (int)lua_tointeger(L, top + 1), top + 2);
    lua_settop(L, top);
  }
}

/* Watch the table on the top of the stack (popped). */
static void watch(struct mb_heap *h, lua_State *L) {
  if (lua_istable(L, -1)) {
    mb_push_ref(h, L, MB_REF_WATCHED);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    if (mb_table_watch_add(h->replica->watch, L, -1) != 0) mb_no_memory(L);
  }
  lua_pop(L, 1);
}

/* Note all tables as they are now. */
static void watch_all(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  mb_table_watch_clear(h->replica->watch);
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_WATCHED]);
  for (int place = 0; place < MB_PLACE_SEARCHERS; place++) {
    if (mb_push_place(L, place, MB_PLACE_FOUND)) watch(h, L);
  }
  if (mb_push_place(L, MB_PLACE_PACKAGE, MB_PLACE_FOUND)) {
    lua_getfield(L, -1, "searchers");
    watch(h, L);
    lua_pop(L, 1);
  }
  if (h->owner) {
    lua_pushglobaltable(L);
    if (lua_getmetatable(L, -1)) watch(h, L);
    watch(h, L);
  }
  lua_settop(L, top);
  h->replica->watching = 1;
}

/* What is to be compared. */
enum { ALL = 1, CONTENTS = 2 };

static int replicate(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_changes c = {h, L, 3, 4, 5, 6, 0};
  int what = (int)lua_tointeger(L, 2);
  for (int list = c.first; list <= c.kept; list++) lua_newtable(L);
  luaL_checkstack(L, 30, NULL);
  mb_replica_know_standard(h, L);
  if (what & ALL) {
    if (h->replica->watch_works) watch_all(h, L); /* first: what finalizers change meanwhile is found the next time */
    mb_replica_compare(&c);
  }
  if (what & CONTENTS) {
    uint64_t began = mb_now(h->runtime), ended;
    lua_Integer before = c.tried;
    if (began >= h->replica->contents) mb_replica_compare_contents(&c);
    ended = mb_now(h->runtime);
    if (c.tried - before > CONTENTS_BYTES) h->replica->contents = ended + CONTENTS_SHARE * (ended - began);
  }
  publish_list(h, L, MB_REPLICA_NOW, c.first);
  publish_list(h, L, MB_REPLICA_NOW, c.now);
  lua_pushcfunction(L, publish_later);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, c.later);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1); /* one of very many cannot be copied: all stay */
  know_list(h, L, c.kept, 3); /* first: what was published before it could not be copied is known as gone, too */
  know_list(h, L, c.first, MB_REPLICA_STRIDE);
  know_list(h, L, c.now, MB_REPLICA_STRIDE);
  know_list(h, L, c.later, MB_REPLICA_STRIDE);
  return 0;
}

void mb_replicate(struct mb_heap *h, lua_State *L, enum mb_replicate_depth depth) {
  int what;
  if (h->replicating || h->closing || h->blocking) return; /* what a thread of blocking's changes is its own */
  mb_replica_refresh(h, L);
  what = depth == MB_REPLICATE_CONTENTS ? CONTENTS : 0;
  if (!h->replica->watching || mb_table_watch_changed(h->replica->watch)) what |= ALL;
  if (what && lua_checkstack(L, 8) && mb_replica_protected(h, L, replicate, NULL, what) != LUA_OK) {
    lua_pop(L, 1); /* memory is out: the next time */
    h->replica->watching = 0;
  }
}

/* Of all heaps of a scheduler, but for one (NULL: none): publish what has been changed where code has run. */
static void replicate_all(struct mb_heaps *all, const struct mb_heap *but) {
  struct mb_heap **at = &all->ran, *h;
  while ((h = *at)) {
    if (h != but) mb_replicate(h, h->runner, MB_REPLICATE_CONTENTS);
    if (h == but || h->replica->contents > mb_now(h->runtime)) { /* there may be more that has been put off */
      at = &h->next_ran;
    } else {
      *at = h->next_ran;
      h->ran = 0;
    }
  }
}

void mb_replicate_owing(struct mb_heap *h) {
  struct mb_heap **at = &h->heaps->owing, *other;
  while ((other = *at)) {
    if (other == h) {
      at = &other->next_owing;
      continue;
    }
    mb_replicate(other, other->runner, MB_REPLICATE_NAMES);
    *at = other->next_owing;
    other->owes = 0;
  }
}

void mb_replica_share(struct mb_scheduler *s) { replicate_all(s->above, NULL); }

void mb_replicate_beside(struct mb_heap *h) { replicate_all(h->heaps, h); }

void mb_replica_encode_start(struct mb_heap *h, lua_State *L, int index) {
  const struct mb_buffer *out;
  const char *site = mb_site(h, L);
  lua_pushstring(L, site ? site : "?");
  lua_pushvalue(L, index);
  mb_encode(h, L, lua_gettop(L) - 1, 2, mb_replica_start, &out);
  lua_pushlstring(L, (const char *)out->bytes, out->size);
}

void mb_replica_publish_start(struct mb_heap *h, lua_State *L, int index, const char *name) {
  size_t size;
  const char *bytes = luaL_checklstring(L, index, &size);
  uint64_t hash = name ? mb_hash_bytes(name, strlen(name)) | 1 : 0;
  mb_replicate(h, L, MB_REPLICATE_CONTENTS); /* what the function finds is there before it runs */
  publish(h, L, MB_REPLICA_START, bytes, size, NULL, name ? &hash : NULL, name != NULL);
}
