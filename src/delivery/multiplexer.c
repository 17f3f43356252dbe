/*
 * multiplexer.c
 *		epoll and timerfd behind one descriptor.
 *
 * A WaitEventSet cannot forget a socket, and curl_multi_poll() cannot see a
 * latch; a nested epoll descriptor in a WaitEventSet does both (the approach of
 * PostgreSQL's libpq-oauth). Nothing here throws or allocates.
 */
#include "postgres.h"

#ifndef __linux__
#error "trigger_engine delivers from Linux only: it needs epoll and timerfd"
#endif

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "delivery/multiplexer.h"

/* Descriptors asked about at once. */
#define MAX_EVENTS 64

/*
 * Now, in microseconds of the monotonic clock.
 */
int64
te_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * Opens the two descriptors; false with errno set when the system refuses.
 */
bool
te_multiplexer_open(TeMultiplexer *mux)
{
	struct epoll_event event = {.events = EPOLLIN};

	mux->armed_us = TE_NEVER;
	mux->rang = false;
	mux->timer_fd = -1;
	mux->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (mux->epoll_fd < 0)
		return false;
	mux->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.u64 = (uint32) mux->timer_fd;
	if (mux->timer_fd < 0 ||
		epoll_ctl(mux->epoll_fd, EPOLL_CTL_ADD, mux->timer_fd, &event) < 0)
	{
		int			save_errno = errno;

		te_multiplexer_close(mux);
		errno = save_errno;
		return false;
	}
	return true;
}

/*
 * Closes both descriptors; harmless when they are closed.
 */
void
te_multiplexer_close(TeMultiplexer *mux)
{
	if (mux->timer_fd >= 0)
		close(mux->timer_fd);
	if (mux->epoll_fd >= 0)
		close(mux->epoll_fd);
	mux->timer_fd = -1;
	mux->epoll_fd = -1;
}

/*
 * Watches a socket, or changes what it is watched for. Whether the number is
 * known cannot be told beforehand: closing a socket takes it out of the set, and
 * the number may have come back.
 */
bool
te_multiplexer_watch(TeMultiplexer *mux, int fd, uint32 tag, bool in, bool out)
{
	struct epoll_event event = {0};

	event.events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0);
	event.data.u64 = (uint64) tag << 32 | (uint32) fd;
	if (epoll_ctl(mux->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return true;
	return errno == ENOENT &&
		epoll_ctl(mux->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/*
 * Forgets a socket; harmless when it is closed or unknown.
 */
void
te_multiplexer_unwatch(TeMultiplexer *mux, int fd)
{
	struct epoll_event unused = {0};

	(void) epoll_ctl(mux->epoll_fd, EPOLL_CTL_DEL, fd, &unused);
}

/*
 * Sees to it that the descriptor is readable no later than at_us (an instant in
 * the past: at once). A timer that is armed for an earlier instant is left
 * alone, since a wake-up for nothing is cheaper than a system call for each of
 * libcurl's changes of mind; once it has rung, this call also silences it.
 */
void
te_multiplexer_arm(TeMultiplexer *mux, int64 at_us)
{
	struct itimerspec timer = {{0, 0}, {0, 0}};

	if (!mux->rang && at_us >= mux->armed_us)
		return;
	if (at_us != TE_NEVER)
	{
		/* all zeros would disarm the timer */
		timer.it_value.tv_sec = Max(at_us, 0) / 1000000;
		timer.it_value.tv_nsec = Max(at_us, 0) % 1000000 * 1000;
		if (at_us <= 0)
			timer.it_value.tv_nsec = 1;
	}
	if (timerfd_settime(mux->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) == 0)
	{
		mux->armed_us = at_us;
		mux->rang = false;
	}
}

/*
 * Fills ready with sockets that are ready now and returns their number, without
 * waiting. That the timer rang is noted, not returned: the caller looks at its
 * own deadlines anyway.
 */
int
te_multiplexer_poll(TeMultiplexer *mux, TeReady *ready, int max)
{
	struct epoll_event events[MAX_EVENTS];
	int			nevents;
	int			nready = 0;

	nevents = epoll_wait(mux->epoll_fd, events, Min(max, MAX_EVENTS), 0);
	for (int i = 0; i < nevents; i++)
	{
		uint32		what = events[i].events;
		int			fd = (int) (uint32) events[i].data.u64;

		if (fd == mux->timer_fd)
		{
			mux->rang = true;
			continue;
		}
		ready[nready].fd = fd;
		ready[nready].tag = (uint32) (events[i].data.u64 >> 32);
		ready[nready].readable = (what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
		ready[nready].writable = (what & EPOLLOUT) != 0;
		ready[nready].failed = (what & EPOLLERR) != 0;
		nready++;
	}
	return nready;
}
