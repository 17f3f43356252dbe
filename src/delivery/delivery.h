/*
 * delivery.h
 *		Handing messages to providers. The only folder that knows libcurl.
 *
 * Nothing here throws between te_delivery_submit() and te_delivery_next():
 * callbacks run inside libcurl's frames. Memory that crosses them is malloc'ed.
 */
#pragma once

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* What an attempt came to. Names as recorded: te_outcome_name(). */
typedef enum TeOutcome
{
	TE_OUTCOME_ACCEPTED,
	TE_OUTCOME_REJECTED,		/* this message, for good */
	TE_OUTCOME_TARGET_DEAD,		/* the address is gone: disable it */
	TE_OUTCOME_THROTTLED,		/* too fast: wait, at least retry_after */
	TE_OUTCOME_RETRY,			/* refused for now, surely not processed */
	TE_OUTCOME_AUTH,			/* credentials refused */
	TE_OUTCOME_CONFIG,			/* the provider is set up wrongly; an administrator is needed */
	TE_OUTCOME_AMBIGUOUS,		/* handed over, answer unknown */
	TE_OUTCOME_NOT_SENT			/* never left: name, connect, TLS */
} TeOutcome;

/* A provider as the worker sees it; lives in the context given to te_provider_load(). */
typedef struct TeProvider
{
	int			id;
	int			lane;			/* 1 .. TE_LANES - 1 */
	char	   *name;
	char	   *kind;
	char	   *channel;
	bool		active;
	char	   *state_reason;
	char	   *url;
	char	   *ca_file;
	int			timeout_ms;
	double		rate;			/* messages a second; 0 = no limit */
	int			max_in_flight;
	bool		idempotent;		/* honours our key, so an unknown outcome may be repeated */
	int			nkeys;
	unsigned char **keys;		/* decoded; wiped with the context */
	size_t	   *key_lens;
	char	   *secret_error;	/* why it cannot be used (secret or options), or NULL */
	const struct TeProviderKind *ops;
} TeProvider;

/* One hand-over. Strings are copied by te_delivery_submit(). */
typedef struct TeMessage
{
	void	   *item;			/* the caller's, returned with the result */
	int64		send_id;
	const char *message_id;		/* stable over attempts: the idempotency key */
	const char *address;		/* endpoint's own address, or NULL for the provider's */
	const char *body;
	size_t		body_len;
} TeMessage;

typedef struct TeResult
{
	void	   *item;
	TeOutcome	outcome;
	int			status;			/* HTTP status, 0 when none */
	int64		took_us;		/* hand-over to outcome, real time */
	int64		retry_after_us; /* asked for by the provider, 0 = not */
	char		reason[160];
	char		provider_ref[128];	/* the provider's own id of the message, or empty */
	char		response[512];	/* start of the answer, cleaned to valid text */
} TeResult;

/* A kind of provider: one file each; what its functions get is in delivery_internal.h. */
struct TeHttpRequest;
struct TeHttpAnswer;

typedef struct TeProviderKind
{
	const char *kind;
	const char *channel;
	bool		idempotent;
	const char *const *option_keys;
	const char *const *secret_keys;
	size_t		max_body;		/* bytes; a longer body is rejected unsent */

	/* checks a secret as set_secret() gets it; throws */
	void		(*check_secret) (Jsonb *secret);
	/* decodes it into the provider; returns why not, palloc'ed, or NULL */
	char	   *(*load_secret) (TeProvider *provider, Jsonb *secret, MemoryContext context);
	/* adds the headers; false with why when this message cannot be sent; never throws */
	bool		(*build) (const TeProvider *provider, const TeMessage *message,
						  struct TeHttpRequest *request, char *why, size_t why_size);
	/* what an HTTP answer that came whole means; never throws */
	TeOutcome	(*classify) (const struct TeHttpAnswer *answer, char *why, size_t why_size);
} TeProviderKind;

/* provider.c */
extern const TeProviderKind *te_provider_kind(const char *kind);	/* NULL when unknown */
extern void te_provider_check_options(const char *kind, Jsonb *options);	/* throws */
extern void te_provider_check_secret(const char *kind, Jsonb *secret);	/* throws; WARNING for inline values */
extern List *te_provider_load(MemoryContext context);	/* of TeProvider; in a transaction, may throw */

/* net_guard.c: check hook of trigger_engine.allowed_private_cidrs */
extern bool te_guard_check_cidrs(char **newval, void **extra, GucSource source);

/* http_loop.c: one loop a process */
extern void te_delivery_start(void);	/* once, outside transactions; throws when libcurl cannot start */
extern int	te_delivery_fd(void);	/* readable when te_delivery_drive() has work */
extern void te_delivery_reload(void);	/* settings changed: address rules, connections */
extern int	te_delivery_limit(const TeProvider *provider);	/* what te_delivery_capacity() is at most */
extern int	te_delivery_capacity(const TeProvider *provider, TimestampTz real_now);
extern int64 te_delivery_next_token_us(const TeProvider *provider, TimestampTz real_now);	/* 0 = now */
extern void te_delivery_submit(const TeProvider *provider, const TeMessage *message);	/* never throws */
extern void te_delivery_drive(int budget_us);	/* never throws, never blocks */
extern bool te_delivery_next(TeResult *result); /* takes one finished hand-over */
extern int	te_delivery_in_flight(void);	/* submitted and not yet taken by te_delivery_next() */
extern void te_delivery_stop(void); /* drops what is under way; never waits */

extern const char *te_outcome_name(TeOutcome outcome);
