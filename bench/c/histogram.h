/*
 * A latency histogram of fixed size: buckets of 1 ns up to 64 ns, then 64 buckets for every power of two, so a value is
 * known to 1.6 % however large it is. (The idea is Gil Tene's HdrHistogram.)
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <string.h>

enum { SUB_BITS = 6, SUB_BUCKETS = 1 << SUB_BITS, BUCKETS = (64 - SUB_BITS + 1) * SUB_BUCKETS };

struct histogram {
  uint64_t count, max;
  uint64_t buckets[BUCKETS];
};

static inline void histogram_clear (struct histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

static inline void histogram_add (struct histogram *histogram, uint64_t value) {
  int shift = value < SUB_BUCKETS ? 0 : 63 - __builtin_clzll(value) - SUB_BITS;
  histogram->buckets[(unsigned)shift * SUB_BUCKETS + (value >> shift)]++;
  histogram->count++;
  if (value > histogram->max) histogram->max = value;
}

/* The value that `share` (0..1) of all values do not exceed, to the resolution of its bucket; 0 when there are none. */
static inline uint64_t histogram_at (const struct histogram *histogram, double share) {
  uint64_t rank = (uint64_t)(share * (double)histogram->count), seen = 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (histogram->count == 0 || seen <= rank) continue;
    unsigned shift = i < 2 * SUB_BUCKETS ? 0 : i / SUB_BUCKETS - 1;
    return (uint64_t)(i - shift * SUB_BUCKETS) << shift;
  }
  return histogram->max;
}

#endif
