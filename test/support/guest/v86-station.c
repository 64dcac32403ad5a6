/*
 * A station for v86 to run, without an operating system: it has address 10.9.0.99, asks for 10.9.0.1 by ARP, says on the first serial
 * port who answered, and answers ARP requests and pings. Started as a multiboot kernel, so no BIOS is needed. Its network card is the
 * NE2000 that v86 emulates (https://wiki.osdev.org/Ne2000): frames come in a ring of 256-byte pages, and go out from a buffer below it.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

enum { NIC = 0x300, SERIAL = 0x3f8 };
enum { COMMAND = NIC, BOUNDARY = NIC + 3, TRANSMIT_PAGE, TRANSMIT_LOW, TRANSMIT_HIGH, INTERRUPTS, DATA = NIC + 16, RESET = NIC + 31 };
enum { SEND_PAGE = 0x40, FIRST_PAGE = 0x46, END_PAGE = 0x80 };
enum { STOP = 0x21, START = 0x22, PAGE_1 = 0x40, READ = 0x0a, WRITE = 0x12, SEND = 0x26 };

#define MINE 2, 0, 0, 0, 0x86, 1
#define MY_ADDRESS 10, 9, 0, 99

__attribute__((section(".multiboot"), used, aligned(4))) static const u32 multiboot[] = {0x1badb002, 0, -0x1badb002u};

__asm__(".pushsection .text\n"
        ".globl _start\n"
        "_start: mov $stack + 4096, %esp\n"
        "call station\n"
        ".popsection\n"
        ".pushsection .bss\n"
        ".align 16\n"
        "stack: .skip 4096\n"
        ".popsection\n");

static const u8 mine[6] = {MINE};
static const u8 my_address[4] = {MY_ADDRESS};
static u8 frame[1536];

static inline void out(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static inline u8 in(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void say(const char *text) {
  while (*text) out(SERIAL, *text++);
}

static void say_hex(const u8 *bytes, int count) {
  for (int i = 0; i < count; i++) {
    out(SERIAL, "0123456789abcdef"[bytes[i] >> 4]);
    out(SERIAL, "0123456789abcdef"[bytes[i] & 15]);
  }
}

/* The card's memory is reached byte by byte through DATA. */
static void remote(u16 address, u16 count, u8 direction) {
  out(NIC + 8, address & 255);
  out(NIC + 9, address >> 8);
  out(NIC + 10, count & 255);
  out(NIC + 11, count >> 8);
  out(COMMAND, direction);
}

static void fetch(u16 address, u8 *bytes, u16 count) {
  remote(address, count, READ);
  for (u16 i = 0; i < count; i++) bytes[i] = in(DATA);
}

static void send(const u8 *bytes, u16 count) {
  remote(SEND_PAGE << 8, count, WRITE);
  for (u16 i = 0; i < count; i++) out(DATA, bytes[i]);
  out(TRANSMIT_PAGE, SEND_PAGE);
  out(TRANSMIT_LOW, count & 255);
  out(TRANSMIT_HIGH, count >> 8);
  out(COMMAND, SEND);
}

static void open(void) {
  out(RESET, in(RESET));
  out(COMMAND, STOP);
  out(NIC + 14, 0x48); /* bytes, not words */
  out(NIC + 12, 0x04); /* broadcasts, and what is sent to us */
  out(NIC + 1, FIRST_PAGE);
  out(NIC + 2, END_PAGE);
  out(BOUNDARY, FIRST_PAGE);
  out(NIC + 15, 0);
  out(COMMAND, STOP | PAGE_1);
  for (int i = 0; i < 6; i++) out(NIC + 1 + i, mine[i]);
  out(NIC + 7, FIRST_PAGE + 1);
  out(COMMAND, START);
  out(NIC + 13, 0);
}

static int same(const u8 *a, const u8 *b, int count) {
  while (count > 0 && *a == *b) a++, b++, count--;
  return count == 0;
}

static void copy(u8 *to, const u8 *from, int count) {
  while (count-- > 0) *to++ = *from++;
}

static void answer(u16 length) {
  copy(frame, frame + 6, 6);
  copy(frame + 6, mine, 6);
  send(frame, length);
}

static void arp(void) {
  if (frame[21] == 2) {
    say("found ");
    say_hex(frame + 22, 6);
    say("\n");
  } else if (same(frame + 38, my_address, 4)) {
    frame[21] = 2;
    copy(frame + 32, frame + 22, 10);
    copy(frame + 22, mine, 6);
    copy(frame + 28, my_address, 4);
    answer(42);
  }
}

/* From a request to a reply 8 is taken from the type, so that 0x0800 is added to the checksum, with its carry (RFC 1624). */
static void ping(u16 length) {
  u8 sender[4];
  u32 sum = (frame[36] << 8 | frame[37]) + 0x0800;
  sum += sum >> 16;
  frame[34] = 0;
  frame[36] = sum >> 8;
  frame[37] = sum;
  copy(sender, frame + 26, 4);
  copy(frame + 26, my_address, 4);
  copy(frame + 30, sender, 4);
  answer(length);
}

void station(void) {
  static const u8 question[42] = {255, 255, 255, 255, 255, 255, MINE, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, MINE, MY_ADDRESS, 0, 0, 0, 0, 0, 0, 10, 9, 0, 1};
  u8 page = FIRST_PAGE + 1;
  open();
  send(question, sizeof question);
  for (;;) {
    out(COMMAND, START | PAGE_1);
    u8 end = in(NIC + 7);
    out(COMMAND, START);
    if (page == end) continue;
    u8 header[4]; /* status, next page, length with this header */
    fetch(page << 8, header, 4);
    u16 length = (header[2] | header[3] << 8) - 4;
    u16 start = (page << 8) + 4;
    u16 room = (END_PAGE << 8) - start;
    if (length > sizeof frame) length = sizeof frame;
    fetch(start, frame, length < room ? length : room);
    if (length > room) fetch(FIRST_PAGE << 8, frame + room, length - room);
    page = header[1];
    out(BOUNDARY, page == FIRST_PAGE ? END_PAGE - 1 : page - 1);
    if (frame[12] == 8 && frame[13] == 6) arp();
    if (frame[12] == 8 && frame[13] == 0 && frame[23] == 1 && frame[34] == 8 && same(frame + 30, my_address, 4)) ping(length);
  }
}
