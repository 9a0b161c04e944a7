/*
 * floor: the least work that a server of event streams can do, as a measure for
 * the others. It is one thread with one epoll set. It does not parse HTTP or JSON,
 * but finds what `tidings bench` sends at fixed places. When it is a stream's turn,
 * one send(2) writes all that is pending for it. Between the writes, the floor takes
 * what is published meanwhile. A stream whose socket is full waits for EPOLLOUT with
 * an offset. The bytes on the wire are those of a real hub: each event's id and data,
 * in a chunk of its own.
 *
 *	floor PORT          every stream gets every event
 *	floor PORT rounds   takes what is published only between two rounds of writes
 *	floor PORT topics   topics end in a number, and have one stream each
 *
 * Build: cc -O2 -o floor floor.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 1 << 20, MAX_TOPIC = 1 << 20, REQUEST = 1 << 20 };
#define LOG_SIZE (1UL << 32) /* of address space; only used pages take memory */

enum kind { UNKNOWN, STREAM, PUBLISHER };

struct conn {
	enum kind kind;
	int full;       /* waits for EPOLLOUT */
	int dirty;      /* is in the list of streams to write to */
	size_t offset;  /* in log_bytes, or with topics in out */
	char *in;       /* a publisher's incomplete request */
	size_t in_len;
	char *out;      /* with topics: what is pending for this stream */
	size_t out_len, out_cap;
};

static struct conn *conns;  /* indexed by descriptor */
static int *streams, n_streams, cap_streams;
static int *by_topic;       /* descriptors, indexed by a topic's number */
static int *dirty, n_dirty, cap_dirty;
static int with_topics, in_rounds;
static int epfd;            /* all descriptors, including publishers */
static int publishers;      /* an epoll set of the publishers' descriptors */
static char *log_bytes;     /* the events since all streams had everything */
static size_t log_len;
static int n_full;          /* streams that wait for EPOLLOUT */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void push(int **list, int *n, int *cap, int fd)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 1024;
		*list = realloc(*list, *cap * sizeof **list);
		if (!*list)
			die("realloc");
	}
	(*list)[(*n)++] = fd;
}

static void drop(int fd)
{
	struct conn *c = &conns[fd];
	if (c->kind == STREAM) {
		n_full -= c->full;
		for (int i = n_streams - 1; i >= 0; i--)
			if (streams[i] == fd) {
				streams[i] = streams[--n_streams];
				break;
			}
	}
	free(c->in);
	free(c->out);
	memset(c, 0, sizeof *c);
	close(fd);
}

/* Writes what is pending for a stream, with a single send. */
static void flush_stream(int fd)
{
	struct conn *c = &conns[fd];
	char *from = with_topics ? c->out : log_bytes;
	size_t end = with_topics ? c->out_len : log_len;
	if (c->offset == end)
		return;
	ssize_t n = send(fd, from + c->offset, end - c->offset, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		return; /* epoll reports its end */
	if (n > 0)
		c->offset += n;
	int full = c->offset < end;
	n_full += full - c->full;
	c->full = full;
	if (!full && with_topics)
		c->offset = c->out_len = 0;
}

static size_t event(char *to, const char *data, size_t len)
{
	static unsigned long id;
	size_t size = 24 + 6 + len + 2;
	char *at = to + sprintf(to, "%zx\r\nid: _%018lu\ndata: ", size, id++);
	memcpy(at, data, len);
	memcpy(at + len, "\n\n\r\n", 4);
	return at + len + 4 - to;
}

static void publish(long topic, const char *data, size_t len)
{
	if (!with_topics) {
		if (log_len + len + 64 > LOG_SIZE) {
			fprintf(stderr, "floor: a stream is 4 GiB behind\n");
			exit(1);
		}
		log_len += event(log_bytes + log_len, data, len);
		return;
	}
	int fd = topic >= 0 && topic < MAX_TOPIC ? by_topic[topic] : 0;
	struct conn *c = &conns[fd];
	if (!fd || c->kind != STREAM)
		return;
	if (c->out_len + len + 64 > c->out_cap) {
		c->out_cap = (c->out_len + len + 64) * 2;
		c->out = realloc(c->out, c->out_cap);
		if (!c->out)
			die("realloc");
	}
	c->out_len += event(c->out + c->out_len, data, len);
	if (!c->dirty) {
		c->dirty = 1;
		push(&dirty, &n_dirty, &cap_dirty, fd);
	}
}

/* Returns the number at the end of a topic; end points behind it. */
static long topic_before(const char *end)
{
	const char *p = end;
	while (p[-1] >= '0' && p[-1] <= '9')
		p--;
	return atol(p);
}

/* Handles a request and returns its length, or 0 if it is incomplete. */
static size_t take(int fd, const char *in, size_t len)
{
	char *head = memmem(in, len, "\r\n\r\n", 4);
	if (!head)
		return 0;
	char *body = head + 4, *field = memmem(in, head - in, "Content-Length: ", 16);
	size_t size = field ? strtoul(field + 16, NULL, 10) : 0;
	if ((size_t)(in + len - body) < size)
		return 0;
	char *path_end = memchr(in + 5, ' ', head - in - 5);
	static char answer[1 << 20];
	int events = 0;
	if (!memcmp(path_end - 7, "/events", 7)) { /* {"topic":"…","data":"…"} a line */
		for (char *line = body, *end; line < body + size; line = end + 1, events++) {
			end = memchr(line, '\n', body + size - line);
			char *topic_end = memchr(line + 10, '"', end - line);
			char *data = topic_end + 10;
			publish(topic_before(topic_end), data, end - 2 - data);
		}
	} else {
		publish(topic_before(path_end), body, size);
		events = 1;
	}
	int n = sprintf(answer, "HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n", events * 10);
	for (int i = 0; i < events; i++, n += 10)
		memcpy(answer + n, "{\"id\":\"\"}\n", 10);
	if (send(fd, answer, n, MSG_NOSIGNAL) != n)
		return 0;
	return body + size - in;
}

static void subscribe(int fd, const char *in, size_t len)
{
	static const char head[] =
		"HTTP/1.1 200 OK\r\nCache-Control: no-cache, no-transform\r\nContent-Type: text/event-stream\r\n"
		"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
		"d\r\nretry: 3000\n\n\r\n";
	struct conn *c = &conns[fd];
	c->kind = STREAM;
	c->offset = with_topics ? 0 : log_len;
	push(&streams, &n_streams, &cap_streams, fd);
	char *path_end = memchr(in + 4, ' ', len - 4);
	long topic = path_end ? topic_before(path_end) : -1;
	if (with_topics && topic >= 0 && topic < MAX_TOPIC)
		by_topic[topic] = fd;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
	epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev);
	send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
}

static void readable(int fd)
{
	static char buf[REQUEST];
	struct conn *c = &conns[fd];
	size_t kept = c->in_len;
	if (kept)
		memcpy(buf, c->in, kept);
	ssize_t n = recv(fd, buf + kept, sizeof buf - kept, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		drop(fd);
		return;
	}
	if (n < 0 || c->kind == STREAM)
		return;
	size_t len = kept + n;
	if (c->kind == UNKNOWN) {
		if (!memcmp(buf, "GET", 3)) {
			if (memmem(buf, len, "\r\n\r\n", 4))
				subscribe(fd, buf, len);
			return;
		}
		c->kind = PUBLISHER;
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
		epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
		epoll_ctl(publishers, EPOLL_CTL_ADD, fd, &ev);
	}
	size_t done = take(fd, buf, len);
	c->in_len = len - done;
	if (c->in_len) {
		c->in = realloc(c->in, c->in_len);
		memcpy(c->in, buf + done, c->in_len);
	}
}

/* Takes what has been published meanwhile. It does not wait. */
static void take_published(void)
{
	static struct epoll_event events[256];
	int n = epoll_wait(publishers, events, 256, 0);
	for (int i = 0; i < n; i++)
		readable(events[i].data.fd);
}

static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
		epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
	}
}

static int listen_on(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, low = 16 << 10;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) || listen(fd, 4096))
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: floor PORT [rounds|topics]\n");
		return 2;
	}
	with_topics = argc > 2 && !strcmp(argv[2], "topics");
	in_rounds = argc > 2 && !strcmp(argv[2], "rounds");
	signal(SIGPIPE, SIG_IGN);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	conns = calloc(MAX_FD, sizeof *conns);
	by_topic = calloc(MAX_TOPIC, sizeof *by_topic);
	log_bytes = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!conns || !by_topic || log_bytes == MAP_FAILED)
		die("memory");
	epfd = epoll_create1(0);
	publishers = epoll_create1(0);
	int listener = listen_on(atoi(argv[1]));
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
	epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev);
	ev.data.fd = publishers;
	epoll_ctl(epfd, EPOLL_CTL_ADD, publishers, &ev);

	static struct epoll_event events[1024];
	size_t flushed = 0; /* how much of the log each stream has got or waits to write */
	for (;;) {
		int n = epoll_wait(epfd, events, 1024, log_len > flushed ? 0 : -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				accept_all(fd);
				continue;
			}
			if (fd == publishers) {
				take_published();
				continue;
			}
			if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
				readable(fd);
			if (conns[fd].full)
				flush_stream(fd);
		}
		if (log_len > flushed) {
			flushed = log_len; /* at least; what comes during this round may need another */
			for (int i = 0; i < n_streams; i++) {
				if (!in_rounds && i % 64 == 63)
					take_published();
				if (!conns[streams[i]].full)
					flush_stream(streams[i]);
			}
		}
		for (int i = 0; i < n_dirty; i++) {
			conns[dirty[i]].dirty = 0;
			if (!conns[dirty[i]].full)
				flush_stream(dirty[i]);
		}
		n_dirty = 0;
		if (!n_full && log_len && log_len == flushed) {
			for (int i = 0; i < n_streams; i++)
				conns[streams[i]].offset = 0;
			log_len = flushed = 0;
		}
	}
}
