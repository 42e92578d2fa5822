#include "api/ask.h"

#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "heap/errors.h"
#include "process/answer.h"
#include "process/wait.h"

/* Where it is asked of */

/* (heap, query, where to put the answer) */
static int encode_answer(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_query *q = lua_touserdata(L, 2);
  struct mb_signal **out = lua_touserdata(L, 3);
  luaL_checkstack(L, 20, NULL);
  lua_settop(L, 0);
  q->push(h, L, q);
  if (!q->ref && lua_gettop(L) == 0) return 0;
  *out = mb_encode_signal(h, L, 1, 1, "answer", q->ref ? MB_REPLY : MB_MESSAGE);
  mb_encoded_tells((*out)->data);
  return 0;
}

/* The bytes of the answer, in h; NULL when memory is out, or there is none. */
static struct mb_signal *make_answer(struct mb_heap *h, struct mb_query *q) {
  lua_State *L = h->runner;
  struct mb_signal *answer = NULL;
  if (!lua_checkstack(L, 8)) return NULL;
  lua_pushcfunction(L, encode_answer);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, q);
  lua_pushlightuserdata(L, &answer);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
  return answer;
}

/* Answer a query, or pass it on to where the process lives now. */
static void answer_query(struct mb_scheduler *s, struct mb_posted *posted) {
  struct mb_query *q = (struct mb_query *)posted;
  struct mb_process *p =
      q->subject == MB_ABOUT_PROCESS ? mb_process_table_lookup(&s->runtime->table, q->about) : NULL;
  struct mb_signal *answer;
  if (p && !mb_is_here(s, p)) { /* it was given away meanwhile */
    mb_post(atomic_load_explicit(&p->scheduler, memory_order_acquire), posted);
    return;
  }
  answer = make_answer(p ? mb_process_heap(s, p) : mb_scheduler_heap(s), q);
  if (!answer && q->ref) answer = mb_signal_new(MB_REPLY, 0); /* memory is out: no values */
  if (answer) {
    answer->from = 0;
    answer->ref = q->ref;
    mb_signal_send(s, q->from, answer);
  }
  free(q);
}

/* Where it is asked */

void mb_ask_for_message(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, struct mb_query query) {
  mb_pid self = mb_pid_of(mb_current(h, L));
  struct mb_query *q = malloc(sizeof *q);
  if (!q) mb_no_memory(L);
  *q = query;
  q->from = self;
  q->ref = 0;
  q->posted.run = answer_query;
  mb_post(whom, &q->posted);
}

/* (answer) -> a userdata with its bytes */
static int copy_answer(lua_State *L) {
  const struct mb_signal *answer = lua_touserdata(L, 1);
  memcpy(lua_newuserdatauv(L, answer->size, 0), answer->data, answer->size);
  return 1;
}

/* Push that; NULL and nothing pushed when memory is out. */
static void *push_copy(lua_State *L, struct mb_signal *answer) {
  lua_pushcfunction(L, copy_answer);
  lua_pushlightuserdata(L, answer);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return lua_touserdata(L, -1);
  lua_pop(L, 1);
  return NULL;
}

void mb_ask_beside(struct mb_heap *h, lua_State *L, struct mb_heap *whom, struct mb_query query) {
  struct mb_scheduler *s = h->scheduler;
  struct mb_process *current = s->current;
  struct mb_signal *answer;
  void *bytes;
  s->current = NULL; /* it is none of theirs */
  query.ref = 1;     /* one value, of whatever */
  answer = make_answer(whom, &query);
  s->current = current;
  if (!answer) mb_no_memory(L);
  bytes = lua_checkstack(L, LUA_MINSTACK) ? push_copy(L, answer) : NULL;
  mb_signal_free(answer);
  if (!bytes) mb_no_memory(L);
  (void)mb_decode(h, L, bytes);
  lua_remove(L, -2);
}

int mb_ask(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, struct mb_query query) {
  struct mb_process *p = mb_current(h, L);
  struct mb_query *q;
  mb_ref ref = 0;
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  q = malloc(sizeof *q);
  if (!q || mb_alias(h->scheduler, p, &ref) != 0) {
    free(q);
    return mb_no_memory(L);
  }
  *q = query;
  q->from = mb_pid_of(p);
  q->ref = ref;
  q->posted.run = answer_query;
  mb_post(whom, &q->posted);
  return mb_wait_for_answer(L, p, ref, MB_ANSWER_VALUES);
}
