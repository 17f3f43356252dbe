/*
 * post.c
 *		The bare libcurl loop that the drain is compared with: POSTs as fast as one
 *		process can, and nothing else.
 *
 *	post URL CA_FILE COUNT IN_FLIGHT CONNECTIONS BODY_BYTES
 *
 * Prints posts a second, CPU microseconds a post, and how many did not get a 2xx.
 * Easy handles are used again; the multi handle is driven by its sockets through
 * epoll, with the options and headers of the extension's own requests but without
 * its work on each message: no body is composed, nothing is signed or recorded.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

static CURLM *multi;
static int	epoll;
static int64_t deadline_ms = -1;
static long started = 0,
			finished = 0,
			failed = 0,
			count;

/* Milliseconds of the monotonic clock. */
static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Drops an answer. */
static size_t
drop(char *data, size_t size, size_t n, void *arg)
{
	(void) data;
	(void) arg;
	return size * n;
}

/* libcurl wants a socket watched or forgotten. */
static int
watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct epoll_event event = {0};

	(void) easy;
	(void) arg;
	(void) socket_arg;
	event.data.fd = fd;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	event.events = ((what & CURL_POLL_IN) ? EPOLLIN : 0) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0);
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

/* libcurl wants to be called later. */
static int
set_timer(CURLM *handle, long timeout_ms, void *arg)
{
	(void) handle;
	(void) arg;
	deadline_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	return 0;
}

/* A handle with everything set that does not change. */
static CURL *
new_handle(const char *url, const char *ca_file, const char *body, long body_bytes, struct curl_slist *headers)
{
	CURL	   *easy = curl_easy_init();

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, body_bytes);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20000L);
	return easy;
}

/* Takes finished posts and starts others in their handles. */
static void
collect(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		long		status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (message->data.result != CURLE_OK || status / 100 != 2)
			failed++;
		finished++;
		curl_multi_remove_handle(multi, easy);
		if (started < count)
		{
			started++;
			curl_multi_add_handle(multi, easy);
		}
	}
}

/* Drives the multi handle until everything is posted. */
static void
run(void)
{
	struct epoll_event events[64];
	int			running;

	while (finished < count)
	{
		int64_t		wait = deadline_ms < 0 ? 1000 : deadline_ms - now_ms();
		int			n = epoll_wait(epoll, events, 64, wait < 0 ? 0 : (int) wait);

		for (int i = 0; i < n; i++)
			curl_multi_socket_action(multi, events[i].data.fd,
									 ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ? CURL_CSELECT_IN : 0) |
									 ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0), &running);
		if (deadline_ms >= 0 && now_ms() >= deadline_ms)
		{
			deadline_ms = -1;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		collect();
	}
}

int
main(int argc, char **argv)
{
	struct curl_slist *headers = NULL;
	struct timespec from,
				to;
	struct rusage usage;
	long		in_flight,
				body_bytes;
	char	   *body;
	double		seconds;

	if (argc != 7)
	{
		fprintf(stderr, "usage: post URL CA_FILE COUNT IN_FLIGHT CONNECTIONS BODY_BYTES\n");
		return 2;
	}
	count = atol(argv[3]);
	in_flight = atol(argv[4]);
	body_bytes = atol(argv[6]);
	body = malloc((size_t) body_bytes + 1);
	if (body == NULL)
		return 1;
	memset(body, 'x', (size_t) body_bytes);
	headers = curl_slist_append(headers, "content-type: application/json");
	headers = curl_slist_append(headers, "webhook-id: msg_0123456789abcdef0123456789abcdef");
	headers = curl_slist_append(headers, "webhook-timestamp: 1700000000");
	headers = curl_slist_append(headers, "webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=");
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, "Accept:");

	curl_global_init(CURL_GLOBAL_DEFAULT);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, atol(argv[5]));
	curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, in_flight / atol(argv[5]) + 1);

	clock_gettime(CLOCK_MONOTONIC, &from);
	while (started < count && started < in_flight)
	{
		started++;
		curl_multi_add_handle(multi, new_handle(argv[1], argv[2], body, body_bytes, headers));
	}
	run();
	clock_gettime(CLOCK_MONOTONIC, &to);
	getrusage(RUSAGE_SELF, &usage);
	seconds = (double) (to.tv_sec - from.tv_sec) + (double) (to.tv_nsec - from.tv_nsec) / 1e9;
	printf("%.0f %.1f %ld\n", (double) count / seconds,
		   ((double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
			(double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)) / (double) count, failed);
	return failed > 0;
}
