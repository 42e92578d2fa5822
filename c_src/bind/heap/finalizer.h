/* Finalizers: whether the code that runs is one (__gc), or has been called by one.
 *
 * Lua's collector calls a finalizer wherever something is allocated, on the thread that runs by chance, and stops
 * itself meanwhile: that is what tells, whatever coroutines the finalizer resumes, since Lua 5.4.4. lua_gc says so; its
 * word is read where the collector keeps it, if this is a Lua whose layout is known. Owner's thread. */
#ifndef MB_FINALIZER_H
#define MB_FINALIZER_H

#include <lua.h>

enum { MB_STOPPED_BY_FINALIZER = 2 }; /* a bit of the word that says why the collector stands still */

/* Where the collector of L's state says why it stands still; NULL: the layout of this Lua is not known. */
const unsigned char *mb_collector_word(lua_State *L);

/* Whether the word can be read in this Lua, tried out in a state of its own the first time. Any thread. */
int mb_collector_known(void);

#endif
