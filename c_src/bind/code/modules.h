/* Values that travel by name: what loaded modules hold.
 *
 * A module is code and lives once in every heap, so its table, the functions found in it, its constants and tables
 * that serve as metatables are encoded as a name and resolved by require on the other side. This counts for the
 * standard library, the runtime's own modules and everything that a loader made and a file on package.path or
 * package.cpath stands behind; another table in package.loaded travels by value.
 *
 *   name   := module [0 field]           the field of a module
 *   module := part {MB_NAME_AND part}    names of one table, in the order in which they were loaded
 *           | nothing                    what is found in Lua's library in other ways, see standard.h
 *
 * Constants are userdata, and empty tables with a metatable, that a field holds when the module has been loaded, and
 * what has been declared. */
#ifndef MB_MODULES_H
#define MB_MODULES_H

#include "heap/heap.h"

enum { MB_NAME_AND = 1, MB_NAME_MOST = 255 };

#define MB_CANNOT_RECEIVE "cannot receive: " /* the start of what mb_modules_resolve raises */

struct mb_modules *mb_modules_new(void);
void mb_modules_free(struct mb_modules *m);

/* The heap is open: the C functions that are in the tables of Lua's library by now are Lua's, all else is the
 * program's. */
void mb_modules_settle(struct mb_heap *h, lua_State *L);

/* New modules may have been loaded: look again before the next answer. */
void mb_modules_invalidate(struct mb_heap *h);

/* What a value is there for: a table that is only a module's field has its name as a metatable, and is data else. */
enum mb_serves { MB_AS_VALUE, MB_AS_METATABLE };

/* If the value at `index` has a name, push the name and return 1, else 0. Raises when memory is out. */
int mb_modules_name(struct mb_heap *h, lua_State *L, int index, enum mb_serves as);

/* Of the names of a module's table, in the name on the top of the stack, keep the first: every heap has that. */
void mb_modules_first_name(lua_State *L);

/* If the value at `index` is a module, push the name that it was loaded by last and return 1, else 0. */
int mb_modules_module(struct mb_heap *h, lua_State *L, int index);

/* The value on the top of the stack is what the loader of this module has just given. */
void mb_modules_note_loaded(struct mb_heap *h, lua_State *L, const char *module);

/* Whether a module is loaded or can be found. Runs the code of package.searchers. */
int mb_modules_exists(struct mb_heap *h, lua_State *L, const char *module);

/* The table, function or userdata at `index` travels as a field of a module, whatever else it is. */
void mb_modules_declare(struct mb_heap *h, lua_State *L, int index, const char *module, const char *field);

/* It does not any more. */
void mb_modules_withdraw(struct mb_heap *h, lua_State *L, int index);

/* Make what is asked of modules and their values up to date. */
void mb_modules_refresh(struct mb_heap *h, lua_State *L);

/* The function at `index` has no name and is met for the first time: when it is from a file that has not
 * been seen, modules are scanned again. 1: ask again. */
int mb_modules_unseen(struct mb_heap *h, lua_State *L, int index);

/* Whether a module, or the one that a name begins with, is part of Lua. */
int mb_modules_is_of_lua(const char *module);

/* Push the value behind a name: 1. 0, and nothing pushed, when a module would have to be loaded first, or asked by code
 * of its own. */
int mb_modules_loaded(struct mb_heap *h, lua_State *L, const char *name, size_t size);

/* Push the value behind a name; code of the user's may run. Raises when the module cannot be loaded or lacks the
 * field. */
void mb_modules_resolve(struct mb_heap *h, lua_State *L, const char *name, size_t size);

/* Let the value at `index` travel as a field of a module, or with field NULL as the module: a standard function that
 * was replaced by ours, another table of the module's. */
void mb_modules_alias(struct mb_heap *h, lua_State *L, int index, const char *module,
                      const char *field);

/* The value at `index` is what Lua's library has under that name, whatever a program puts in its place. */
void mb_modules_set_standard(struct mb_heap *h, lua_State *L, int index, const char *module, const char *field);

/* Mark a table as an environment, so that mb_modules_marked is true of it. */
void mb_modules_mark(struct mb_heap *h, const void *table);

/* Quick test: 0 means that the object has no name and is no environment. */
int mb_modules_marked(const struct mb_heap *h, const void *object);

#endif
