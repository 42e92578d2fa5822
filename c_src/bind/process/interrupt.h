/* Interrupting: the error "interrupted!" is raised in a process, wherever it is, as lua does for SIGINT; pcall can
 * catch it. A line of a prompt's that goes on then is interrupted again a moment later, by an error that is passed on.
 * A process that runs meets it at its next event: any instruction, call or return; one that waits, in its wait. */
#ifndef MB_INTERRUPT_H
#define MB_INTERRUPT_H

#include <lua.h>
#include <signal.h>
#include <uv.h>

#include "core/process.h"

struct mb_heap;
struct mb_scheduler;

/* Of a scheduler: all of its heaps have the same. */
struct mb_interrupt {
  volatile mb_pid foreground; /* whom the terminal's interrupt is for; 0: nobody */
  volatile sig_atomic_t asked; /* to interrupt it; by a signal */
  lua_State *volatile at;      /* where the hook is; the user's, put back when it has fired: */
  lua_Hook hook;
  int mask, count;
  uv_timer_t again; /* data: the first heap, once it has been made */
  mb_pid again_for;
  void (*unclaimed)(lua_State *L); /* it was asked for and nobody is in the foreground; see host_api.h */
};

/* Interrupt a process of this scheduler, which is not running. */
void mb_interrupt(struct mb_heap *h, struct mb_process *p);

/* Interrupt the process in the foreground: at once if it runs, else when the scheduler has noticed. In a signal handler
 * on the scheduler's thread. */
void mb_interrupt_foreground(struct mb_scheduler *s);

/* The slice of what runs is over: set the hook again when the process in the foreground was to be interrupted and has not
 * met it. The signal may have come while the hook that ends slices was being set, which then took its place, and code
 * that cannot yield never comes to where the scheduler would notice. 1: it meets it at its next event. In a signal
 * handler on the scheduler's thread. */
int mb_interrupt_overdue(struct mb_heap *h);

/* The upcall. */
void mb_interrupt_noticed(struct mb_scheduler *s);

/* Who is in the foreground from now on, 0 for nobody. An interrupt on its way to the one before is forgotten. */
void mb_set_foreground(struct mb_heap *h, mb_pid pid);

/* p begins to run a line of a prompt's, or has done so. */
void mb_interrupt_evaluating(struct mb_heap *h, struct mb_process *p, int begins);

/* p is resumed on co, or about to wait for the answer to a reference, or 0: it fails there when it has been
 * interrupted, and the reference is forgotten. */
void mb_interrupt_resumed(struct mb_heap *h, struct mb_process *p, lua_State *co);
void mb_interrupt_waiting(struct mb_heap *h, lua_State *L, struct mb_process *p, mb_ref asked);

#endif
