/* Many HTTP clients in one process: keep-alive connections that GET files, each from a loopback address of its own.
 *
 * Client i binds 127.64.0.1 + i and requests the path with its own MAC address in place of %m. Every byte received is
 * compared with the local file; with --prefix, for answers that differ each time, the body must begin with that text.
 * --discard makes the kernel discard the body (MSG_TRUNC): then only status and length are checked, and the client
 * costs next to nothing. Prints one line of JSON; exit code 1 when an answer was wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

enum { CHUNK = 256 << 10, HEAD = 4096, REQUEST = 512, TIMEOUT_MS = 10000 };

struct client {
    int fd;
    char head[HEAD + 1], request[REQUEST];
    size_t head_size, request_size;
    int in_body;
    uint64_t left, at, began; /* of the body: bytes left, position in the file; when the request was sent */
    uint64_t asked;           /* requests started */
};

static struct {
    const char *path, *file, *prefix;
    struct sockaddr_in server;
    uint64_t clients, requests, range, mac;
    double seconds;
    int discard;
} o = {.clients = 1, .requests = 1, .seconds = 60, .mac = 0x525400000000};

static const char *content;
static uint64_t content_size;
static struct client *clients;
static uint64_t now, deadline, bytes, failures, finished;
static char complaint[128];
static int poller;

static void leave(struct client *c) {
    close(c->fd);
    c->fd = -1;
    finished++;
}

static void fail(struct client *c, const char *why) {
    if (!*complaint)
        snprintf(complaint, sizeof complaint, "%s", why);
    failures++;
    leave(c);
}

/* Send the client's next request, or close its connection after the last one. */
static void ask(struct client *c) {
    if (c->asked == o.requests || now >= deadline) {
        leave(c);
        return;
    }
    char mac[16], range[80] = "";
    const char *mark = strstr(o.path, "%m");
    snprintf(mac, sizeof mac, "%012llx", (unsigned long long)(o.mac + (uint64_t)(c - clients)));
    int before = mark ? (int)(mark - o.path) : (int)strlen(o.path);
    c->at = o.range ? c->asked * o.range % content_size : 0;
    if (o.range)
        snprintf(range, sizeof range, "Range: bytes=%llu-%llu\r\n", (unsigned long long)c->at,
                 (unsigned long long)(c->at + o.range - 1));
    c->request_size = (size_t)snprintf(c->request, REQUEST, "GET %.*s%s%s HTTP/1.1\r\nHost: box\r\n%s\r\n", before,
                                       o.path, mark ? mac : "", mark ? mark + 2 : "", range);
    c->asked++;
    c->head_size = 0, c->in_body = 0, c->began = now;
    if (send(c->fd, c->request, c->request_size, MSG_NOSIGNAL) != (ssize_t)c->request_size)
        fail(c, "the request could not be sent");
}

/* Check `size` bytes of the body at `got`; 0 when they are wrong, and then the client is closed. */
static int check(struct client *c, const char *got, size_t size) {
    if (size > c->left) {
        fail(c, "more than was announced");
        return 0;
    }
    if (o.prefix && c->at == 0 && (size < strlen(o.prefix) || memcmp(got, o.prefix, strlen(o.prefix)))) {
        fail(c, "another beginning");
        return 0;
    }
    if (content && got && memcmp(got, content + c->at, size)) {
        fail(c, "other bytes than in the file");
        return 0;
    }
    c->at += size, c->left -= size, bytes += size;
    if (!c->left) {
        measured(now - c->began);
        ask(c);
    }
    return 1;
}

/* Read the status line and the headers, once they are complete; the rest is the beginning of the body. */
static void head(struct client *c, size_t fresh) {
    c->head_size += fresh;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (c->head_size == HEAD)
            fail(c, "no end of the headers");
        return;
    }
    uint64_t expected = o.range ? (content_size - c->at < o.range ? content_size - c->at : o.range) : content_size;
    const char *wanted = o.range ? "HTTP/1.1 206 " : "HTTP/1.1 200 ";
    char *length = strcasestr(c->head, "\r\nContent-Length:");
    if (strncmp(c->head, wanted, strlen(wanted)) || !length || length > end) {
        snprintf(complaint, sizeof complaint, "%.30s", c->head);
        complaint[strcspn(complaint, "\r\n")] = 0;
        fail(c, "status");
        return;
    }
    c->left = strtoull(length + 17, NULL, 10);
    if (!c->left || (content && c->left != expected)) {
        fail(c, "another length than the file's");
        return;
    }
    c->in_body = 1;
    size_t behind = c->head_size - (size_t)(end + 4 - c->head);
    if (behind)
        check(c, end + 4, behind);
}

static void receive(struct client *c) {
    static char buffer[CHUNK];
    for (int turns = 0; turns < 4 && c->fd >= 0; turns++) {
        ssize_t got;
        if (!c->in_body)
            got = recv(c->fd, c->head + c->head_size, HEAD - c->head_size, 0);
        else if (o.discard)
            got = recv(c->fd, NULL, c->left < 1 << 30 ? (size_t)c->left : 1 << 30, MSG_TRUNC);
        else
            got = recv(c->fd, buffer, CHUNK, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        now = microseconds();
        if (got <= 0) {
            fail(c, got ? strerror(errno) : "the server closed the connection");
            return;
        }
        if (!c->in_body)
            head(c, (size_t)got);
        else
            check(c, o.discard ? NULL : buffer, (size_t)got);
    }
}

static void connect_all(void) {
    for (uint64_t i = 0; i < o.clients; i++) {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f400001u + (uint32_t)i)};
        int fd = clients[i].fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
        if (fd < 0 || bind(fd, (void *)&own, sizeof own) || connect(fd, (void *)&o.server, sizeof o.server) ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) || fcntl(fd, F_SETFL, O_NONBLOCK))
            die("connect");
        struct epoll_event interest = {.events = EPOLLIN, .data.ptr = &clients[i]};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest))
            die("epoll_ctl");
    }
}

static void options(int count, char **words) {
    static const struct option known[] = {
        {"server", 1, 0, 's'},  {"path", 1, 0, 'p'},     {"file", 1, 0, 'f'},    {"prefix", 1, 0, 'x'},
        {"clients", 1, 0, 'n'}, {"requests", 1, 0, 'r'}, {"seconds", 1, 0, 't'}, {"range", 1, 0, 'g'},
        {"mac", 1, 0, 'm'},     {"discard", 0, 0, 'd'},  {0, 0, 0, 0},
    };
    o.server.sin_family = AF_INET, o.server.sin_port = htons(80);
    for (int c; (c = getopt_long(count, words, "", known, NULL)) != -1;) {
        switch (c) {
        case 's': if (inet_pton(AF_INET, optarg, &o.server.sin_addr) != 1) die("--server"); break;
        case 'p': o.path = optarg; break;
        case 'f': o.file = optarg; break;
        case 'x': o.prefix = optarg; break;
        case 'n': o.clients = strtoull(optarg, NULL, 10); break;
        case 'r': o.requests = strtoull(optarg, NULL, 10); break; /* of each client */
        case 't': o.seconds = strtod(optarg, NULL); break;        /* no new request after this */
        case 'g': o.range = strtoull(optarg, NULL, 10); break;    /* bytes per request, one piece after another */
        case 'm': o.mac = strtoull(optarg, NULL, 16); break;      /* of the first client; the others count up */
        case 'd': o.discard = 1; break;
        default: exit(2);
        }
    }
    if (!o.path || !o.server.sin_addr.s_addr || !o.file == !o.prefix || !o.clients || o.clients > 65000 ||
        strlen(o.path) > 256 || (o.range && !o.file) || (o.discard && !o.file))
        die("--server, --path, --file or --prefix, --clients, --range or --discard");
}

int main(int count, char **words) {
    options(count, words);
    if (o.file) {
        struct stat status;
        int fd = open(o.file, O_RDONLY);
        if (fd < 0 || fstat(fd, &status) || !status.st_size)
            die(o.file);
        content_size = (uint64_t)status.st_size;
        content = mmap(NULL, content_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (content == MAP_FAILED)
            die(o.file);
    }
    poller = epoll_create1(0);
    if (poller < 0 || !(clients = calloc(o.clients, sizeof *clients)))
        die("memory");
    connect_all();
    uint64_t start = now = microseconds();
    deadline = start + (uint64_t)(o.seconds * 1e6);
    for (uint64_t i = 0; i < o.clients; i++)
        ask(&clients[i]);
    while (finished < o.clients) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, TIMEOUT_MS);
        if (ready < 0)
            die("epoll_wait");
        now = microseconds();
        for (uint64_t i = 0; !ready && i < o.clients; i++)
            if (clients[i].fd >= 0)
                fail(&clients[i], "nothing came for 10 s");
        for (int i = 0; i < ready; i++)
            receive(events[i].data.ptr);
    }
    double seconds = (double)(now - start) / 1e6;
    printf("{\"bytes\": %llu, \"seconds\": %.6f, \"requests\": %zu, \"requests_s\": %.1f, ", (unsigned long long)bytes,
           seconds, latency_count, (double)latency_count / seconds);
    printf("\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"failures\": %llu, \"complaint\": \"%s\"}\n", percentile(0.5),
           percentile(0.99), (unsigned long long)failures, complaint);
    return failures != 0;
}
