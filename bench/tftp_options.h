/* The options of tftp_load, and the request that its clients send. */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "load.h"

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum { LONGEST_SENT = 400 };

static struct {
    struct sockaddr_in server;
    const char *remote, *local;
    uint32_t clients, blksize, windowsize;
    uint32_t source;
    uint64_t mac;
    int fetches;
    double seconds, warmup;
    uint64_t pace;
    bool tsize;
} option = {.clients = 1, .blksize = 1468, .windowsize = 1, .mac = 0x525400000000, .seconds = 2, .tsize = true};

static void put16(uint8_t *place, unsigned value) {
    place[0] = (uint8_t)(value >> 8);
    place[1] = (uint8_t)value;
}

static size_t put_text(uint8_t *place, size_t at, const char *text) {
    size_t length = strlen(text) + 1;
    if (at + length > LONGEST_SENT)
        die("the request is too long");
    memcpy(place + at, text, length);
    return at + length;
}

static size_t put_option(uint8_t *place, size_t at, const char *name, uint32_t value) {
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    return put_text(place, put_text(place, at, name), text);
}

/* The request, with the client's MAC address for each %m of the path. */
static size_t request(uint8_t *packet, uint32_t client) {
    char path[256];
    size_t used = 0;
    for (const char *c = option.remote; *c; c++) {
        if (used + 13 > sizeof path)
            die("the path is too long");
        if (c[0] == '%' && c[1] == 'm') {
            used += (size_t)sprintf(path + used, "%012llx", (unsigned long long)option.mac + client);
            c++;
        } else {
            path[used++] = *c;
        }
    }
    path[used] = 0;
    put16(packet, RRQ);
    size_t length = put_text(packet, put_text(packet, 2, path), "octet");
    if (option.tsize)
        length = put_option(packet, length, "tsize", 0);
    length = put_option(packet, length, "blksize", option.blksize);
    if (option.windowsize > 1)
        length = put_option(packet, length, "windowsize", option.windowsize);
    return length;
}

static const char usage[] =
    "usage: tftp_load --server ADDRESS[:PORT] --remote PATH --local FILE --source ADDRESS [options]\n"
    "  --remote PATH      what is asked for; %m is the client's MAC address, 12 digits\n"
    "  --local FILE       what has to come\n"
    "  --source ADDRESS   of the first client; the others have the next ones, all of them local here\n"
    "  --mac MAC          of the first client, 12 digits (525400000000); the others have the next ones\n"
    "  --clients N        (1)\n"
    "  --blksize N        (1468)\n"
    "  --windowsize N     (1: not asked for)\n"
    "  --fetches N        of each client (0: again and again until the time is up)\n"
    "  --seconds S        give up what is under way then (2)\n"
    "  --warmup S         wait at most S for all to have a block before counting begins; says \"warm\" then and\n"
    "                     \"done\" in the end, and goes on each time when it has read a line (0)\n"
    "  --pace US          a client waits that long from one ACK to the next (0)\n"
    "  --no-tsize         do not ask for the size\n";

static void parse(int argc, char **argv) {
    static const struct option names[] = {
        {"server", 1, 0, 'S'},  {"remote", 1, 0, 'r'},     {"local", 1, 0, 'l'},   {"source", 1, 0, 's'},
        {"mac", 1, 0, 'm'},  {"clients", 1, 0, 'c'},    {"blksize", 1, 0, 'b'}, {"windowsize", 1, 0, 'w'},
        {"fetches", 1, 0, 'f'},  {"seconds", 1, 0, 't'},    {"pace", 1, 0, 'p'},    {"no-tsize", 0, 0, 'n'},
        {"warmup", 1, 0, 'W'},
        {"help", 0, 0, 'h'},  {0, 0, 0, 0}};
    char *server = NULL, *port;
    struct in_addr source = {0};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
        switch (c) {
        case 'S': server = optarg; break;
        case 'r': option.remote = optarg; break;
        case 'l': option.local = optarg; break;
        case 's':
            if (!inet_aton(optarg, &source))
                die(optarg);
            break;
        case 'm': option.mac = strtoull(optarg, NULL, 16); break;
        case 'c': option.clients = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'b': option.blksize = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'w': option.windowsize = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'f': option.fetches = atoi(optarg); break;
        case 't': option.seconds = atof(optarg); break;
        case 'p': option.pace = strtoull(optarg, NULL, 10); break;
        case 'W': option.warmup = atof(optarg); break;
        case 'n': option.tsize = false; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    if (!server || !option.remote || !option.local || !source.s_addr || !option.clients || option.blksize < 8 ||
        option.blksize > 65464 || !option.windowsize || option.windowsize > 65535) {
        fputs(usage, stderr);
        exit(2);
    }
    option.source = ntohl(source.s_addr);
    option.server.sin_family = AF_INET;
    option.server.sin_port = htons(69);
    if ((port = strchr(server, ':'))) {
        *port++ = 0;
        option.server.sin_port = htons((uint16_t)atoi(port));
    }
    if (!inet_aton(server, &option.server.sin_addr))
        die(server);
}
