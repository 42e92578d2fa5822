/* Registering: what a process has in a registry (registration.c), and the link that it has on account of it. */
#include "error.h"
#include "protocol.h"
#include "registry_inside.h"

int mb_registry_add(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at, struct mb_bytes value,
                    mb_pid *who) {
  struct mb_registry *r = mb_registry_acquire(s, at->registry);
  int err;
  if (!r) return MB_EREGISTRY;
  *who = r->link_target;
  /* First: nobody is registered without. Should the registry close meanwhile, that one's end undoes what follows. */
  err = mb_link(s, p, r->link_target);
  if (err == MB_ENOPROC) err = MB_EREGISTRY; /* it is about to close */
  if (!err && p->state == MB_EXITING) err = MB_ENOPROC;
  if (!err) err = mb_registration_add(s, p, r, at, value, who);
  if (err && p->state != MB_EXITING && !mb_registration_any(p, r)) (void)mb_unlink(s, p, r->link_target);
  mb_registry_release(&s->runtime->registries, r);
  return err;
}

int mb_registry_remove(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at, mb_ref ref) {
  mb_pid left;
  int removed = mb_registration_remove(s, p, at, ref, &left);
  if (left) (void)mb_unlink(s, p, left);
  return removed;
}
