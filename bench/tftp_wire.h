/* The sockets of tftp_load: unbound, a few for all clients, whose addresses are in each datagram's IP_PKTINFO. */
#include <sys/socket.h>

#include "tftp_options.h"

enum {
    SOCKETS = 4,
    BATCH = 64,
    ROUNDS = 4, /* batches from one socket before it is the others' turn */
    BUFFER = 256 << 20, /* as much as all clients' machines together; nothing may be lost here */
};

struct queue {
    int used;
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct sockaddr_in peers[BATCH];
    union {
        char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
        struct cmsghdr align;
    } controls[BATCH];
    char data[BATCH][LONGEST_SENT];
};

static int sockets[SOCKETS];
static struct queue queues[SOCKETS];
static uint64_t now;

/* How a client handles a datagram from `port` of the server. */
static void take(int socket, uint32_t client, in_port_t port, uint8_t *packet, size_t length);

static void flush(int socket) {
    struct queue *queue = &queues[socket];
    for (int done = 0; done < queue->used;) {
        int sent = sendmmsg(sockets[socket], queue->messages + done, (unsigned)(queue->used - done), 0);
        if (sent < 0 && errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED)
            die("sendmmsg");
        done += sent > 0 ? sent : errno == EINTR ? 0 : 1;
    }
    queue->used = 0;
}

/* Room for a datagram of `length` bytes from a client to `port` of the server; it is sent by the next flush. */
static uint8_t *post(uint32_t client, int socket, in_port_t port, size_t length) {
    if (queues[socket].used == BATCH)
        flush(socket);
    struct queue *queue = &queues[socket];
    int i = queue->used++;
    queue->vectors[i].iov_len = length;
    queue->peers[i].sin_port = port;
    struct in_pktinfo *from = (struct in_pktinfo *)CMSG_DATA(&queue->controls[i].align);
    from->ipi_spec_dst.s_addr = htonl(option.source + client);
    return (uint8_t *)queue->data[i];
}

static void receive(int socket) {
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static struct sockaddr_in peers[BATCH];
    static char controls[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))] __attribute__((aligned(8)));
    static uint8_t *data;
    size_t room = option.blksize + 4 < 600 ? 600 : option.blksize + 4;
    if (!data && !(data = malloc(BATCH * (room + 1))))
        die("memory");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){data + (size_t)i * (room + 1), room};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                  .msg_namelen = sizeof peers[i],
                                  .msg_iov = &vectors[i],
                                  .msg_iovlen = 1,
                                  .msg_control = controls[i],
                                  .msg_controllen = sizeof controls[i]};
        }
        int got = recvmmsg(sockets[socket], messages, BATCH, MSG_DONTWAIT, NULL);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got < 0)
            die("recvmmsg");
        now = microseconds();
        for (int i = 0; i < got; i++) {
            struct cmsghdr *control = CMSG_FIRSTHDR(&messages[i].msg_hdr);
            if (!control || control->cmsg_type != IP_PKTINFO)
                die("no destination address");
            struct in_pktinfo *to = (struct in_pktinfo *)CMSG_DATA(control);
            uint32_t index = ntohl(to->ipi_addr.s_addr) - option.source;
            if (index < option.clients && peers[i].sin_addr.s_addr == option.server.sin_addr.s_addr)
                take(socket, index, peers[i].sin_port, vectors[i].iov_base, messages[i].msg_len);
        }
        flush(socket);
        if (got < BATCH)
            return;
    }
}

static void open_socket(int i) {
    int on = 1, room = BUFFER;
    if ((sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
        die("socket");
    struct sockaddr_in any = {.sin_family = AF_INET};
    if (bind(sockets[i], (struct sockaddr *)&any, sizeof any) ||
        setsockopt(sockets[i], IPPROTO_IP, IP_PKTINFO, &on, sizeof on) ||
        setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) ||
        setsockopt(sockets[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room))
        die("socket");
    struct queue *queue = &queues[i];
    for (int k = 0; k < BATCH; k++) {
        queue->vectors[k].iov_base = queue->data[k];
        queue->peers[k] = option.server;
        queue->messages[k].msg_hdr = (struct msghdr){.msg_name = &queue->peers[k],
                                 .msg_namelen = sizeof queue->peers[k],
                                 .msg_iov = &queue->vectors[k],
                                 .msg_iovlen = 1,
                                 .msg_control = &queue->controls[k],
                                 .msg_controllen = sizeof queue->controls[k]};
        struct cmsghdr *control = &queue->controls[k].align;
        control->cmsg_level = IPPROTO_IP;
        control->cmsg_type = IP_PKTINFO;
        control->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    }
}
