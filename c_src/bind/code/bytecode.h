/* Bytecode: what a dumped function names, and how to make closures of it again and again.
 *
 * Tied to the dump format of Lua 5.4, which is read here and nowhere else. mb_bytecode_check compares
 * expectation and reality when a heap is opened. No function reads beyond the bytes it is given. */
#ifndef MB_BYTECODE_H
#define MB_BYTECODE_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* A name that code looks up in an upvalue, its environment. */
struct mb_code_name {
  const char *s; /* in the dump, not zero-terminated */
  size_t len;
  int read, written;
};

/* What a function, with the functions inside it, does with one of its upvalues. */
struct mb_code_upvalue {
  int is_env;  /* its debug name is _ENV */
  int named;   /* the dump has a name for it */
  int dynamic; /* used as a value: not only indexed with constant names */
  int written; /* indexed for writing, or assigned */
  int distant; /* and perhaps by distant names, too */
  uint32_t first_name, name_count; /* range in names */
};

struct mb_code {
  uint32_t upvalue_count, name_count;
  struct mb_code_upvalue *upvalues;
  struct mb_code_name *names; /* grouped by upvalue, each once; then the distant ones */
  /* Names that are too long, or whose numbers are too large, to stand in the instruction that uses them: of whatever
   * upvalue of those that are `distant`. */
  uint32_t first_distant, distant_count;
};

/* Read the output of lua_dump; takes n log n for n bytes. 0 with *out owned by the caller, and the
 * dump has to outlive it; MB_EFORMAT or MB_ENOMEM. Any thread. */
int mb_code_scan(const char *dump, size_t len, struct mb_code **out);
void mb_code_free(struct mb_code *c); /* NULL is allowed */

/* Push a function that returns, at each call, a new closure of the dumped function, with new upvalues that
 * are all nil. The closures share one prototype. 0, or MB_EFORMAT with nothing pushed; raises only
 * Lua's memory errors. */
int mb_code_factory(lua_State *L, const char *dump, size_t len);

/* What all closures of one function have in common, as an address: the prototype's, read from the closure.
 * It says the same of two closures that are alive at the same time, nothing of dead ones. NULL for C
 * functions. Only where mb_code_identity_works has said so. */
const void *mb_code_identity(lua_State *L, int index);

/* Whether closures are laid out as mb_code_identity expects; found out by trying. Stack unchanged. */
int mb_code_identity_works(lua_State *L);

/* Whether this Lua's bytecode is what this file expects: 0 or MB_EFORMAT. Stack unchanged. */
int mb_bytecode_check(lua_State *L);

#endif
