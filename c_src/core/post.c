#include "post.h"

#include "park.h"
#include "scheduler.h"

void mb_post(struct mb_scheduler *to, struct mb_posted *posted) {
  posted->next = NULL;
  mb_lock_take(&to->remote_lock); /* partner: mb_receive_posted */
  *to->posts_last = posted;
  to->posts_last = &posted->next;
  atomic_store(&to->posted, 1);
  mb_lock_drop(&to->remote_lock);
  mb_ticker_awaits(to);
  mb_wake_scheduler(to);
}
