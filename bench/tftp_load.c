/*
 * Thousands of TFTP clients in one thread (RFC 1350, 2347-2349, 7440).
 *
 * Each client has an address of its own and fetches a file again and again; every byte is compared with a local copy.
 * All share a few unbound sockets: the destination address of a datagram (IP_PKTINFO) tells the client, and recvmmsg
 * and sendmmsg handle many datagrams per call, so that the server is the bottleneck and not this program. Each transfer
 * uses a different port from the one before it.
 *
 * Prints one line of JSON; ends with a message and an exit code other than 0 when a byte is wrong.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tftp_wire.h"

enum {
    UNKNOWN_TID = 5,
    FIRST_TIMEOUT = 1000000, /* microseconds; iPXE and EDK2 double it */
    LAST_TIMEOUT = 8000000,
    TRIES = 6,
    SCAN_EVERY = 10000,
};

/* REQUESTED: waits for an answer to its RRQ. IDLE: has nothing left to fetch. */
enum state { REQUESTED, RECEIVING, IDLE };

struct client {
    enum state state;
    int socket;
    in_port_t port; /* the server's, for this transfer; network byte order like all below */
    uint64_t expected; /* number of the next block, from 1, not truncated to 16 bits */
    uint32_t blksize, windowsize;
    uint32_t unacknowledged;
    bool gap;
    uint16_t last_seen; /* within a gap */
    bool awaiting; /* the first block after an ACK */
    bool opened; /* has had a block of a file */
    int tries;
    uint64_t started, sent, due, timeout;
    uint64_t paced; /* when its ACK may be sent; 0: none is delayed */
    int fetched;
    int old_socket; /* the transfer before this one, whose last ACK may have been lost */
    in_port_t old_port;
    uint16_t old_block;
};

static struct {
    uint64_t bytes, fetched, failures, unfinished, retransmits, duplicates, gaps, fallbacks, foreign;
    char first_error[120];
} count;

static struct client *clients;
static const uint8_t *copy;
static uint64_t copy_size, end;
static uint32_t active, opened;
static double *transfers; /* milliseconds */
static size_t transfer_count, transfer_room;

static double transfer(double share) {
    return transfer_count ? transfers[(size_t)(share * (double)(transfer_count - 1))] : 0;
}

static void note_transfer(uint64_t duration) {
    if (transfer_count == transfer_room) {
        transfer_room = transfer_room ? 2 * transfer_room : 1 << 10;
        if (!(transfers = realloc(transfers, transfer_room * sizeof *transfers)))
            die("memory");
    }
    transfers[transfer_count++] = (double)duration / 1000;
}

static int shorter(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static uint32_t number(const struct client *client) {
    return (uint32_t)(client - clients);
}

static void send_error(const struct client *client, int socket, in_port_t port, unsigned code) {
    uint8_t *packet = post(number(client), socket, port, 5);
    put16(packet, ERROR);
    put16(packet + 2, code);
    packet[4] = 0;
}

static void sent(struct client *client) {
    client->sent = now;
    client->due = now + client->timeout;
    client->awaiting = true;
}

static void send_request(struct client *client) {
    uint8_t packet[LONGEST_SENT];
    size_t length = request(packet, number(client));
    memcpy(post(number(client), client->socket, option.server.sin_port, length), packet, length);
    sent(client);
}

static void send_ack(struct client *client) {
    uint8_t *packet = post(number(client), client->socket, client->port, 4);
    put16(packet, ACK);
    put16(packet + 2, (uint16_t)(client->expected - 1));
    client->unacknowledged = 0;
    client->paced = 0;
    sent(client);
}

/* ---- the client ---- */

static void start(struct client *client) {
    if ((option.fetches && client->fetched == option.fetches) || now >= end) {
        client->state = IDLE;
        active--;
        return;
    }
    client->state = REQUESTED;
    client->socket = (client->socket + 1) % SOCKETS;
    client->expected = 1;
    client->unacknowledged = 0;
    client->gap = false;
    client->paced = 0;
    client->tries = 0;
    client->timeout = FIRST_TIMEOUT;
    client->started = now;
    send_request(client);
}

static void fail(struct client *client, const char *why) {
    if (!count.failures++)
        snprintf(count.first_error, sizeof count.first_error, "%s", why);
    client->fetched++;
    client->old_port = 0;
    start(client);
}

static void progressed(struct client *client) {
    client->tries = 0;
    client->timeout = FIRST_TIMEOUT;
    client->due = now + FIRST_TIMEOUT;
}

static void take_block(struct client *client, const uint8_t *data, size_t length) {
    uint64_t offset = (client->expected - 1) * client->blksize;
    uint64_t left = offset < copy_size ? copy_size - offset : 0;
    if (length != (left < client->blksize ? left : client->blksize) || memcmp(copy + offset, data, length))
        die("a block that came");
    if (client->awaiting) {
        measured(now - client->sent);
        client->awaiting = false;
    }
    if (!client->opened) {
        client->opened = true;
        opened++;
    }
    count.bytes += length;
    client->expected++;
    client->unacknowledged++;
    client->gap = false;
    progressed(client);
    if (length < client->blksize) {
        send_ack(client);
        note_transfer(now - client->started);
        count.fetched++;
        client->fetched++;
        client->old_socket = client->socket;
        client->old_port = client->port;
        client->old_block = (uint16_t)(client->expected - 1);
        start(client);
    } else if (client->unacknowledged >= client->windowsize) {
        if (option.pace && client->sent + option.pace > now)
            client->paced = client->sent + option.pace;
        else
            send_ack(client);
    }
}

static void take_data(struct client *client, uint16_t block, const uint8_t *data, size_t length) {
    int16_t ahead = (int16_t)(block - (uint16_t)client->expected);
    if (ahead == 0) {
        take_block(client, data, length);
    } else if (ahead > 0) {
        /* One ACK each time the window repeats with a block missing (RFC 7440, section 4). */
        if (!client->gap || (int16_t)(block - client->last_seen) <= 0) {
            count.gaps++;
            send_ack(client);
        }
        client->gap = true;
        client->last_seen = block;
    } else {
        count.duplicates++;
        if (ahead == -1 && client->unacknowledged == 0 && !client->paced)
            send_ack(client); /* ours was lost */
    }
}

/* Options that the server left out have the defaults of RFC 1350. */
static void take_options(struct client *client, const char *text, size_t length) {
    client->blksize = 512;
    client->windowsize = 1;
    const char *stop = text + length;
    while (text < stop) {
        const char *name = text, *value = memchr(name, 0, (size_t)(stop - name));
        if (!value || ++value >= stop || !(text = memchr(value, 0, (size_t)(stop - value))))
            break;
        text++;
        if (!strcasecmp(name, "blksize"))
            client->blksize = (uint32_t)strtoul(value, NULL, 10);
        else if (!strcasecmp(name, "windowsize"))
            client->windowsize = (uint32_t)strtoul(value, NULL, 10);
    }
    if (!client->blksize || client->blksize > option.blksize || !client->windowsize ||
        client->windowsize > option.windowsize)
        die("the server has raised an option");
}

static void take(int socket, uint32_t index, in_port_t port, uint8_t *packet, size_t length) {
    struct client *client = &clients[index];
    unsigned opcode = length >= 4 ? (unsigned)packet[0] << 8 | packet[1] : 0;
    uint16_t block = length >= 4 ? (uint16_t)(packet[2] << 8 | packet[3]) : 0;
    bool own = client->state != IDLE && socket == client->socket;
    if (own && client->state == RECEIVING && port == client->port) {
        if (opcode == DATA)
            take_data(client, block, packet + 4, length - 4);
        else if (opcode == OACK && client->expected == 1)
            send_ack(client);
        else if (opcode == ERROR)
            fail(client, (char *)packet + 4);
    } else if (own && client->state == REQUESTED && (opcode == DATA || opcode == OACK || opcode == ERROR)) {
        packet[length] = 0;
        client->port = port;
        if (opcode == ERROR) {
            fail(client, (char *)packet + 4);
            return;
        }
        client->state = RECEIVING;
        progressed(client);
        take_options(client, (char *)packet + 2, opcode == OACK ? length - 2 : 0);
        if (client->blksize < option.blksize || client->windowsize < option.windowsize)
            count.fallbacks++;
        if (opcode == DATA) {
            take_data(client, block, packet + 4, length - 4);
        } else {
            measured(now - client->sent);
            send_ack(client);
        }
    } else if (client->old_port == port && client->old_socket == socket && opcode == DATA) {
        count.duplicates++;
        if (block == client->old_block) {
            uint8_t *answer = post(number(client), socket, port, 4);
            put16(answer, ACK);
            put16(answer + 2, block);
        }
    } else if (opcode != ERROR) {
        count.foreign++;
        send_error(client, socket, port, UNKNOWN_TID);
    }
}

static void scan(void) {
    for (struct client *client = clients; client < clients + option.clients; client++) {
        if (client->state == IDLE)
            continue;
        if (client->paced) {
            if (client->paced <= now)
                send_ack(client);
        } else if (client->due <= now) {
            if (++client->tries > TRIES) {
                fail(client, "no answer");
                continue;
            }
            count.retransmits++;
            client->timeout = client->timeout * 2 < LAST_TIMEOUT ? client->timeout * 2 : LAST_TIMEOUT;
            if (client->state == REQUESTED)
                send_request(client);
            else
                send_ack(client);
        }
    }
}

/* Tell the measuring program that a part of the run begins or ends, and continue when it has looked. */
static void mark(const char *what) {
    printf("%s\n", what);
    fflush(stdout);
    if (getchar() == EOF)
        die("nobody measures");
    now = microseconds();
}

/* Run until `end`, or until nothing is left to do; when `opening`, until each client has had a block. */
static void run(bool opening) {
    struct pollfd polled[SOCKETS];
    for (int i = 0; i < SOCKETS; i++)
        polled[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    uint64_t scanned = 0, every = option.pace ? 100 : SCAN_EVERY;
    while (active && now < end && !(opening && opened == option.clients)) {
        struct timespec timeout = {0, (long)every * 1000};
        if (ppoll(polled, SOCKETS, &timeout, NULL) < 0 && errno != EINTR)
            die("ppoll");
        now = microseconds();
        for (int i = 0; i < SOCKETS; i++)
            if (polled[i].revents)
                receive(i);
        now = microseconds();
        if (now - scanned >= every) {
            scan();
            scanned = now;
        }
        for (int i = 0; i < SOCKETS; i++)
            flush(i);
    }
}

/* Open all transfers, then start counting. */
static void warm_up(void) {
    run(true);
    mark("warm");
    memset(&count, 0, sizeof count);
    latency_count = transfer_count = 0;
    for (struct client *client = clients; client < clients + option.clients; client++)
        client->awaiting = client->awaiting && client->state != RECEIVING;
}

static void give_up(void) {
    for (struct client *client = clients; client < clients + option.clients; client++) {
        if (client->state == IDLE)
            continue;
        count.unfinished++;
        if (client->state == RECEIVING)
            send_error(client, client->socket, client->port, 0);
        else
            send_error(client, client->socket, option.server.sin_port, 0);
    }
    for (int i = 0; i < SOCKETS; i++)
        flush(i);
}

static void open_copy(void) {
    int file = open(option.local, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status))
        die(option.local);
    copy_size = (uint64_t)status.st_size;
    copy = mmap(NULL, copy_size ? copy_size : 1, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    if (copy == MAP_FAILED)
        die(option.local);
}

static void print(double seconds) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (transfer_count)
        qsort(transfers, transfer_count, sizeof *transfers, shorter);
    for (char *c = count.first_error; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            *c = '?';
    printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"client_cpu\": %.3f, ", count.bytes, seconds, cpu);
    printf("\"opened\": %u, ", opened);
    printf("\"fetched\": %" PRIu64 ", \"failures\": %" PRIu64 ", \"unfinished\": %" PRIu64 ", ", count.fetched,
           count.failures, count.unfinished);
    printf("\"retransmits\": %" PRIu64 ", \"duplicates\": %" PRIu64 ", \"gaps\": %" PRIu64 ", ", count.retransmits,
           count.duplicates, count.gaps);
    printf("\"fallbacks\": %" PRIu64 ", \"foreign\": %" PRIu64 ", \"first_error\": \"%s\", ", count.fallbacks,
           count.foreign, count.first_error);
    printf("\"transfer_p50_ms\": %.3f, \"transfer_p99_ms\": %.3f, \"transfer_max_ms\": %.3f, ", transfer(0.5),
           transfer(0.99), transfer(1));
    printf("\"block_p50_us\": %.0f, \"block_p99_us\": %.0f, \"block_max_us\": %.0f}\n", percentile(0.5) * 1000,
           percentile(0.99) * 1000, percentile(1) * 1000);
}

int main(int argc, char **argv) {
    parse(argc, argv);
    open_copy();
    for (int i = 0; i < SOCKETS; i++)
        open_socket(i);
    if (!(clients = calloc(option.clients, sizeof *clients)))
        die("memory");
    now = microseconds();
    end = now + (uint64_t)((option.warmup > 0 ? option.warmup : option.seconds) * 1e6);
    active = option.clients;
    for (uint32_t i = 0; i < option.clients; i++) {
        clients[i].socket = SOCKETS - 1; /* the first transfers share a socket, so that one batch opens many of them */
        start(&clients[i]);
    }
    for (int i = 0; i < SOCKETS; i++)
        flush(i);
    uint64_t began = now;
    if (option.warmup > 0) {
        warm_up();
        began = now;
        end = began + (uint64_t)(option.seconds * 1e6);
    }
    run(false);
    uint64_t ended = microseconds();
    if (option.warmup > 0)
        mark("done");
    give_up();
    print((double)(ended - began) / 1e6);
    return 0;
}
