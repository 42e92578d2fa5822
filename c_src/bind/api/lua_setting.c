/* Settings of the program, which stand in no process's memory: the metadata of a registry that nobody's name can be that
 * of. What is behind them is registry.h of the core. Each setting has a reference, which is another one when it is set
 * anew: by that a reader knows whether what it has is still right, and a writer whether another one was faster. */
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "codec/registry_key.h"
#include "core/error.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"

static const struct mb_bytes OWN = {"", 0};

/* The address of the setting whose key is argument 1; its bytes stay as those of mb_registry_key do. */
static struct mb_address address(struct mb_heap *h, lua_State *L) {
  const struct mb_buffer *key = mb_registry_key(h, L, 1, "setting", 1);
  return (struct mb_address){.registry = OWN, .key = {key->bytes, (uint32_t)key->size}, .of = MB_KEY_OF_META};
}

/* setting(key [, known]) -> reference, value; the reference alone when it is the known one; nil when there is none */
static int setting(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  unsigned char here[1024], *bytes = here;
  int64_t size, room = sizeof here;
  struct mb_found found;
  struct mb_address at;
  mb_ref known = mb_to_ref(L, 2);
  lua_settop(L, 1);
  at = address(h, L);
  if (known && mb_registry_meta_ref(h->scheduler, &at) == known) {
    mb_push_id(L, known);
    return 1;
  }
  while ((size = mb_registry_lookup(h->scheduler, &at, 0, bytes, (size_t)room)) > room) {
    room = size;
    bytes = lua_newuserdatauv(L, (size_t)room, 0);
    at = address(h, L); /* anew: allocating may collect, which may run user code */
  }
  if (size <= 0) { /* the registry is opened by the first one who sets something */
    lua_pushnil(L);
    return 1;
  }
  memcpy(&found, bytes, sizeof found);
  mb_push_id(L, found.ref);
  mb_decode(h, L, bytes + sizeof found);
  return 2;
}

/* put_setting(key, value | nil, expected reference | false | nil) -> whether that was there; for nil whatever is.
 * A refusal of the value names argument `number` of `function`, which follow. */
static int put_setting(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const struct mb_buffer *out;
  struct mb_bytes value = {NULL, 0};
  struct mb_address at;
  mb_ref expected = mb_to_ref(L, 3);
  int any = lua_isnoneornil(L, 3), err;
  lua_settop(L, 5);
  if (!lua_isnil(L, 2)) {
    mb_given_to(h, luaL_checkstring(L, 4), MB_GIVEN_ITSELF, (int)luaL_checkinteger(L, 5));
    mb_encode(h, L, 2, 1, "setting", &out);
    mb_given_to_nobody(h);
    value = (struct mb_bytes){out->bytes, (uint32_t)out->size};
  }
  at = address(h, L);
  for (;;) {
    mb_pid nobody;
    err = mb_registry_set_meta(h->scheduler, &at, value.size ? &value : NULL, any ? NULL : &expected);
    if (err != MB_EREGISTRY) break;
    err = mb_registry_open(h->scheduler, NULL, OWN, MB_KEYS_UNIQUE, 0, OWN, &nobody);
    if (err != 0 && err != MB_ENAME) break;
  }
  if (err < 0) return mb_no_memory(L);
  lua_pushboolean(L, err == 0);
  return 1;
}

/* settings() -> the keys of all */
static int settings(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  unsigned char here[1024], *bytes = here;
  int64_t size, room = sizeof here;
  lua_Integer n = 0;
  while ((size = mb_registry_entries(h->scheduler, OWN, MB_KEY_OF_META, bytes, (size_t)room)) > room) {
    room = size;
    bytes = lua_newuserdatauv(L, (size_t)room, 0);
  }
  lua_newtable(L);
  for (int64_t at = 0; at < size;) {
    struct mb_entry_found entry;
    memcpy(&entry, bytes + at, sizeof entry);
    at += (int64_t)sizeof entry;
    mb_decode(h, L, bytes + at);
    lua_rawseti(L, -2, ++n);
    at += entry.key_size + entry.found.size;
  }
  return 1;
}

void mb_open_setting(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {
      {"setting", setting}, {"put_setting", put_setting}, {"settings", settings}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
