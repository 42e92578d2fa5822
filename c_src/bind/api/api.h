/* The functions of the module moonbeam.core, one group per file. Each mb_open_... adds its functions to
 * the table on the top of the stack; their first upvalue is the heap. */
#ifndef MB_API_H
#define MB_API_H

#include "heap/heap.h"

void mb_open_receive(struct mb_heap *h, lua_State *L);
void mb_open_match(struct mb_heap *h, lua_State *L);
void mb_open_kernel(struct mb_heap *h, lua_State *L);
void mb_open_alias(struct mb_heap *h, lua_State *L);
void mb_open_process(struct mb_heap *h, lua_State *L);
void mb_open_info(struct mb_heap *h, lua_State *L);
void mb_open_leader(struct mb_heap *h, lua_State *L);
void mb_open_destination(struct mb_heap *h, lua_State *L);
void mb_open_name(struct mb_heap *h, lua_State *L);
void mb_open_timer(struct mb_heap *h, lua_State *L);
void mb_open_dictionary(struct mb_heap *h, lua_State *L);
void mb_open_server(struct mb_heap *h, lua_State *L);
void mb_open_later(struct mb_heap *h, lua_State *L);
void mb_open_request(struct mb_heap *h, lua_State *L);
void mb_open_registry(struct mb_heap *h, lua_State *L);
void mb_open_setting(struct mb_heap *h, lua_State *L);
void mb_open_share(struct mb_heap *h, lua_State *L);
void mb_open_value(struct mb_heap *h, lua_State *L);
void mb_open_log(struct mb_heap *h, lua_State *L);
void mb_open_log_handler(struct mb_heap *h, lua_State *L);
void mb_open_log_level(struct mb_heap *h, lua_State *L);
void mb_open_system(struct mb_heap *h, lua_State *L);
void mb_open_ending(struct mb_heap *h, lua_State *L);
void mb_open_os(struct mb_heap *h, lua_State *L);
void mb_open_module(struct mb_heap *h, lua_State *L);

/* The heap goes, which the allocator of a memory limit needs. */
void mb_lift_memory_limit(struct mb_heap *h, lua_State *L);

/* Puts the runtime's pcall and xpcall into the standard library. */
void mb_open_protect(struct mb_heap *h, lua_State *L);

/* Puts the runtime's print and write into the standard library's tables; the stack stays. */
void mb_open_output(struct mb_heap *h, lua_State *L);

#endif
