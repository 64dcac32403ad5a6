/* What the forwarders learn: from MAC address to port, by open addressing. Nothing ages. */
#ifndef BENCH_FDB_H
#define BENCH_FDB_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { FDB_SLOTS = 32768, FDB_LIMIT = 16384, FLOOD = -1 };

static struct entry {
  uint64_t mac;              /* 0: free; a zero source is never learned */
  int port;
} fdb[FDB_SLOTS];
static int fdb_count;
static uint64_t fdb_refused; /* frames whose source was new when it was full */

static inline uint64_t mac_at (const uint8_t *field) {
  uint64_t value;
  memcpy(&value, field, sizeof value);
  return value & 0xffffffffffffull;
}

static inline bool is_group (uint64_t mac) { return mac & 1; }

static struct entry *fdb_slot (uint64_t mac) {
  unsigned slot = (mac * 0x9e3779b97f4a7c15ull) >> 49;
  while (fdb[slot].mac != mac && fdb[slot].mac != 0) slot = (slot + 1) % FDB_SLOTS;
  return &fdb[slot];
}

static inline void learn (uint64_t mac, int port) {
  struct entry *entry = fdb_slot(mac);
  if (entry->mac == 0) {
    if (fdb_count == FDB_LIMIT) { fdb_refused++; return; }
    fdb_count++;
    entry->mac = mac;
  }
  entry->port = port;
}

static inline int look_up (uint64_t mac) {
  if (is_group(mac)) return FLOOD;
  struct entry *entry = fdb_slot(mac);
  return entry->mac ? entry->port : FLOOD;
}

#endif
