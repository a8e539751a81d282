/* A crowd of PXE clients on one socket: each has one DISCOVER outstanding, and sends the next when the answer arrives.
 *
 * The datagram is the one that EDK2's PXE driver broadcasts (tests/captures/uefi-pxe-edk2-head.pcap), with a fresh xid
 * each time. Every answer is checked: op, xid, chaddr, options 53, 54 and 60; with --file also siaddr, file, and
 * options 66 and 67 if present. Prints one line of JSON; exit code 1 when an answer was wrong.
 *
 * MAC addresses are 52:RR:RR:RR:JJ:JJ: range R of --ranges, of which J is 0 to 7fff. Those that begin with 56 are
 * strangers: --strangers of them per second send a DISCOVER each, and must not be answered.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum {
    BATCH = 64,
    SIZE = 1500,
    LOST_US = 1000000, /* after this time a DISCOVER or its answer counts as lost */
    SLOT_BITS = 11,
    HEADER = 240,
    EACH = 0x8000, /* MAC addresses per range */
    CLIENT = 0x52,
    STRANGER = 0x56,
};

struct slot {
    uint64_t began, sent; /* microseconds: the first DISCOVER of this xid, the latest */
    uint32_t xid;
    uint8_t mac[6];
};

static struct {
    const char *interface, *file;
    struct in_addr server;
    uint64_t macs, ranges, first, strangers;
    unsigned architecture;
    double seconds;
    int fresh;
} o = {.macs = 500, .ranges = 1, .seconds = 1, .architecture = 7};

static struct slot *slots; /* one per client, then a batch for strangers */
static uint64_t now, next_xid, next_client, next_stranger, sent, bad, retransmits, answered_strangers;
static char complaint[96];

static uint8_t *option(uint8_t *at, uint8_t code, const void *value, size_t length) {
    *at++ = code;
    *at++ = (uint8_t)length;
    memcpy(at, value, length);
    return at + length;
}

/* The datagram that all clients send, except xid and chaddr; returns its length. */
static size_t discover(uint8_t *d) {
    static const uint8_t wanted[] = {1,  2,  3,  4,  5,  6,  12, 13, 15, 17, 18,  22,  23,  28,  40,  41,  42, 43,
                                     50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135};
    static const uint8_t uuid[17] = {0, 0xd0, 0xd1, 0xd2, 0xd3};
    char vendor[64];
    memset(d, 0, HEADER);
    d[0] = 1, d[1] = 1, d[2] = 6, d[10] = 0x80;
    memcpy(d + 236, "\x63\x82\x53\x63", 4);
    uint8_t *at = option(d + HEADER, 53, "\1", 1);
    at = option(at, 57, "\5\xc0", 2);
    at = option(at, 55, wanted, sizeof wanted);
    at = option(at, 97, uuid, sizeof uuid);
    at = option(at, 94, "\1\3\0", 3);
    at = option(at, 93, (uint8_t[]){(uint8_t)(o.architecture >> 8), (uint8_t)o.architecture}, 2);
    int length = snprintf(vendor, sizeof vendor, "PXEClient:Arch:%05u:UNDI:003000", o.architecture);
    at = option(at, 60, vendor, (size_t)length);
    *at++ = 255;
    return (size_t)(at - d);
}

/* Whose DISCOVER the slot sends next. 7919 has no common divisor with a power of ten, so all ranges get clients. */
static void renew(uint64_t index) {
    struct slot *s = &slots[index];
    int stranger = index >= o.macs;
    uint64_t client = stranger ? next_stranger++ : o.fresh ? o.first + next_client++ : index;
    uint64_t range = client * 7919 % o.ranges, within = client / o.ranges % EACH;
    uint8_t mac[6] = {stranger ? STRANGER : CLIENT, (uint8_t)(range >> 16), (uint8_t)(range >> 8), (uint8_t)range,
                      (uint8_t)(within >> 8), (uint8_t)within};
    memcpy(s->mac, mac, 6);
    s->xid = (uint32_t)(next_xid++ << SLOT_BITS | index);
    s->began = 0;
}

static int wrong(const char *what) {
    bad++;
    if (!*complaint)
        snprintf(complaint, sizeof complaint, "%s", what);
    return 0;
}

/* Whether option `code` of the answer, if present, has this value, with or without a NUL; `must`: it must be present. */
static int holds(const uint8_t *const *options, uint8_t code, const void *value, size_t length, int must) {
    const uint8_t *at = options[code];
    if (!at)
        return !must;
    return (at[0] == length || (at[0] == length + 1 && !at[1 + length])) && !memcmp(at + 1, value, length);
}

static int right(const uint8_t *d, size_t size, const struct slot *s) {
    const uint8_t *options[256] = {0};
    if (d[0] != 2 || d[1] != 1 || d[2] != 6 || memcmp(d + 28, s->mac, 6) || memcmp(d + 236, "\x63\x82\x53\x63", 4))
        return wrong("header");
    size_t at = HEADER;
    while (at < size && d[at] != 255) {
        if (d[at] == 0) {
            at++;
            continue;
        }
        if (at + 2 > size || at + 2 + d[at + 1] > size)
            return wrong("options are cut short");
        options[d[at]] = d + at + 1;
        at += 2u + d[at + 1];
    }
    if (at >= size)
        return wrong("no end of the options");
    if (!holds(options, 53, "\2", 1, 1) || !holds(options, 54, &o.server, 4, 1) ||
        !holds(options, 60, "PXEClient", 9, 1))
        return wrong("option 53, 54 or 60");
    if (!o.file)
        return 1;
    char file[128], server[16];
    const uint8_t *m = s->mac;
    const char *mark = strstr(o.file, "%m");
    if (mark)
        snprintf(file, sizeof file, "%.*s%02x%02x%02x%02x%02x%02x%s", (int)(mark - o.file), o.file, m[0], m[1], m[2],
                 m[3], m[4], m[5], mark + 2);
    else
        snprintf(file, sizeof file, "%s", o.file);
    inet_ntop(AF_INET, &o.server, server, sizeof server);
    if (memcmp(d + 20, &o.server, 4) || memcmp(d + 108, file, strlen(file) + 1))
        return wrong("siaddr or file");
    if (!holds(options, 66, server, strlen(server), 0) || !holds(options, 67, file, strlen(file), 0))
        return wrong("option 66 or 67");
    return 1;
}

static int listening(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), yes = 1, much = 8 << 20;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(68)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o.interface, (socklen_t)strlen(o.interface)) ||
        setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof much) || bind(fd, (void *)&any, sizeof any))
        die("the socket on port 68");
    return fd;
}

/* Send the DISCOVERs of the slots in `waiting`. */
static void send_all(int fd, const uint32_t *waiting, size_t count, const uint8_t *pattern, size_t length) {
    static uint8_t out[BATCH][SIZE];
    static struct sockaddr_in to = {.sin_family = AF_INET};
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    to.sin_port = htons(67), to.sin_addr.s_addr = INADDR_BROADCAST;
    for (size_t done = 0; done < count;) {
        unsigned batch = count - done < BATCH ? (unsigned)(count - done) : BATCH;
        for (unsigned i = 0; i < batch; i++) {
            struct slot *s = &slots[waiting[done + i]];
            uint32_t xid = htonl(s->xid);
            memcpy(out[i], pattern, length);
            memcpy(out[i] + 4, &xid, 4);
            memcpy(out[i] + 28, s->mac, 6);
            s->sent = now;
            if (!s->began)
                s->began = now;
            pieces[i] = (struct iovec){out[i], length};
            messages[i].msg_hdr =
                (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &pieces[i], .msg_iovlen = 1};
        }
        int taken = sendmmsg(fd, messages, batch, 0);
        if (taken < 0 && errno != EAGAIN && errno != ENOBUFS)
            die("sendmmsg");
        if (taken > 0)
            done += (size_t)taken, sent += (uint64_t)taken;
    }
}

/* Process what has arrived, at most a batch; append the slots that may send again to `waiting`. */
static size_t receive(int fd, uint32_t *waiting) {
    static uint8_t in[BATCH][SIZE];
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    size_t free_slots = 0;
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){in[i], SIZE};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, 0, NULL);
    now = microseconds();
    for (int i = 0; i < count; i++) {
        uint32_t xid;
        size_t size = messages[i].msg_len;
        memcpy(&xid, in[i] + 4, 4);
        xid = ntohl(xid);
        uint32_t index = xid & ((1u << SLOT_BITS) - 1);
        if (size >= HEADER && in[i][28] == STRANGER)
            answered_strangers++;
        if (size < HEADER || index >= o.macs || slots[index].xid != xid)
            continue; /* a second answer, when the first was late */
        if (right(in[i], size, &slots[index]))
            measured(now - slots[index].began);
        renew(index);
        waiting[free_slots++] = index;
    }
    return free_slots;
}

static void options(int count, char **words) {
    static const struct option known[] = {
        {"interface", 1, 0, 'i'}, {"server", 1, 0, 's'}, {"macs", 1, 0, 'n'},         {"seconds", 1, 0, 't'},
        {"ranges", 1, 0, 'r'},    {"file", 1, 0, 'f'},   {"architecture", 1, 0, 'a'}, {"fresh", 1, 0, 'e'},
        {"strangers", 1, 0, 'x'}, {0, 0, 0, 0},
    };
    for (int c; (c = getopt_long(count, words, "", known, NULL)) != -1;) {
        switch (c) {
        case 'i': o.interface = optarg; break;
        case 's': if (inet_pton(AF_INET, optarg, &o.server) != 1) die("--server"); break;
        case 'n': o.macs = strtoull(optarg, NULL, 10); break;
        case 't': o.seconds = strtod(optarg, NULL); break;
        case 'r': o.ranges = strtoull(optarg, NULL, 10); break;
        case 'f': o.file = optarg; break;
        case 'a': o.architecture = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'e': o.fresh = 1, o.first = strtoull(optarg, NULL, 10); break; /* no MAC twice, starting from this one */
        case 'x': o.strangers = strtoull(optarg, NULL, 10); break;          /* DISCOVERs per second */
        default: exit(2);
        }
    }
    if (!o.interface || !o.server.s_addr || o.macs + BATCH > 1u << SLOT_BITS || !o.ranges || o.ranges > 1u << 24)
        die("--interface, --server, --macs or --ranges");
}

/* Repeat unanswered DISCOVERs. */
static void look_for_lost(int fd, const uint8_t *pattern, size_t length) {
    static uint64_t looked;
    if (now - looked < LOST_US / 10)
        return;
    looked = now;
    for (uint32_t i = 0; i < o.macs; i++) {
        if (slots[i].began && now - slots[i].sent > LOST_US) {
            retransmits++;
            send_all(fd, &i, 1, pattern, length);
        }
    }
}

int main(int count, char **words) {
    options(count, words);
    uint8_t pattern[SIZE];
    size_t length = discover(pattern);
    slots = calloc(o.macs + BATCH, sizeof *slots);
    uint32_t *waiting = calloc(o.macs + BATCH, sizeof *waiting), strangers[BATCH];
    if (!slots || !waiting)
        die("memory");
    int fd = listening();
    uint64_t start = now = microseconds(), end = start + (uint64_t)(o.seconds * 1e6);
    next_xid = start; /* so that late answers to the previous run are recognized */
    size_t many = o.macs;
    for (uint32_t i = 0; i < o.macs; i++)
        renew(waiting[i] = i);
    while (now < end) {
        send_all(fd, waiting, many, pattern, length);
        many = 0;
        unsigned strange = 0;
        for (uint64_t due = o.strangers * (now - start) / 1000000; strange < BATCH && next_stranger < due; strange++)
            renew(strangers[strange] = (uint32_t)o.macs + strange);
        send_all(fd, strangers, strange, pattern, length);
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, o.strangers ? 0 : 10) > 0)
            many = receive(fd, waiting);
        now = microseconds();
        look_for_lost(fd, pattern, length);
    }
    double seconds = (double)(now - start) / 1e6;
    printf("{\"seconds\": %.6f, \"sent\": %llu, \"strangers\": %llu, \"fresh\": %llu, ", seconds,
           (unsigned long long)sent, (unsigned long long)next_stranger, (unsigned long long)next_client);
    printf("\"replies\": %zu, \"replies_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, ", latency_count,
           (double)latency_count / seconds, percentile(0.5), percentile(0.99));
    printf("\"retransmits\": %llu, \"bad\": %llu, \"answered_strangers\": %llu, \"complaint\": \"%s\"}\n",
           (unsigned long long)retransmits, (unsigned long long)bad, (unsigned long long)answered_strangers, complaint);
    return bad || answered_strangers;
}
