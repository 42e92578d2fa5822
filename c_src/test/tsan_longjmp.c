/* ThreadSanitizer follows longjmp, to keep its own picture of the stack, but not the checked one that a hardened
 * liblua calls: without this each yield would leave something in that picture, until memory is out. Linked into
 * programs that are built with it. */
#include <setjmp.h>

_Noreturn void __longjmp_chk(jmp_buf env, int value);

void __longjmp_chk(jmp_buf env, int value) { longjmp(env, value); }
