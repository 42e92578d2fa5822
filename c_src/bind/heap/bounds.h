/* Bounds that a program may set, of all heaps. Relaxed: it does not matter which of two processes sees a change
 * first. */
#ifndef MB_BOUNDS_H
#define MB_BOUNDS_H

#include <stdint.h>

struct mb_bounds {
  _Atomic uint64_t long_ns;    /* slices that last longer are reported; 0: none */
  _Atomic uint64_t stuck_ns;   /* a call that does not return is told of after this at the least; 0: never */
  _Atomic uint64_t cleanup_ns; /* see closing.h */
};

#endif
