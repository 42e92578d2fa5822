#include "io/secure.h"

#include <string.h>

#include "code/library.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/tls_context.h"

/* The library's Lua part of it. */
static void push_part(struct mb_heap *h, lua_State *L, const char *name) {
  mb_library_push(h, L, "moonbeam.net.tls");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

int mb_secure(struct mb_heap *h, lua_State *L, struct mb_socket *s, struct mb_process *p, uint64_t deadline,
              lua_KFunction k) {
  uint64_t until;
  int error;
  if (s->giving) return -mb_failure(L, UV_EBUSY); /* an error has left the call that gives it away */
  if (!s->tls || s->secured) return 1;
  if (!s->secure_until) {
    unsigned ms = s->tls->context->handshake_ms;
    s->secure_until = ms ? mb_now(h->runtime) + ms * 1000000ull : UINT64_MAX;
  }
  if (!s->active) uv_unref(&s->uv.handle); /* it may have waited */
  error = mb_socket_handshake(s);
  if (error == 1) return 1;
  if (!error && s->tls->state == MB_TLS_ASKS) {
    push_part(h, L, "choose");
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 0, (lua_KContext)deadline, k);
    return 0;
  }
  if (!error && mb_now(h->runtime) >= s->secure_until) mb_socket_break(s, error = UV_ETIMEDOUT);
  if (error) return -mb_socket_failure(L, s, error);
  mb_socket_read(s, s->high_water); /* goes on after a call that is late, too */
  if (s->ended) return 0;
  if (mb_deadline_passed(h, deadline)) return -mb_failure(L, UV_ETIMEDOUT);
  until = deadline && deadline < s->secure_until ? deadline : s->secure_until == UINT64_MAX ? 0 : s->secure_until;
  uv_ref(&s->uv.handle);
  s->object.waiter = mb_pid_of(p);
  mb_block(h, L, p, until, (lua_KContext)deadline, k);
  return 0;
}

/* Stack: 1 socket. */
static int handshake_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_socket *s = (struct mb_socket *)mb_object_of(L, 1, &mb_socket_type);
    int ready;
    if (!s || s->object.closed || s->object.owner != mb_pid_of(p)) return mb_object_gone(L, waited);
    ready = mb_secure(h, L, s, p, (uint64_t)deadline, handshake_on);
    if (ready < 0) return -ready;
    if (ready) {
      lua_pushboolean(L, 1);
      return mb_worked(h, L, p, MB_COST_SPAWN, 1);
    }
    waited = 1;
  }
}

int mb_secure_handshake(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  uint64_t deadline = mb_check_deadline(h, L, 2, "handshake", 1, MB_TIMEOUT_OPTIONAL);
  (void)mb_object_own(h, L, p, "handshake");
  lua_settop(L, 1);
  return handshake_on(L, LUA_OK, (lua_KContext)deadline);
}

static void set(lua_State *L, const char *name, const char *value) {
  if (!value[0]) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

/* Push a sequence of what stands in `text` between commas. */
static void push_items(lua_State *L, const char *text) {
  lua_Integer n = 0;
  lua_newtable(L);
  while (*text) {
    const char *end = strstr(text, ", ");
    size_t size = end ? (size_t)(end - text) : strlen(text);
    lua_pushlstring(L, text, size);
    lua_rawseti(L, -2, ++n);
    text += size + (end ? 2 : 0);
  }
}

int mb_secure_tls(lua_State *L) {
  struct mb_socket *s = (struct mb_socket *)mb_object_check(L, "tls");
  struct mb_tls_facts f;
  if (!s || s->object.closed) return mb_object_gone(L, 0);
  if (!s->tls) {
    lua_pushboolean(L, 0);
    return 1;
  }
  s->tls->functions->facts(s->tls, &f);
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 5);
  set(L, "version", f.version);
  set(L, "cipher", f.cipher);
  set(L, "alpn", f.alpn);
  set(L, "server_name", f.server_name);
  if (!f.has_peer) return 1;
  lua_createtable(L, 0, 7);
  set(L, "subject", f.subject);
  set(L, "issuer", f.issuer);
  set(L, "serial", f.serial);
  set(L, "fingerprint", f.fingerprint);
  set(L, "valid_from", f.from);
  set(L, "valid_until", f.until);
  push_items(L, f.names);
  lua_setfield(L, -2, "names");
  lua_setfield(L, -2, "peer");
  return 1;
}

static int all(lua_State *L, int status, lua_KContext unused) {
  (void)status;
  (void)unused;
  return lua_gettop(L);
}

int mb_secure_starttls(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  (void)mb_object_check(L, "starttls");
  (void)mb_current(h, L);
  push_part(h, L, "starttls");
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, all);
  return lua_gettop(L);
}

/* Functions of moonbeam.core for net/tls.lua. */

static struct mb_socket *open_socket(struct mb_heap *h, lua_State *L) {
  struct mb_socket *s = (struct mb_socket *)mb_object_of(L, 1, &mb_socket_type);
  if (!s || s->object.closed || s->object.owner != mb_pid_of(mb_current(h, L))) return NULL;
  return s;
}

/* tls_state(socket) -> "secure", "active" or "plain"; nothing when it is closed or not the caller's */
static int state(lua_State *L) {
  struct mb_socket *s = open_socket(mb_heap_of(L), L);
  if (!s) return 0;
  lua_pushstring(L, s->tls ? "secure" : s->active ? "active" : "plain");
  return 1;
}

/* tls_begin(socket, context [, host]) -> true: it is TLS from here on, and the handshake comes next */
static int begin(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_tls_context *context = mb_tls_context_at(L, 2);
  const char *host = luaL_optstring(L, 3, NULL);
  struct mb_socket *s = open_socket(h, L);
  struct mb_tls *tls;
  int error;
  if (!s) return mb_failure(L, UV_ECANCELED);
  if (s->tls) return mb_failure(L, UV_EALREADY);
  tls = context->functions->open(context, host);
  error = tls ? mb_socket_secure(s, tls) : UV_ENOMEM;
  if (error) return mb_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* tls_handshake(socket, deadline) -> true */
static int handshake(lua_State *L) {
  lua_KContext deadline = (lua_KContext)luaL_checkinteger(L, 2);
  lua_settop(L, 1);
  return handshake_on(L, LUA_OK, deadline);
}

/* tls_asked(socket) -> the function sni, and the name that the client asks for or nil; nothing when there is none any
 * more */
static int asked(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_socket *s = open_socket(h, L);
  if (!s || !s->tls || s->tls->state != MB_TLS_ASKS) return 0;
  lua_settop(L, 1);
  lua_pushstring(L, s->tls->functions->asked(s->tls));
  mb_tls_context_push(L, s->tls->context); /* keeps the bytes while they are decoded */
  (void)mb_decode(h, L, mb_tls_context_at(L, 3)->chooser);
  lua_settop(L, 4);
  lua_pushvalue(L, 2);
  return 2;
}

/* tls_choose(socket, context | nil [, refusal]) */
static int choose(lua_State *L) {
  struct mb_socket *s = open_socket(mb_heap_of(L), L);
  struct mb_tls_context *context = lua_isnoneornil(L, 2) ? NULL : mb_tls_context_at(L, 2);
  if (s && s->tls) s->tls->functions->choose(s->tls, context, luaL_optstring(L, 3, NULL));
  return 0;
}

void mb_open_secure(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"tls_state", state}, {"tls_begin", begin},   {"tls_handshake", handshake},
                                       {"tls_asked", asked}, {"tls_choose", choose}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
