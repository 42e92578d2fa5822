/* The compiler gives a call's function and arguments to registers in a row, and evaluates them in order. So the code of
 * `f(x, {...})` ends with
 *
 *   NEWTABLE  a+2 ..       EXTRAARG follows
 *   ...                    fields and items, whose own registers are above a+2
 *   SETLIST   a+2 ..       or SETFIELD a+2 .., or nothing if the table is empty
 *   CALL      a ..
 *
 * and a+2 is no variable: nothing but these instructions names it, and the called function has it for its own. The
 * table can be passed over only where it stands behind `and` or `or`: then a jump over it precedes NEWTABLE. */
#include "code/call_site.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "code/instruction.h"

enum { FRAME_OF_C = 2, MOST_STEPS = 48 };

/* A call's frame, as lua_getstack finds it. */
struct frame {
  void *function, *top;
  struct frame *previous, *next;
  const uint32_t *next_instruction; /* of Lua code */
  uint64_t others[2];
  int number;
  short results;
  unsigned short status;
};

int mb_given_table(lua_State *L, int arguments) {
  lua_Debug ar;
  const struct frame *caller;
  const uint32_t *at;
  uint32_t table, last; /* its register; the instruction before the call */
  /* A debugger may read the arguments, and what is being built. */
  if (lua_gethookmask(L) & ~LUA_MASKCOUNT || !lua_getstack(L, 1, &ar)) return MB_NOT_GIVEN;
  caller = (const struct frame *)ar.i_ci;
  if (caller->status & FRAME_OF_C) return MB_NOT_GIVEN;
  at = caller->next_instruction - 1;
  /* A metamethod __call would have got one argument more; C is 1 where results are dropped. */
  if (op_of(*at) != OP_CALL || b_of(*at) != (uint32_t)arguments + 1 || c_of(*at) != 1) return MB_NOT_GIVEN;
  table = a_of(*at) + (uint32_t)arguments;
  if (op_of(*--at) == OP_EXTRAARG) at--;
  last = *at;
  if ((op_of(last) != OP_SETLIST && op_of(last) != OP_SETFIELD && op_of(last) != OP_NEWTABLE) || a_of(last) != table)
    return MB_NOT_GIVEN;
  for (int i = 0; op_of(*at) != OP_NEWTABLE || a_of(*at) != table; at--)
    if (i++ == MOST_STEPS) return MB_NOT_GIVEN;
  if (op_of(at[-1]) == OP_JMP) return MB_NOT_GIVEN;
  if (b_of(*at)) return MB_GIVEN; /* fields */
  if (op_of(last) == OP_NEWTABLE) return 0;
  if (op_of(last) != OP_SETLIST || k_of(last) || b_of(last) == 0) return MB_GIVEN_LIST; /* `...` or a call at the end */
  return (int)(b_of(last) + c_of(last));
}

/* Notes what is said of its last argument, under the number that is its first. */
static int note(lua_State *L) {
  int (*answers)[16] = lua_touserdata(L, lua_upvalueindex(1));
  int arguments = lua_gettop(L), number = (int)lua_tointeger(L, 1);
  (*answers)[number] = mb_given_table(L, arguments);
  lua_settop(L, 2);
  return 1;
}

int mb_call_sites_known(lua_State *L) {
  static const char source[] =
      "local note, t = ...\n"
      "local function last(...) return note(...) end\n"
      "note(0, {}) note(1, {t, nil}) note(2, {n = t}) note(3, {t, n = {t}}) note(4, {t, last(8, {})})\n"
      "note(5, t) note(6, t or {1}) local kept = note(7, {1})\n"
      "last(9, {1}) note(10, ({t})[1]) note(11, t == kept and {t} or {}) note(12, {}, t)\n"
      "return note(13, {})";
  static const int expected[16] = {0, 2, MB_GIVEN, MB_GIVEN, MB_GIVEN_LIST, MB_NOT_GIVEN, MB_NOT_GIVEN, MB_NOT_GIVEN,
                                   MB_NOT_GIVEN, MB_NOT_GIVEN, MB_NOT_GIVEN, MB_NOT_GIVEN, MB_NOT_GIVEN, MB_NOT_GIVEN};
  int answers[16] = {0}, known;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  if (luaL_loadstring(L, source) != LUA_OK) lua_error(L);
  lua_pushlightuserdata(L, &answers);
  lua_pushcclosure(L, note, 1);
  lua_newtable(L);
  lua_call(L, 2, 0);
  known = memcmp(answers, expected, sizeof answers) == 0;
  lua_settop(L, top);
  return known;
}
