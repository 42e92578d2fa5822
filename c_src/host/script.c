/* lua.c's `pmain` for a process: chunks are called from C, as there, so that levels and tracebacks are the same; with
 * continuations, so that they may wait. */
#include "host/script.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "embed/host_api.h"
#include "host/say.h"
#include "host/signals.h"

/* Stack, as deep as lua's below its chunks: the argument, a table that keeps the error value, the message handler. */
enum { SCRIPT = 1, BOX = 2, HANDLER = 3, BASE = 3 };

/* Steps: first these two, then the actions, then these two. */
enum { LISTEN, INIT, FIRST_ACTION };
static int script_step(const struct mb_script *s) { return FIRST_ACTION + s->options->action_count; }
static int prompt_step(const struct mb_script *s) { return script_step(s) + 1; }

static const struct mb_action *action_at(const struct mb_script *s, int step) {
  return step >= FIRST_ACTION && step < script_step(s) ? &s->options->actions[step - FIRST_ACTION] : NULL;
}

/* What each step runs. These push a function with its arguments and return their number, or one of: */
enum { NOTHING = -1, FAILED = -2 /* with a message on the top of the stack */ };

static int loaded(int status, int arguments) { return status == LUA_OK ? arguments : FAILED; }

static int load_text(lua_State *L, const char *text, const char *name) {
  return loaded(luaL_loadbuffer(L, text, strlen(text), name), 0);
}

static int load_init(lua_State *L, const struct mb_script *s) {
  const char *name = "=LUA_INIT_5_4", *text = getenv(name + 1);
  if (s->options->no_environment) return NOTHING;
  if (!text) text = getenv((name = "=LUA_INIT") + 1);
  if (!text) return NOTHING;
  return text[0] == '@' ? loaded(luaL_loadfile(L, text + 1), 0) : load_text(L, text, name);
}

static int load_action(lua_State *L, const struct mb_action *action) {
  const char *equals;
  if (action->kind == 'e') return load_text(L, action->value, "=(command line)");
  if (action->kind == 'W') {
    lua_warning(L, "@on", 0);
    return NOTHING;
  }
  equals = strchr(action->value, '='); /* -l mod, or name=mod */
  lua_getglobal(L, "require");
  lua_pushstring(L, equals ? equals + 1 : action->value);
  return 1;
}

/* The script gets what `arg` holds by now. */
static int push_arguments(lua_State *L) {
  int table = lua_gettop(L) + 1;
  lua_Integer n;
  if (lua_getglobal(L, "arg") != LUA_TTABLE) {
    lua_pushliteral(L, "'arg' is not a table");
    return FAILED;
  }
  n = luaL_len(L, table);
  luaL_checkstack(L, (int)n + 3, "too many arguments to script");
  for (lua_Integer i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return (int)n;
}

static int load_script(lua_State *L, const struct mb_script *s) {
  const struct mb_options *o = s->options;
  const char *name = o->read_stdin || s->read_stdin ? NULL : s->argv[o->script];
  int given = o->script < s->argc;
  if (!given && !s->read_stdin) return NOTHING;
  if (luaL_loadfile(L, name) != LUA_OK) return FAILED;
  return given ? push_arguments(L) : 0;
}

/* A function of the shell's, called with these texts, nil where there is none. */
static int load_shell(lua_State *L, const char *function, const char *first, const char *second) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "moonbeam.shell.main");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, function);
  lua_pushstring(L, first);
  lua_pushstring(L, second);
  return 2;
}

static int load_listener(lua_State *L, const struct mb_script *s) {
  return s->options->listen ? load_shell(L, "listen", s->options->listen, NULL) : NOTHING;
}

static int load_prompt(lua_State *L, const struct mb_script *s) {
  const struct mb_options *o = s->options;
  if (o->remote) return load_shell(L, "attach", o->remote, o->dot_file);
  return s->prompt ? load_shell(L, "main", o->dot_file, NULL) : NOTHING;
}

static int load_step(lua_State *L, const struct mb_script *s) {
  const struct mb_action *action = action_at(s, s->step);
  if (action) return load_action(L, action);
  if (s->step == LISTEN) return load_listener(L, s);
  if (s->step == INIT) return load_init(L, s);
  return s->step == script_step(s) ? load_script(L, s) : load_prompt(L, s);
}

/* Errors */

/* The text that an error is printed as; the box keeps the error. What exit() raises stays as it is. */
static int handle_message(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (mb_host_is_exit(L, 1)) return mb_host_note_exit(L);
  lua_pushvalue(L, 1);
  lua_rawseti(L, lua_upvalueindex(1), 1);
  if (!text) {
    int made;
    mb_host_bound(L); /* ends in finish_step when this raises */
    made = luaL_callmeta(L, 1, "__tostring");
    (void)mb_host_unbound(L);
    if (made && lua_type(L, -1) == LUA_TSTRING && !mb_host_is_reason(L, 1)) return 1; /* as lua does */
    text = made && lua_type(L, -1) == LUA_TSTRING
               ? lua_tostring(L, -1)
               : lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  mb_host_traceback(L, text);
  return 1;
}

/* The process ends of what is on the top of the stack: links and monitors see the reason of a crash. */
static int fail(lua_State *L, struct mb_script *s) {
  int text = lua_gettop(L);
  s->failed = 1;
  lua_createtable(L, 3, 0);
  lua_pushliteral(L, "error");
  lua_rawseti(L, -2, 1);
  if (lua_rawgeti(L, BOX, 1) == LUA_TNIL) { /* error(nil), or a chunk that could not be loaded */
    lua_pop(L, 1);
    lua_pushvalue(L, text);
  }
  lua_rawseti(L, -2, 2);
  lua_pushvalue(L, text);
  lua_rawseti(L, -2, 3);
  return mb_host_raise_exit(L);
}

static void finish_step(lua_State *L, struct mb_script *s, int status) {
  const struct mb_action *action = action_at(s, s->step);
  if (status != LUA_OK && status != LUA_YIELD) {
    const char *text = mb_host_unbound(L) ? NULL : lua_tostring(L, -1);
    mb_host_pass_on(L);
    if (mb_host_is_exit(L, -1)) lua_error(L);
    mb_host_flush_log(L); /* what was logged before comes before */
    mb_say(text ? text : "(error message not a string)");
    if (!(s->read_stdin && s->step == script_step(s))) fail(L, s); /* else lua does not care either */
  } else if (action && action->kind == 'l') {
    const char *equals = strchr(action->value, '=');
    lua_pushglobaltable(L);
    lua_pushlstring(L, action->value, equals ? (size_t)(equals - action->value) : strlen(action->value));
    lua_rotate(L, -3, -1); /* the module comes last */
    lua_settable(L, -3);
  }
  lua_settop(L, BASE);
  s->step++;
}

static int run_on(lua_State *L, int status, lua_KContext context);

static int run(lua_State *L, struct mb_script *s) {
  while (s->step <= prompt_step(s)) {
    int arguments = load_step(L, s);
    if (arguments == NOTHING) {
      s->step++;
      continue;
    }
    mb_watch_interrupt();
    finish_step(L, s, arguments == FAILED ? LUA_ERRSYNTAX
                                          : lua_pcallk(L, arguments, 1, HANDLER, (lua_KContext)s, run_on));
  }
  return 0;
}

static int run_on(lua_State *L, int status, lua_KContext context) {
  struct mb_script *s = (struct mb_script *)context;
  finish_step(L, s, status);
  return run(L, s);
}

static void push_arg(lua_State *L, const struct mb_script *s) {
  int script = s->options->script == s->argc ? 0 : s->options->script; /* without one the program's name is arg[0] */
  lua_createtable(L, s->argc - script, script + 1);
  for (int i = 0; i < s->argc; i++) {
    lua_pushstring(L, s->argv[i]);
    lua_rawseti(L, -2, i - script);
  }
}

int mb_script_main(lua_State *L) {
  struct mb_script *s = lua_touserdata(L, SCRIPT);
  push_arg(L, s);
  lua_setglobal(L, "arg");
  lua_newtable(L);
  lua_pushvalue(L, BOX);
  lua_pushcclosure(L, handle_message, 1);
  return run(L, s);
}
