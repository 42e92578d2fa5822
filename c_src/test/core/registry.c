/* Registries on a runtime without Lua: what is registered, updated, looked up and taken away, and what ends with a
 * process and with a registry. Then a storm: processes on four schedulers register, look up and die, and no unique key
 * ever has two holders. */
#include <string.h>
#include <uv.h>

#include "core/core.h"
#include "core/error.h"
#include "test/check.h"

enum { THREADS = 4, MEMBERS = 200, KEYS = 16, STEPS = 400 };

static struct mb_runtime rt;

static struct mb_bytes text(const char *s) { return (struct mb_bytes){s, (uint32_t)strlen(s)}; }

static struct mb_address at(const char *registry, const char *key) {
  return (struct mb_address){.registry = text(registry), .key = text(key)};
}

static mb_pid pid_of(struct mb_process *p) { return atomic_load(&p->pid); }

/* The storm */

struct member {
  unsigned seed, steps;
  uint64_t mine; /* bits of the keys it holds */
};
static struct member members[4096]; /* by slot */
static mb_pid pids[MEMBERS];
static _Atomic(mb_pid) holders[KEYS];
static atomic_int living, taken, refused;

static unsigned roll(struct member *m, unsigned limit) {
  m->seed = m->seed * 1103515245u + 12345u;
  return (m->seed >> 8) % limit;
}

static void give_up(struct member *m, unsigned key, mb_pid pid) {
  CHECK(atomic_exchange(&holders[key], 0) == pid);
  m->mine &= ~(1ull << key);
}

/* What another one has: each key once. */
static void look_at(struct mb_scheduler *s, mb_pid pid) {
  unsigned char room[KEYS * 5];
  int64_t used = mb_registry_keys(s, text("storm"), pid, room, sizeof room);
  unsigned seen = 0;
  CHECK(used >= 0 && used <= (int64_t)sizeof room && used % 5 == 0);
  for (int64_t i = 4; i < used; i += 5) {
    unsigned bit = 1u << (room[i] - 'a');
    CHECK(room[i] >= 'a' && room[i] < 'a' + KEYS && !(seen & bit));
    seen |= bit;
  }
}

static void step(struct mb_scheduler *s, struct mb_process *p, struct member *m) {
  unsigned key = roll(m, KEYS);
  char name[2] = {(char)('a' + key), 0};
  struct mb_address a = at("storm", name);
  unsigned char room[64];
  int64_t used;
  mb_pid pid = pid_of(p), who;
  int err;
  look_at(s, pids[roll(m, MEMBERS)]);
  used = mb_registry_lookup(s, &a, 0, room, sizeof room);
  CHECK(used == 0 || used == sizeof(struct mb_found) + sizeof pid);
  if (used) { /* every value is its process's pid */
    struct mb_found found;
    memcpy(&found, room, sizeof found);
    CHECK(memcmp(room + sizeof found, &found.pid, sizeof found.pid) == 0);
  }
  if (m->mine >> key & 1) {
    give_up(m, key, pid); /* before others can have it */
    CHECK(mb_registry_remove(s, p, &a, 0) == 1);
    return;
  }
  err = mb_registry_add(s, p, &a, (struct mb_bytes){&pid, sizeof pid}, &who);
  if (err == 0) {
    mb_pid nobody = 0;
    CHECK(atomic_compare_exchange_strong(&holders[key], &nobody, pid));
    m->mine |= 1ull << key;
    atomic_fetch_add(&taken, 1);
  } else {
    CHECK(err == MB_ENAME && who != pid);
    atomic_fetch_add(&refused, 1);
  }
}

static void resume(struct mb_scheduler *s, struct mb_process *p) {
  struct member *m = &members[p->index];
  if (p->start) {
    mb_signal_free(p->start);
    p->start = NULL;
  }
  if (m->steps == 0) {
    CHECK(mb_wait(s, p, 0) == 0);
    return;
  }
  for (int i = 0; i < 8 && m->steps > 0; i++, m->steps--) step(s, p, m);
  if (m->steps > 0) return; /* it gives way */
  for (unsigned key = 0; key < KEYS; key++)
    if (m->mine >> key & 1) give_up(m, key, pid_of(p));
  mb_process_exit(s, p, rt.normal);
  if (atomic_fetch_sub(&living, 1) == 1)
    for (int i = 0; i < THREADS; i++) mb_scheduler_stop(&rt.schedulers[i]);
}

static void destroy(struct mb_scheduler *s, struct mb_process *p) { (void)s, (void)p; }
static void preempt(struct mb_scheduler *s) { (void)s; }

static const struct mb_upcalls upcalls = {
    .resume = resume, .destroy = destroy, .preempt = preempt};

static void work(void *data) {
  struct mb_scheduler *s = data;
  s->stay = 1;
  (void)mb_unparked(s);
  CHECK(mb_scheduler_run(s, NULL) == 0);
  mb_ticker_detach(s);
}

static struct mb_scheduler *begin(void) {
  CHECK(mb_runtime_init(&rt, &upcalls, 1000, 1) == 0);
  rt.normal = mb_reason_new(MB_REASON_NORMAL, "n", 1);
  rt.killed = mb_reason_new(MB_REASON_OTHER, "k", 1);
  rt.noproc = mb_reason_new(MB_REASON_OTHER, "p", 1);
  return &rt.schedulers[0];
}

static struct mb_process *spawn(struct mb_scheduler *s) {
  struct mb_process *p;
  CHECK(mb_spawn(s, NULL, mb_signal_new(MB_MESSAGE, 0), MB_SPAWN_UNTIED, 0, &p) == 0);
  return p;
}

/* A server, its registry, and the process that those registered there are linked to. */
static struct mb_process *open_registry(struct mb_scheduler *s, const char *name, enum mb_keys keys,
                                        struct mb_process **link_target) {
  struct mb_process *server = spawn(s);
  mb_pid other;
  *link_target = spawn(s);
  (*link_target)->flags |= MB_LINKS_IGNORED;
  CHECK(mb_registry_open(s, server, text(name), keys, pid_of(*link_target), text("l"), &other) == 0);
  return server;
}

TEST(in_a_storm_on_four_schedulers_no_unique_key_has_two_holders) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *server;
  uv_thread_t threads[THREADS];
  rt.scheduler_count = THREADS;
  CHECK(mb_runtime_start(&rt) == 0);
  server = open_registry(s, "storm", MB_KEYS_UNIQUE, &link_target);
  atomic_store(&living, MEMBERS);
  for (int i = 0; i < MEMBERS; i++) {
    struct mb_process *p = spawn(s);
    CHECK(p->index < sizeof members / sizeof *members);
    pids[i] = pid_of(p);
    members[p->index] = (struct member){.seed = (unsigned)i * 7919 + 1, .steps = STEPS};
    mb_move(s, p, &rt.schedulers[i % THREADS]);
  }
  for (int i = 1; i < THREADS; i++) CHECK(uv_thread_create(&threads[i], work, &rt.schedulers[i]) == 0);
  CHECK(mb_scheduler_run(s, NULL) == 0);
  for (int i = 1; i < THREADS; i++) CHECK(uv_thread_join(&threads[i]) == 0);
  CHECK(taken > 0 && refused > 0);
  for (int i = 0; i < THREADS; i++) mb_scheduler_kill_all(&rt.schedulers[i]);
  CHECK(rt.registries.registries == 0 && rt.registries.registrations == 0);
  (void)server;
  mb_runtime_deinit(&rt);
}

/* The rest */

/* The values found at an address, one after the other. */
static const char *found(struct mb_scheduler *s, struct mb_address a, mb_pid only) {
  static char values[256];
  unsigned char room[256];
  int64_t used = mb_registry_lookup(s, &a, only, room, sizeof room), i = 0;
  size_t length = 0;
  CHECK(used >= 0 && used <= (int64_t)sizeof room);
  CHECK(mb_registry_lookup(s, &a, only, NULL, 0) == used);
  while (i < used) {
    struct mb_found f;
    memcpy(&f, room + i, sizeof f);
    memcpy(values + length, room + i + sizeof f, f.size);
    length += f.size;
    i += (int64_t)sizeof f + f.size;
  }
  values[length] = '\0';
  return values;
}

static int add(struct mb_scheduler *s, struct mb_process *p, const char *registry, const char *key, const char *value) {
  struct mb_address a = at(registry, key);
  mb_pid who = 0;
  return mb_registry_add(s, p, &a, text(value), &who);
}

static int take_away(struct mb_scheduler *s, struct mb_process *p, const char *registry, const char *key) {
  struct mb_address a = at(registry, key);
  return mb_registry_remove(s, p, &a, 0);
}

TEST(a_unique_key_is_one_process_s_until_it_exits_or_the_registry_closes) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *server = open_registry(s, "u", MB_KEYS_UNIQUE, &link_target), *a = spawn(s),
                                  *b = spawn(s);
  struct mb_address k = at("u", "k");
  unsigned char room[64];
  mb_pid who;
  CHECK(add(s, a, "nobody's", "k", "1") == MB_EREGISTRY);
  CHECK(mb_registry_open(s, b, text("u"), MB_KEYS_UNIQUE, pid_of(b), text(""), &who) == MB_ENAME &&
        who == pid_of(server));
  CHECK(mb_registry_settings(s, text("u"), room, sizeof room) == 1 && room[0] == 'l');
  CHECK(mb_registry_link_target(s, text("u"), &who) == 0 && who == pid_of(link_target));
  CHECK(mb_registry_whereis(s, &k, &who) == 0 && who == 0);
  CHECK(add(s, a, "u", "k", "1") == 0 && add(s, b, "u", "k", "2") == MB_ENAME && add(s, a, "u", "k", "2") == MB_ENAME);
  CHECK(mb_registry_add(s, b, &k, text("2"), &who) == MB_ENAME && who == pid_of(a));
  CHECK(mb_map_get(&a->links, pid_of(link_target)) && !mb_map_get(&b->links, pid_of(link_target)));
  CHECK(mb_registry_whereis(s, &k, &who) == 0 && who == pid_of(a));
  CHECK(strcmp(found(s, k, 0), "1") == 0 && strcmp(found(s, k, pid_of(b)), "") == 0);
  CHECK(mb_registry_update(s, b, &k, text("no")) == 0 && mb_registry_update(s, a, &k, text("a longer value")) == 1);
  CHECK(mb_registry_update(s, a, &k, text("")) == 1 && mb_registry_update(s, a, &k, text("again")) == 1);
  CHECK(strcmp(found(s, k, 0), "again") == 0);
  CHECK(take_away(s, b, "u", "k") == 0 && take_away(s, a, "u", "none") == 0);
  CHECK(add(s, a, "u", "l", "") == 0 && take_away(s, a, "u", "k") == 1);
  CHECK(mb_map_get(&a->links, pid_of(link_target)) && mb_registry_count(s, text("u")) == 1);
  CHECK(take_away(s, a, "u", "l") == 1 && !mb_map_get(&a->links, pid_of(link_target)));

  CHECK(add(s, a, "u", "k", "1") == 0 && add(s, b, "u", "l", "2") == 0);
  mb_process_exit(s, a, rt.normal); /* gone at once, and for good */
  CHECK(mb_registry_whereis(s, &k, &who) == 0 && who == 0 && mb_registry_count(s, text("u")) == 1);
  CHECK(add(s, a, "u", "k", "1") == MB_ENOPROC && !a->memberships);
  CHECK(add(s, b, "u", "k", "3") == 0);
  mb_process_exit(s, server, rt.killed); /* nobody finds it any more, though b has not heard of it */
  CHECK(add(s, b, "u", "m", "") == MB_EREGISTRY && mb_registry_count(s, text("u")) == MB_EREGISTRY);
  CHECK(b->memberships && rt.registries.registries == 1);
  b->flags |= MB_TRAP_EXIT;
  mb_process_exit(s, link_target, rt.killed);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK); /* b is told, and lives on without */
  CHECK(mb_process_here(s, pid_of(b)) == b && !b->memberships && b->mailbox.count == 1);
  CHECK(rt.registries.registries == 0 && rt.registries.registrations == 0);
  mb_scheduler_kill_all(s);
  mb_runtime_deinit(&rt);
}

TEST(a_duplicate_key_has_all_that_were_registered_in_order) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *a, *b;
  struct mb_address k = at("d", "k");
  struct mb_found first;
  unsigned char room[256];
  uint32_t size;
  mb_pid who;
  (void)open_registry(s, "d", MB_KEYS_DUPLICATE, &link_target);
  a = spawn(s);
  b = spawn(s);
  CHECK(add(s, a, "d", "k", "1") == 0 && add(s, b, "d", "k", "2") == 0 && add(s, a, "d", "k", "3") == 0);
  CHECK(add(s, a, "d", "other", "4") == 0 && mb_registry_count(s, text("d")) == 4);
  CHECK(strcmp(found(s, k, 0), "123") == 0 && strcmp(found(s, k, pid_of(a)), "13") == 0);
  CHECK(mb_registry_whereis(s, &k, &who) == MB_EDUPLICATE);
  CHECK(mb_registry_keys(s, text("d"), pid_of(a), room, sizeof room) == 3 * (int64_t)sizeof size + 7);
  memcpy(&size, room, sizeof size);
  CHECK(size == 5 && memcmp(room + sizeof size, "other", 5) == 0); /* the last one first */
  CHECK(mb_registry_keys(s, text("d"), pid_of(link_target), room, sizeof room) == 0);
  CHECK(mb_registry_keys(s, text("d"), mb_pid_make(0, 0), room, sizeof room) == 0);
  CHECK(mb_registry_lookup(s, &k, 0, room, sizeof room) > 0);
  memcpy(&first, room, sizeof first);
  CHECK(first.pid == pid_of(a) && mb_registry_remove(s, b, &k, first.ref) == 0);
  CHECK(mb_registry_remove(s, a, &k, first.ref) == 1 && strcmp(found(s, k, 0), "23") == 0);
  CHECK(add(s, a, "d", "k", "5") == 0 && take_away(s, a, "d", "k") == 2 && strcmp(found(s, k, 0), "2") == 0);
  CHECK(mb_map_get(&a->links, pid_of(link_target))); /* on account of the other key */
  mb_process_exit(s, b, rt.killed);
  CHECK(strcmp(found(s, k, 0), "") == 0 && mb_registry_count(s, text("d")) == 1);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK);
  CHECK(mb_process_here(s, pid_of(link_target))); /* b's end did not reach it */
  mb_scheduler_kill_all(s);
  CHECK(rt.registries.registries == 0 && rt.registries.registrations == 0);
  mb_runtime_deinit(&rt);
}

TEST(metadata_stands_beside_the_keys) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *a;
  struct mb_address meta = at("m", "k"), k = at("m", "k");
  struct mb_bytes one = text("1"), two = text("2");
  (void)open_registry(s, "m", MB_KEYS_UNIQUE, &link_target);
  a = spawn(s);
  meta.of = MB_KEY_OF_META;
  CHECK(mb_registry_set_meta(s, &meta, &one, NULL) == 0 && mb_registry_set_meta(s, &meta, &two, NULL) == 0);
  CHECK(strcmp(found(s, meta, 0), "2") == 0 && strcmp(found(s, k, 0), "") == 0);
  CHECK(add(s, a, "m", "k", "3") == 0 && strcmp(found(s, meta, 0), "2") == 0 && mb_registry_count(s, text("m")) == 1);
  CHECK(mb_registry_set_meta(s, &meta, NULL, NULL) == 0 && mb_registry_set_meta(s, &meta, NULL, NULL) == 0);
  CHECK(strcmp(found(s, meta, 0), "") == 0 && strcmp(found(s, k, 0), "3") == 0);
  CHECK(mb_registry_set_meta(s, &meta, &one, NULL) == 0);
  mb_scheduler_kill_all(s);
  CHECK(rt.registries.registries == 0 && rt.registries.registrations == 0);
  mb_runtime_deinit(&rt);
}

TEST(metadata_is_set_anew_only_by_who_knows_what_is_there) {
  struct mb_scheduler *s = begin();
  struct mb_address own = {.registry = text(""), .key = text("k"), .of = MB_KEY_OF_META};
  struct mb_bytes one = text("1"), two = text("2");
  mb_ref nothing = 0, first;
  mb_pid nobody;
  CHECK(mb_registry_meta_ref(s, &own) == 0 && mb_registry_set_meta(s, &own, &one, &nothing) == MB_EREGISTRY);
  CHECK(mb_registry_open(s, NULL, text(""), MB_KEYS_UNIQUE, 0, text(""), &nobody) == 0); /* the program's own */
  CHECK(mb_registry_open(s, NULL, text(""), MB_KEYS_UNIQUE, 0, text(""), &nobody) == MB_ENAME && nobody == 0);
  CHECK(mb_registry_set_meta(s, &own, &one, &nothing) == 0 && mb_registry_set_meta(s, &own, &two, &nothing) == 1);
  first = mb_registry_meta_ref(s, &own);
  CHECK(first != 0 && strcmp(found(s, own, 0), "1") == 0);
  CHECK(mb_registry_set_meta(s, &own, &two, &first) == 0 && mb_registry_meta_ref(s, &own) != first);
  CHECK(mb_registry_set_meta(s, &own, NULL, &first) == 1 && strcmp(found(s, own, 0), "2") == 0);
  mb_scheduler_kill_all(s);
  CHECK(rt.registries.registries == 0 && rt.registries.registrations == 1); /* it stays as long as the program */
  mb_runtime_deinit(&rt);
}

TEST(the_entries_of_a_registry_are_those_of_all_keys) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *a, *b;
  struct mb_address meta = at("e", "m");
  struct mb_bytes one = text("1");
  unsigned char room[4 * sizeof(struct mb_entry_found)];
  struct mb_entry_found e;
  int64_t size = (int64_t)sizeof e + 2;
  (void)open_registry(s, "e", MB_KEYS_DUPLICATE, &link_target);
  a = spawn(s);
  b = spawn(s);
  meta.of = MB_KEY_OF_META;
  CHECK(mb_registry_entries(s, text("none"), MB_KEY_OF_PROCESSES, room, sizeof room) == MB_EREGISTRY);
  CHECK(mb_registry_entries(s, text("e"), MB_KEY_OF_PROCESSES, room, sizeof room) == 0);
  CHECK(add(s, a, "e", "k", "1") == 0 && add(s, b, "e", "k", "2") == 0 && add(s, a, "e", "l", "3") == 0);
  CHECK(mb_registry_set_meta(s, &meta, &one, NULL) == 0);
  CHECK(mb_registry_entries(s, text("e"), MB_KEY_OF_PROCESSES, room, 0) == 3 * size);
  CHECK(mb_registry_entries(s, text("e"), MB_KEY_OF_META, room, sizeof room) == size);
  memcpy(&e, room, sizeof e);
  CHECK(e.found.pid == 0 && e.key_size == 1 && room[sizeof e] == 'm' && room[sizeof e + 1] == '1');
  CHECK(mb_registry_entries(s, text("e"), MB_KEY_OF_PROCESSES, room, sizeof room) == 3 * size);
  for (int i = 0, seen = 0; i < 3; i++) {
    const unsigned char *bytes = room + i * size + (int64_t)sizeof e;
    memcpy(&e, room + i * size, sizeof e);
    seen |= 1 << (bytes[1] - '1');
    CHECK(e.found.pid == (bytes[1] == '2' ? pid_of(b) : pid_of(a)) && bytes[0] == (bytes[1] == '3' ? 'l' : 'k'));
    CHECK(i < 2 || seen == 7);
  }
  mb_scheduler_kill_all(s);
  mb_runtime_deinit(&rt);
}

enum { COUNT = 20000 };

TEST(many_unique_keys_come_and_go) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *a;
  mb_pid who;
  (void)open_registry(s, "many", MB_KEYS_UNIQUE, &link_target);
  a = spawn(s);
  for (int i = 0; i < COUNT; i++) {
    struct mb_address k = {.registry = text("many"), .key = {&i, sizeof i}};
    CHECK(mb_registry_add(s, a, &k, (struct mb_bytes){&i, sizeof i}, &who) == 0);
  }
  for (int i = 0; i < COUNT; i += 2) {
    struct mb_address k = {.registry = text("many"), .key = {&i, sizeof i}};
    CHECK(mb_registry_remove(s, a, &k, 0) == 1);
  }
  for (int i = 0; i < COUNT; i++) {
    struct mb_address k = {.registry = text("many"), .key = {&i, sizeof i}};
    CHECK(mb_registry_whereis(s, &k, &who) == 0 && who == (i % 2 ? pid_of(a) : 0));
  }
  CHECK(mb_registry_count(s, text("many")) == COUNT / 2);
  mb_process_exit(s, a, rt.normal);
  CHECK(mb_registry_count(s, text("many")) == 0);
  mb_scheduler_kill_all(s);
  mb_runtime_deinit(&rt);
}

TEST(many_duplicate_keys_come_and_go) {
  struct mb_scheduler *s = begin();
  struct mb_process *link_target, *p[3];
  mb_pid who;
  (void)open_registry(s, "many", MB_KEYS_DUPLICATE, &link_target);
  for (int k = 0; k < 3; k++) p[k] = spawn(s);
  for (int i = 0; i < COUNT * 3; i++) {
    int key = i % COUNT;
    struct mb_address k = {.registry = text("many"), .key = {&key, sizeof key}};
    CHECK(mb_registry_add(s, p[i / COUNT], &k, text(""), &who) == 0);
  }
  CHECK(mb_registry_count(s, text("many")) == COUNT * 3);
  mb_process_exit(s, p[0], rt.killed); /* the first of every key */
  mb_process_exit(s, p[2], rt.killed);
  for (int i = 0; i < COUNT; i++) {
    struct mb_address k = {.registry = text("many"), .key = {&i, sizeof i}};
    struct mb_found found;
    CHECK(mb_registry_lookup(s, &k, 0, (unsigned char *)&found, sizeof found) == sizeof found);
    CHECK(found.pid == pid_of(p[1]));
  }
  mb_scheduler_kill_all(s);
  CHECK(rt.registries.registries == 0 && rt.registries.registrations == 0);
  mb_runtime_deinit(&rt);
}
