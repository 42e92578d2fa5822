/* The tables that are alike in all heaps: see replica.h. A heap's own thread. */
#ifndef MB_PLACE_H
#define MB_PLACE_H

#include <lua.h>

struct mb_heap;

enum { MB_TYPES = 7 }; /* that have one metatable for all values */

/* A table each, unless said otherwise. */
enum mb_place {
  MB_PLACE_STRING, MB_PLACE_MATH, MB_PLACE_TABLE, MB_PLACE_UTF8, MB_PLACE_OS, MB_PLACE_IO, MB_PLACE_COROUTINE,
  MB_PLACE_DEBUG,
  MB_PLACE_PACKAGE,   /* but for what has a place of its own below */
  MB_PLACE_PRELOAD,
  MB_PLACE_FILE,      /* methods of files */
  MB_PLACE_TYPES,     /* and so on: the metatables of types */
  MB_PLACE_SEARCHERS = MB_PLACE_TYPES + MB_TYPES, /* one name, whose value is the sequence */
  MB_PLACE_METATABLES, /* of the tables up to MB_PLACE_PACKAGE; the names are their numbers, plus 1 */
  MB_PLACE_GLOBALS,
  MB_PLACE_GLOBALS_METATABLE, /* one name, whose value it is */
  MB_PLACES
};

enum mb_place_how {
  MB_PLACE_FOUND,
  MB_PLACE_MADE /* when there is none */
};

/* Push the table of a place that is one: 1. 0, and nothing pushed: there is none. */
int mb_push_place(lua_State *L, int place, enum mb_place_how how);

/* The place that a name of a standard function, "string\0rep", stands in; -1: none. */
int mb_place_of(const char *name);

/* Note the loaders' searchers that Lua and the host have put there: they are the same in all heaps. May raise. */
void mb_place_note_searchers(struct mb_heap *h, lua_State *L);

/* Push the sequence of searchers as it is published: numbers for those that every heap has. */
void mb_place_push_searchers(struct mb_heap *h, lua_State *L);

/* Push the sequence that stands for those that every heap has. */
void mb_place_push_standard_searchers(struct mb_heap *h, lua_State *L);

/* Make such a sequence, at `index`, the searchers of this heap. */
void mb_place_set_searchers(struct mb_heap *h, lua_State *L, int index);

#endif
