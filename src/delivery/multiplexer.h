/*
 * multiplexer.h
 *		One descriptor that is readable when any watched socket is ready or a timer
 *		has run out, so that the worker's single wait covers all of them.
 */
#pragma once

#include "postgres.h"

#define TE_NEVER PG_INT64_MAX

typedef struct TeMultiplexer
{
	int			epoll_fd;		/* -1 = closed */
	int			timer_fd;
	int64		armed_us;		/* when the timer runs out; TE_NEVER = not armed */
	bool		rang;			/* it ran out and has not been armed again */
} TeMultiplexer;

typedef struct TeReady
{
	int			fd;
	uint32		tag;			/* as given to te_multiplexer_watch() */
	bool		readable;
	bool		writable;
	bool		failed;
} TeReady;

extern bool te_multiplexer_open(TeMultiplexer *mux);
extern void te_multiplexer_close(TeMultiplexer *mux);
extern bool te_multiplexer_watch(TeMultiplexer *mux, int fd, uint32 tag, bool in, bool out);
extern void te_multiplexer_unwatch(TeMultiplexer *mux, int fd);
extern void te_multiplexer_arm(TeMultiplexer *mux, int64 at_us);
extern int	te_multiplexer_poll(TeMultiplexer *mux, TeReady *ready, int max);

/* microseconds of the monotonic clock, which all instants here count in */
extern int64 te_monotonic_us(void);
