#include "request.h"

#include "park.h"
#include "runtime.h"

void mb_request_post(struct mb_scheduler *to, struct mb_request *r) {
  r->next = NULL;
  mb_lock_take(&to->remote_lock); /* partner: receive_posted */
  *to->requests_last = r;
  to->requests_last = &r->next;
  atomic_store(&to->posted, 1);
  mb_lock_drop(&to->remote_lock);
  mb_wake_scheduler(to);
}
