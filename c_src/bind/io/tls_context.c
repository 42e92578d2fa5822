#include "io/tls_context.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/call.h"
#include "io/failure.h"
#include "io/path.h"
#include "io/tls_library.h"

static const char NAME[] = "moonbeam.tls_context";

static int collect(lua_State *L) {
  struct mb_tls_context **box = lua_touserdata(L, 1);
  mb_tls_context_release(*box);
  *box = NULL;
  return 0;
}

struct mb_tls_context *mb_tls_context_at(lua_State *L, int at) {
  return *(struct mb_tls_context **)luaL_checkudata(L, at, NAME);
}

void mb_tls_context_push(lua_State *L, struct mb_tls_context *c) {
  struct mb_tls_context **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  if (luaL_newmetatable(L, NAME)) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  mb_tls_context_retain(c); /* from here on nothing raises */
  *box = c;
}

/* Making one: a thread of the pool reads the files. */

struct making {
  struct mb_call call;
  struct mb_tls_options options;
  struct mb_tls_identity *identities; /* of the options, with their strings in `text` */
  char *text, *next;                  /* the bytes of all strings, and where the next one goes */
  unsigned char *chooser;
  struct mb_tls_context *made;
  struct mb_tls_error error;
  char why[MB_TLS_TEXT];
};

static void release(struct mb_call *call) {
  struct making *m = (struct making *)call;
  mb_tls_context_release(m->made);
  free(m->identities);
  free(m->text);
  free(m->chooser);
}

static void run(struct mb_call *call) {
  struct making *m = (struct making *)call;
  const struct mb_tls_functions *functions = mb_tls_load(m->why, sizeof m->why);
  if (!functions) return;
  m->made = functions->context_new(&m->options, &m->error);
  if (!m->made) return;
  m->made->chooser = m->chooser;
  m->chooser = NULL;
}

static int finish(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  struct making *m = (struct making *)call;
  (void)h;
  if (call->result < 0) return mb_failure(L, (int)call->result);
  if (m->why[0]) {
    lua_pushfstring(L, "TLS cannot be loaded: %s", m->why);
    return mb_failure_text(L, "ENOSYS", lua_tostring(L, -1));
  }
  if (m->error.system) return mb_path_failure(L, uv_translate_sys_error(m->error.system), m->error.text, NULL);
  if (!m->made) return mb_failure_text(L, "EINVAL", m->error.text);
  mb_tls_context_push(L, m->made);
  return 1;
}

/* The string at a stack index, copied; NULL for nil. */
static const char *keep(lua_State *L, int at, struct making *m) {
  size_t size;
  const char *text = luaL_optlstring(L, at, NULL, &size);
  char *kept = m->next;
  if (!text) return NULL;
  memcpy(kept, text, size + 1);
  m->next += size + 1;
  return kept;
}

static size_t size_of(lua_State *L, int at) {
  size_t size = 0;
  (void)luaL_optlstring(L, at, "", &size);
  return size + 1;
}

enum { SERVER = 1, VERIFY, CA, ALPN, TIMEOUT, CHOOSER, IDENTITIES };

/* tls_context(is_server, "none" | "offered" | "required", ca | nil, alpn in wire format | nil, handshake timeout in ms,
 * function | nil, {name | false, cert | false, key | false, ...}) -> context; the first identity has no name. */
static int context(lua_State *L) {
  static const char *const verify[] = {"none", "offered", "required", NULL};
  struct mb_heap *h = mb_heap_of(L);
  const struct mb_buffer *code = NULL;
  size_t size = size_of(L, CA) + size_of(L, ALPN);
  lua_Integer count, ms = luaL_checkinteger(L, TIMEOUT);
  struct making *m;
  luaL_checktype(L, IDENTITIES, LUA_TTABLE);
  lua_settop(L, IDENTITIES);
  count = (lua_Integer)lua_rawlen(L, IDENTITIES) / 3;
  for (lua_Integer i = 1; i <= 3 * count; i++) {
    if (lua_rawgeti(L, IDENTITIES, i) == LUA_TSTRING) size += size_of(L, -1);
    lua_pop(L, 1);
  }
  m = mb_call_new(h, L, sizeof *m);
  m->call.run = run;
  m->call.finish = finish;
  m->call.release = release;
  m->text = m->next = malloc(size);
  m->identities = calloc((size_t)count, sizeof *m->identities);
  if (!m->text || !m->identities) return mb_no_memory(L);
  m->options = (struct mb_tls_options){
      .is_server = lua_toboolean(L, SERVER),
      .verify = (enum mb_tls_verify)luaL_checkoption(L, VERIFY, "none", verify),
      .ca = keep(L, CA, m),
      .identities = m->identities,
      .count = (size_t)count,
      .alpn_size = lua_isnoneornil(L, ALPN) ? 0 : size_of(L, ALPN) - 1,
      .alpn = (const unsigned char *)keep(L, ALPN, m),
      .asks = !lua_isnoneornil(L, CHOOSER),
      .handshake_ms = ms < UINT_MAX ? (unsigned)ms : UINT_MAX,
  };
  for (lua_Integer i = 0; i < count; i++) {
    const char *parts[3];
    for (int k = 0; k < 3; k++) {
      parts[k] = lua_rawgeti(L, IDENTITIES, 3 * i + k + 1) == LUA_TSTRING ? keep(L, -1, m) : NULL;
      lua_pop(L, 1);
    }
    m->identities[i] = (struct mb_tls_identity){parts[0], parts[1], parts[2]};
  }
  if (m->options.asks) {
    mb_encode(h, L, CHOOSER, 1, "keep the function sni", &code);
    m->chooser = malloc(code->size);
    if (!m->chooser) return mb_no_memory(L);
    memcpy(m->chooser, code->bytes, code->size);
  }
  return mb_call_wait(h, L, lua_gettop(L));
}

/* tls_stamp(path) -> a string that is another one when the file has changed, "" when there is none */
static int stamp(lua_State *L) {
  struct stat s;
  if (stat(luaL_checkstring(L, 1), &s) != 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  lua_pushfstring(L, "%I.%I.%I.%I.%I", (LUAI_UACINT)s.st_dev, (LUAI_UACINT)s.st_ino, (LUAI_UACINT)s.st_size,
                  (LUAI_UACINT)s.st_mtim.tv_sec, (LUAI_UACINT)s.st_mtim.tv_nsec);
  return 1;
}

void mb_open_tls_context(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"tls_context", context}, {"tls_stamp", stamp}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
