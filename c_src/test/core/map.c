/* The map, against a plain array that does the same slowly. */
#include <string.h>

#include "core/map.h"
#include "test/check.h"

enum { KEYS = 2000 };
static uint64_t model[KEYS + 1]; /* 0: not there */

static void compare(const struct mb_map *m) {
  uint32_t cursor = 0, seen = 0, expected = 0;
  for (uint64_t k = 1; k <= KEYS; k++) {
    uint64_t *v = mb_map_get(m, k);
    CHECK((v != NULL) == (model[k] != 0));
    if (v) CHECK(*v == model[k]);
    expected += model[k] != 0;
  }
  for (const struct mb_entry *e; (e = mb_map_next(m, &cursor)); seen++)
    CHECK(e->key >= 1 && e->key <= KEYS && model[e->key] == e->value);
  CHECK(seen == expected && m->count == expected);
}

TEST(it_agrees_with_a_plain_array_and_holds_nothing_when_it_is_empty) {
  struct mb_map m = {0};
  uint64_t value;
  CHECK(mb_map_get(&m, 1) == NULL && !mb_map_remove(&m, 1, NULL));
  for (int round = 0; round < 200000; round++) {
    uint64_t k = check_random() % (round < 100000 ? KEYS : 8) + 1;
    if (check_random() % 3) {
      model[k] = check_random() | 1;
      CHECK(mb_map_put(&m, k, model[k]) == 0);
    } else {
      CHECK(mb_map_remove(&m, k, &value) == (model[k] != 0));
      if (model[k]) CHECK(value == model[k]);
      model[k] = 0;
    }
    if (round % 20000 == 0) compare(&m);
  }
  compare(&m);
  for (uint64_t k = 1; k <= KEYS; k++) mb_map_remove(&m, k, NULL);
  memset(model, 0, sizeof model);
  compare(&m);
  CHECK(m.capacity == 0); /* empty: nothing is held */
  mb_map_deinit(&m);
}
