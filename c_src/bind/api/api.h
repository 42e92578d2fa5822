/* The functions of the module moonbeam.core, one group per file. Each mb_open_... adds its functions to
 * the table on the top of the stack; their first upvalue is the heap. */
#ifndef MB_API_H
#define MB_API_H

#include "heap/heap.h"

void mb_set_functions(struct mb_heap *h, lua_State *L, const luaL_Reg *functions);

void mb_open_receive(struct mb_heap *h, lua_State *L);
void mb_open_kernel(struct mb_heap *h, lua_State *L);
void mb_open_process(struct mb_heap *h, lua_State *L);
void mb_open_server(struct mb_heap *h, lua_State *L);
void mb_open_request(struct mb_heap *h, lua_State *L);
void mb_open_registry(struct mb_heap *h, lua_State *L);
void mb_open_value(struct mb_heap *h, lua_State *L);
void mb_open_log(struct mb_heap *h, lua_State *L);
void mb_open_system(struct mb_heap *h, lua_State *L);
void mb_open_module(struct mb_heap *h, lua_State *L);

/* Put functions in the place of those of a module of Lua's library, if that is loaded: who has kept the old ones finds that
 * they travel as the new. Their upvalues are the heap and the library's function. The stack stays. */
void mb_replace_functions(struct mb_heap *h, lua_State *L, const char *module, const luaL_Reg *functions);

/* These put the runtime's functions into the standard library: coroutines; pcall and xpcall; debug.traceback, getinfo. */
void mb_open_coroutine(struct mb_heap *h, lua_State *L);
void mb_open_protect(struct mb_heap *h, lua_State *L);
void mb_open_entry(struct mb_heap *h, lua_State *L);

/* Puts the runtime's print and write into the standard library's tables; the stack stays. */
void mb_open_output(struct mb_heap *h, lua_State *L);

/* Answers a request from another scheduler, which is taken over: the upcall. */
void mb_answer(struct mb_scheduler *s, struct mb_request *r);

/* Ask another scheduler and wait: the values of the answer are the results of the caller, who returns this. */
int mb_ask(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, enum mb_request_kind kind, uint64_t about, int key);

/* The coroutine that L, which waits or runs, has resumed and is waiting for; NULL when it is none of ours. */
lua_State *mb_resumed_by(lua_State *L);

/* Close the coroutines that wait inside co, a process's, one in the other: the innermost first. */
void mb_close_nested(struct mb_heap *h, lua_State *co);

/* Shared by the groups. */

/* Take a message that has been used out of the mailbox. */
void mb_take_message(struct mb_heap *h, struct mb_process *p, struct mb_signal *s);

/* Whether the wait of p that mb_check_deadline began is over: it was for no time, or its timer fired. */
int mb_expired(const struct mb_process *p, uint64_t deadline);

/* End a monitor and remove its DOWN and its reply from the mailbox. */
void mb_flush_ref(struct mb_heap *h, struct mb_process *p, mb_ref ref);

/* A name argument: non-empty and not one of the reserved ones; raises naming the function. */
const char *mb_check_name(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                          size_t *size);

/* A pid argument; raises naming the function. */
mb_pid mb_check_pid(struct mb_heap *h, lua_State *L, int at, const char *function, int index);

#endif
