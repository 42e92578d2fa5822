/* Objects of C that stand for a libuv handle, belong to a process and are seen by Lua as userdata: sockets and the
 * like.
 *
 * An object lives as long as its userdata, its handle, or a request of libuv's that names it: each counts as a
 * reference. What it is for ends before: when it is closed, when the process that it belongs to exits, when its
 * userdata is collected and nothing can come of it any more. One that a message has named may stand in a mailbox, so it
 * is not closed by that. Closing is the object's own (`close`), is done once, and leaves the handle to libuv, whose
 * callback drops the last reference.
 *
 * Each has a number that no other object of the program has. Messages that the runtime makes name an object by it (the
 * codec's MB_T_HANDLE): the receiver's heap finds the userdata, or makes one.
 *
 * The handle's `data` stays NULL (see luv.c): callbacks find the object by where the handle stands in it. */
#ifndef MB_OBJECT_H
#define MB_OBJECT_H

#include "io/failure.h"
#include "io/io.h"
#include "io/waiter.h"

struct mb_object;

struct mb_object_type {
  const char *name;            /* "socket": of its userdata, in errors */
  enum mb_holding_kind kind;   /* for the census, unless the object sets another */
  const luaL_Reg *methods;     /* NULL: io->socket_methods */
  lua_CFunction index;         /* __index in the place of the table of methods, which is its upvalue 2; or NULL */
  int values;                  /* user values of its userdata */
  const char *instead;         /* what a refusal to send it says at the end, or NULL */
  void (*close)(struct mb_object *o, int how); /* enum mb_closing_how; it is marked closed when this returns */
  void (*free)(struct mb_object *o);           /* nobody has it any more: what it holds goes, and it */
  int (*is_idle)(const struct mb_object *o);   /* with its userdata gone nothing can come of it; NULL: always */
  void (*settle)(struct mb_object *o);         /* the loop ends: of what is closed the handle goes; NULL: it has gone */
};

enum mb_closing_how {
  MB_CLOSE_IN_ORDER, /* what is queued is still written */
  MB_CLOSE_AT_ONCE
};

struct mb_object {
  struct mb_holding holding; /* on `owner` while it is open */
  const struct mb_object_type *type;
  struct mb_io *io;
  struct mb_object *next, **link; /* in io->loop->lingering; link is NULL: not there */
  uint64_t until;                 /* ns: how long it lingers */
  uint64_t id;
  mb_pid owner;
  mb_pid waiter; /* who waits for it, see waiter.h */
  uint32_t references;
  uint8_t closed;
  uint8_t mailed; /* a message has named it, and may still be in a mailbox */
};

/* Bits in the id, which tell what one is that is gone. */
#define MB_TRAVELLER ((uint64_t)1 << 62) /* the same on every scheduler: listeners */
#define MB_PROGRAM_ID ((uint64_t)1 << 61)

/* A number for a new object. Any thread. */
uint64_t mb_object_id(void);

/* Make o, which is zeroed, an object of p's with one reference, the caller's for its handle. */
void mb_object_init(struct mb_object *o, struct mb_heap *h, const struct mb_object_type *type, struct mb_process *p);

/* The same of nobody's. */
void mb_object_init_unowned(struct mb_object *o, struct mb_heap *h, const struct mb_object_type *type);

/* The object of a type that the value at `index` stands for; NULL: it is another value, or gone. */
struct mb_object *mb_object_of(lua_State *L, int index, const struct mb_object_type *type);

static inline void mb_object_retain(struct mb_object *o) { o->references++; }
void mb_object_release(struct mb_object *o);

/* Close it, unless that is done: who waits is woken, and finds it closed. */
void mb_object_close(struct mb_object *o, int how);

/* Let it belong to another process of this scheduler. 0, or MB_ENOPROC with nothing done. */
int mb_object_give(struct mb_object *o, struct mb_process *to, mb_pid pid);

/* Push its userdata: the one that there is, or a new one. The caller has a reference. Raises when memory is out. */
void mb_object_push(struct mb_heap *h, lua_State *L, struct mb_object *o);

/* Of the codec, by way of the heap: the number by which the userdata at `index` travels, 0: it does not. */
uint64_t mb_handle_id(struct mb_heap *h, lua_State *L, int index);

/* Push what a message calls object `id`; when it is gone, one that is closed: of heap.push_handle. */
void mb_object_push_id(struct mb_heap *h, lua_State *L, uint64_t id);

/* The object at index 1 of a method of the type's, whose upvalue 2 is the metatable; raises when it is another
 * value. */
struct mb_object *mb_object_check(lua_State *L, const char *method);

/* The same, which belongs to the calling process, p; raises when it is another's. NULL: it is closed. */
struct mb_object *mb_object_own(struct mb_heap *h, lua_State *L, struct mb_process *p, const char *method);

/* Wait for it, in a loop as waiter.h shows. */
void mb_object_wait(struct mb_heap *h, lua_State *L, struct mb_object *o, struct mb_process *p, uint64_t deadline,
                    lua_KFunction k);

/* The failure of a call that finds its object closed: of one that has waited, and of one that comes later. */
int mb_object_gone(lua_State *L, int has_waited);

/* close() for the methods of any type. */
int mb_object_do_close(lua_State *L);

#endif
