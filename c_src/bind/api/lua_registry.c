/* The functions of the module Registry: see registry.h of the core for what is behind them. Bytes are copied out
 * there and decoded here, where no lock is held. */
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "codec/registry_key.h"
#include "core/error.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"
#include "process/wait.h"

/* A copy of what was found: in the caller's frame, or on the Lua stack when it does not fit there. Decoding may run
 * user code, which may look something up itself, so it is in no place that is shared. */
struct copy {
  unsigned char *bytes;
  size_t size;
  unsigned char here[1024];
};

static void copy_begin(struct copy *c) {
  c->bytes = c->here;
  c->size = sizeof c->here;
}

static struct mb_bytes check_registry(struct mb_heap *h, lua_State *L, const char *function) {
  size_t size;
  const char *name;
  (void)mb_caller(h, L);
  if (lua_type(L, 1) != LUA_TSTRING) mb_bad_type(h, L, function, 1, "name of a registry", 1);
  name = lua_tolstring(L, 1, &size);
  return (struct mb_bytes){name, (uint32_t)size};
}

/* The address of arguments 1 and 2; its bytes stay as those of mb_registry_key do. */
static struct mb_address check_address(struct mb_heap *h, lua_State *L, const char *function, enum mb_key_of of) {
  struct mb_address at = {.registry = check_registry(h, L, function), .of = of};
  const struct mb_buffer *key = mb_registry_key(h, L, 2, function, 2);
  at.key = (struct mb_bytes){key->bytes, (uint32_t)key->size};
  return at;
}

/* The bytes of the value at `index`, as those of mb_encode; none for nil. A refusal names the function and its argument,
 * unless that is 0, for the result of a function. */
static struct mb_bytes encode(struct mb_heap *h, lua_State *L, int index, const char *function, int argument) {
  const struct mb_buffer *out;
  if (lua_isnoneornil(L, index)) return (struct mb_bytes){NULL, 0};
  if (argument) mb_given_to(h, function, MB_GIVEN_ITSELF, argument);
  mb_encode(h, L, index, 1, "copy the result of the function given to Registry.update_value", &out);
  mb_given_to_nobody(h);
  return (struct mb_bytes){out->bytes, (uint32_t)out->size};
}

static void push(struct mb_heap *h, lua_State *L, const unsigned char *bytes, uint32_t size) {
  if (size)
    mb_decode(h, L, bytes);
  else
    lua_pushnil(L);
}

/* Raise what an operation on the registry named by argument 1 failed of; nothing happens when it has not. */
static void check(struct mb_heap *h, lua_State *L, const char *function, int64_t result) {
  if (result >= 0) return;
  if (result == MB_EREGISTRY)
    mb_bad_argument(h, L, function, 1, "unknown registry: '%s'", mb_push_short(L, lua_tostring(L, 1)));
  else if (result == MB_EDUPLICATE)
    mb_bad_argument(h, L, function, 1, "the registry '%s' has duplicate keys, here they must be unique",
                    mb_push_short(L, lua_tostring(L, 1)));
  else if (result == MB_ENOPROC)
    mb_raise(h, L, "%s: the process is exiting", function);
  else
    mb_no_memory(L);
}

/* Starting and stopping */

/* open(name, duplicate, owner, settings | nil) -> true | nil, server */
static int registry_open(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_bytes name = check_registry(h, L, "Registry.start_link");
  mb_pid owner = mb_check_pid(h, L, 3, "Registry.start_link", 1), server;
  struct mb_bytes settings = encode(h, L, 4, "Registry.start_link", 1);
  enum mb_keys keys = lua_toboolean(L, 2) ? MB_KEYS_DUPLICATE : MB_KEYS_UNIQUE;
  int err = mb_registry_open(h->scheduler, p, name, keys, owner, settings, &server);
  if (err == MB_ENAME) {
    lua_pushnil(L);
    mb_push_id(L, server);
    return 2;
  }
  check(h, L, "Registry.start_link", err);
  lua_pushboolean(L, 1);
  return 1;
}

/* ignore_links(): exits of those linked to the caller do not reach it from now on, but for its parent's */
static int registry_ignore_links(lua_State *L) {
  mb_current(mb_heap_of(L), L)->flags |= MB_LINKS_IGNORED;
  return 0;
}

/* owner(name) -> the pid that those registered are linked to */
static int registry_owner(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_bytes name = check_registry(h, L, "Registry.lock");
  mb_pid owner;
  check(h, L, "Registry.lock", mb_registry_link_target(h->scheduler, name, &owner));
  mb_push_id(L, owner);
  return 1;
}

/* settings(name, function) -> what it was opened with */
static int registry_settings(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = luaL_checkstring(L, 2);
  struct mb_bytes name = check_registry(h, L, function);
  struct copy c;
  int64_t size;
  copy_begin(&c);
  while ((size = mb_registry_settings(h->scheduler, name, c.bytes, c.size)) > (int64_t)c.size) {
    c.size = (size_t)size;
    c.bytes = lua_newuserdatauv(L, c.size, 0);
  }
  push(h, L, c.bytes, size > 0 ? (uint32_t)size : 0);
  return 1;
}

/* Registering */

/* register(name, key, value) -> owner | nil, {"already_registered", pid} */
static int registry_register(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_bytes value;
  struct mb_address at;
  mb_pid who = 0;
  int err;
  lua_settop(L, 3);
  (void)check_registry(h, L, "Registry.register");
  value = encode(h, L, 3, "Registry.register", 3); /* first: it may run user code */
  at = check_address(h, L, "Registry.register", MB_KEY_OF_PROCESSES);
  err = mb_registry_add(h->scheduler, p, &at, value, &who);
  mb_leave_if_exiting(h, L, p);
  if (err == MB_ENAME) {
    lua_pushnil(L);
    lua_createtable(L, 2, 0);
    lua_pushliteral(L, "already_registered");
    lua_rawseti(L, -2, 1);
    mb_push_id(L, who);
    lua_rawseti(L, -2, 2);
    return mb_worked(h, L, p, MB_COST_MESSAGE, 2);
  }
  check(h, L, "Registry.register", err);
  mb_push_id(L, who);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

/* unregister(name, key [, reference]) -> number of registrations that are gone */
static int registry_unregister(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_address at = check_address(h, L, "Registry.unregister", MB_KEY_OF_PROCESSES);
  int removed = mb_registry_remove(h->scheduler, p, &at, mb_to_ref(L, 3));
  mb_leave_if_exiting(h, L, p);
  check(h, L, "Registry.unregister", removed);
  lua_pushinteger(L, removed);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

/* update(name, key, value) -> whether the caller stands there */
static int registry_update(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_bytes value;
  struct mb_address at;
  int done;
  lua_settop(L, 3);
  value = encode(h, L, 3, "Registry.update_value", 0);
  at = check_address(h, L, "Registry.update_value", MB_KEY_OF_PROCESSES);
  done = mb_registry_update(h->scheduler, p, &at, value);
  check(h, L, "Registry.update_value", done);
  lua_pushboolean(L, done);
  return 1;
}

/* Looking things up */

/* What stands at an address, all or that of one process. The end of the copy. */
static const unsigned char *find_entries(struct mb_heap *h, lua_State *L, const char *function, enum mb_key_of of,
                                         mb_pid only, struct copy *c) {
  copy_begin(c);
  for (;;) {
    struct mb_address at = check_address(h, L, function, of);
    int64_t size = mb_registry_lookup(h->scheduler, &at, only, c->bytes, c->size);
    check(h, L, function, size);
    if ((size_t)size <= c->size) return c->bytes + size;
    c->size = (size_t)size; /* and the key anew: allocating may collect, which may run user code */
    c->bytes = lua_newuserdatauv(L, c->size, 0);
  }
}

static const unsigned char *next_found(const unsigned char *at, struct mb_found *found) {
  memcpy(found, at, sizeof *found);
  return at + sizeof *found;
}

/* Push {{id, value}...}, the id being the pid or the registration's reference. */
/* By what each is told from the others. */
enum found_as { PIDS, REFERENCES };

static void push_found(struct mb_heap *h, lua_State *L, const unsigned char *at, const unsigned char *end,
                       enum found_as as) {
  struct mb_found found;
  lua_createtable(L, at < end, 0);
  for (lua_Integer i = 1; at < end; i++, at += found.size) {
    at = next_found(at, &found);
    lua_createtable(L, 2, 0);
    mb_push_id(L, as == REFERENCES ? found.ref : found.pid);
    lua_rawseti(L, -2, 1);
    if (found.size) {
      mb_decode(h, L, at);
      lua_rawseti(L, -2, 2);
    }
    lua_rawseti(L, -2, i);
  }
}

/* The function to name in an error: the one at `at`, where the runtime's Lua files say so. */
static const char *named(lua_State *L, int at, const char *otherwise) {
  return lua_type(L, at) == LUA_TSTRING ? lua_tostring(L, at) : otherwise;
}

/* lookup(name, key [, function]) -> {{pid, value}...} */
static int registry_lookup(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct copy c;
  const unsigned char *end = find_entries(h, L, named(L, 3, "Registry.lookup"), MB_KEY_OF_PROCESSES, 0, &c);
  push_found(h, L, c.bytes, end, PIDS);
  return mb_worked(h, L, mb_worker(h, L), MB_COST_MESSAGE, 1);
}

/* own(name, key, function) -> {{reference, value}...} of the caller */
static int registry_own(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid self = mb_pid_of(mb_current(h, L));
  struct copy c;
  const unsigned char *end = find_entries(h, L, luaL_checkstring(L, 3), MB_KEY_OF_PROCESSES, self, &c);
  push_found(h, L, c.bytes, end, REFERENCES);
  return 1;
}

/* values(name, key, pid) -> sequence, with n where one of them is nil */
static int registry_values(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid pid = mb_check_pid(h, L, 3, "Registry.values", 3);
  struct copy c;
  const unsigned char *end = find_entries(h, L, "Registry.values", MB_KEY_OF_PROCESSES, pid, &c);
  struct mb_found found;
  lua_Integer n = 0;
  int holes = 0;
  lua_newtable(L);
  for (const unsigned char *at = c.bytes; at < end; at += found.size) {
    at = next_found(at, &found);
    push(h, L, at, found.size);
    lua_rawseti(L, -2, ++n);
    holes |= !found.size;
  }
  if (holes) {
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
  }
  return mb_worked(h, L, mb_worker(h, L), MB_COST_MESSAGE, 1);
}

/* whereis(name, key, function) -> pid | nil */
static int registry_whereis(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = luaL_checkstring(L, 3);
  struct mb_address at = check_address(h, L, function, MB_KEY_OF_PROCESSES);
  mb_pid pid;
  check(h, L, function, mb_registry_whereis(h->scheduler, &at, &pid));
  mb_push_id_or_nil(L, pid);
  return 1;
}

/* keys(name, pid) -> sequence, in the order they were registered */
static int registry_keys(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_bytes name = check_registry(h, L, "Registry.keys");
  mb_pid pid = mb_check_pid(h, L, 2, "Registry.keys", 2);
  struct copy c;
  int64_t size;
  lua_Integer n = 0;
  copy_begin(&c);
  while ((size = mb_registry_keys(h->scheduler, name, pid, c.bytes, c.size)) > (int64_t)c.size) {
    c.size = (size_t)size;
    c.bytes = lua_newuserdatauv(L, c.size, 0);
  }
  check(h, L, "Registry.keys", size);
  for (int fill = 0; fill < 2; fill++) { /* the last one comes first: count, then fill from the end */
    if (fill) lua_createtable(L, (int)n, 0);
    for (const unsigned char *at = c.bytes; at < c.bytes + size;) {
      uint32_t length;
      memcpy(&length, at, sizeof length);
      at += sizeof length;
      if (fill) {
        mb_decode(h, L, at);
        lua_rawseti(L, -2, n--);
      } else {
        n++;
      }
      at += length;
    }
  }
  return mb_worked(h, L, mb_worker(h, L), MB_COST_MESSAGE, 1);
}

/* entries(name, function) -> {{key, pid, value}...}, those without a value with n = 3 */
static int registry_entries(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = luaL_checkstring(L, 2);
  struct mb_bytes name = check_registry(h, L, function);
  struct copy c;
  int64_t size;
  lua_Integer n = 0;
  copy_begin(&c);
  while ((size = mb_registry_entries(h->scheduler, name, MB_KEY_OF_PROCESSES, c.bytes, c.size)) > (int64_t)c.size) {
    c.size = (size_t)size;
    c.bytes = lua_newuserdatauv(L, c.size, 0);
  }
  check(h, L, function, size);
  lua_newtable(L);
  for (const unsigned char *at = c.bytes; at < c.bytes + size;) {
    struct mb_entry_found entry;
    memcpy(&entry, at, sizeof entry);
    at += sizeof entry;
    lua_createtable(L, 3, 0);
    mb_decode(h, L, at);
    lua_rawseti(L, -2, 1);
    mb_push_id(L, entry.found.pid);
    lua_rawseti(L, -2, 2);
    at += entry.key_size;
    if (entry.found.size) {
      mb_decode(h, L, at);
      lua_rawseti(L, -2, 3);
    } else {
      lua_pushinteger(L, 3);
      lua_setfield(L, -2, "n");
    }
    at += entry.found.size;
    lua_rawseti(L, -2, ++n);
  }
  return mb_worked(h, L, mb_worker(h, L), MB_COST_MESSAGE, 1);
}

/* count(name) -> integer */
static int registry_count(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_bytes name = check_registry(h, L, "Registry.count");
  int64_t count = mb_registry_count(h->scheduler, name);
  check(h, L, "Registry.count", count);
  lua_pushinteger(L, count);
  return 1;
}

/* Metadata */

/* meta(name, key) -> value | nil, "not_found" */
static int registry_meta(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct copy c;
  const unsigned char *end = find_entries(h, L, "Registry.meta", MB_KEY_OF_META, 0, &c), *at;
  struct mb_found found;
  if (c.bytes == end) {
    lua_pushnil(L);
    lua_pushliteral(L, "not_found");
    return 2;
  }
  at = next_found(c.bytes, &found);
  push(h, L, at, found.size);
  return 1;
}

static int set_meta(lua_State *L, const char *function, int index) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_bytes value;
  struct mb_address at;
  lua_settop(L, 3);
  (void)check_registry(h, L, function);
  value = encode(h, L, index, function, index);
  at = check_address(h, L, function, MB_KEY_OF_META);
  check(h, L, function, mb_registry_set_meta(h->scheduler, &at, value.size ? &value : NULL, NULL));
  lua_pushboolean(L, 1);
  return 1;
}

/* put_meta(name, key, value) -> true; nil takes it away */
static int registry_put_meta(lua_State *L) { return set_meta(L, "Registry.put_meta", 3); }

/* delete_meta(name, key) -> true */
static int registry_delete_meta(lua_State *L) {
  lua_settop(L, 2);
  return set_meta(L, "Registry.delete_meta", 3);
}

/* key(value, function, index) -> string that is the same for equal keys; the value is that argument of the function */
static int registry_key(lua_State *L) {
  const char *function = luaL_checkstring(L, 2);
  const struct mb_buffer *key = mb_registry_key(mb_heap_of(L), L, 1, function, (int)luaL_checkinteger(L, 3));
  lua_pushlstring(L, (const char *)key->bytes, key->size);
  return 1;
}

void mb_open_registry(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"registry_open", registry_open},
                                       {"registry_ignore_links", registry_ignore_links},
                                       {"registry_owner", registry_owner},
                                       {"registry_settings", registry_settings},
                                       {"registry_register", registry_register},
                                       {"registry_unregister", registry_unregister},
                                       {"registry_update", registry_update},
                                       {"registry_lookup", registry_lookup},
                                       {"registry_own", registry_own},
                                       {"registry_values", registry_values},
                                       {"registry_whereis", registry_whereis},
                                       {"registry_keys", registry_keys},
                                       {"registry_entries", registry_entries},
                                       {"registry_count", registry_count},
                                       {"registry_meta", registry_meta},
                                       {"registry_put_meta", registry_put_meta},
                                       {"registry_delete_meta", registry_delete_meta},
                                       {"registry_key", registry_key},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
