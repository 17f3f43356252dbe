/*
 * sink.c
 *		An HTTP/1.1 server that answers at once, or never, and notes when each
 *		request arrived.
 *
 *	sink PORT_FILE LOG_FILE [hang]
 *
 * Listens on a free port of 127.0.0.1 and writes its number to PORT_FILE. For each
 * request a line goes to LOG_FILE: microseconds since 1970 at which its first bytes
 * had been read, and the text of the member "id" in its body. With "hang" requests
 * are read and never answered. Ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 4096
#define BUFFER (64 * 1024)

typedef struct Connection
{
	int			fd;
	size_t		used;
	int64_t		began_us;		/* first bytes of the request that is being read */
	char		data[BUFFER];
} Connection;

static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
static Connection *connections[MAX_FD];
static FILE *record;
static volatile sig_atomic_t stopping = 0;

/* Asks the loop to end. */
static void
stop(int number)
{
	(void) number;
	stopping = 1;
}

/* Ends the program with the system's message. */
static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Microseconds since 1970. */
static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Bytes of the first request in the buffer; 0 while it is not complete. */
static size_t
request_length(Connection *c)
{
	char	   *end = memmem(c->data, c->used, "\r\n\r\n", 4);
	char	   *line;
	size_t		length = 0;

	if (end == NULL)
		return 0;
	for (line = c->data; line < end; line = (char *) memmem(line, c->data + c->used - line, "\r\n", 2) + 2)
		if (strncasecmp(line, "content-length:", 15) == 0)
			length = strtoul(line + 15, NULL, 10);
	length += end + 4 - c->data;
	return length <= c->used ? length : 0;
}

/* Notes a request. */
static void
note(Connection *c, size_t length)
{
	static const char key[] = "\"id\": \"";
	char	   *id = memmem(c->data, length, key, sizeof(key) - 1);
	char	   *end;

	if (id != NULL)
	{
		id += sizeof(key) - 1;
		end = memchr(id, '"', c->data + length - id);
		if (end != NULL)
			fprintf(record, "%lld %.*s\n", (long long) c->began_us, (int) (end - id), id);
	}
}

/* Forgets a connection. */
static void
close_connection(Connection *c)
{
	close(c->fd);
	connections[c->fd] = NULL;
	free(c);
}

/* Reads what has come and answers complete requests. */
static void
serve(Connection *c, int hang)
{
	ssize_t		n = recv(c->fd, c->data + c->used, sizeof(c->data) - c->used, 0);
	size_t		length;

	if (n <= 0)
	{
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			close_connection(c);
		return;
	}
	if (c->used == 0)
		c->began_us = now_us();
	c->used += (size_t) n;
	while ((length = request_length(c)) > 0)
	{
		note(c, length);
		memmove(c->data, c->data + length, c->used - length);
		c->used -= length;
		c->began_us = now_us();
		if (!hang && send(c->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		{
			close_connection(c);
			return;
		}
	}
	if (c->used == sizeof(c->data))
		close_connection(c);
}

/* Takes new connections. */
static void
take_connections(int listener, int epoll)
{
	int			fd;
	int			yes = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		if (fd >= MAX_FD)
		{
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		connections[fd] = calloc(1, sizeof(Connection));
		if (connections[fd] == NULL)
			fail("calloc");
		connections[fd]->fd = fd;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
}

/* Listens on a free port and tells its number. */
static int
listen_somewhere(const char *port_file)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	length = sizeof(address);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	FILE	   *file;

	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 1024) < 0 ||
		getsockname(fd, (struct sockaddr *) &address, &length) < 0)
		fail("listen");
	file = fopen(port_file, "w");
	if (file == NULL)
		fail(port_file);
	fprintf(file, "%d\n", ntohs(address.sin_port));
	fclose(file);
	return fd;
}

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	struct epoll_event events[256];
	int			epoll = epoll_create1(EPOLL_CLOEXEC);
	int			hang = argc > 3 && strcmp(argv[3], "hang") == 0;
	int			listener;

	if (argc < 3)
	{
		fprintf(stderr, "usage: sink PORT_FILE LOG_FILE [hang]\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	record = fopen(argv[2], "w");
	if (record == NULL)
		fail(argv[2]);
	setvbuf(record, NULL, _IOFBF, 4 << 20);
	listener = listen_somewhere(argv[1]);
	events[0].events = EPOLLIN;
	events[0].data.fd = listener;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
	while (!stopping)
	{
		int			n = epoll_wait(epoll, events, 256, 200);

		if (n == 0)
			fflush(record);
		for (int i = 0; i < n; i++)
		{
			if (events[i].data.fd == listener)
				take_connections(listener, epoll);
			else if (connections[events[i].data.fd])
				serve(connections[events[i].data.fd], hang);
		}
	}
	fclose(record);
	return 0;
}
