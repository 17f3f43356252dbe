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
	char	   *from;			/* of mail: address and name of the sender */
	char	   *from_name;
	char	   *bounce;			/* where bounces go, with a place for the send's number; or NULL */
	char	   *username;		/* wiped with the context */
	char	   *password;
	bool		no_tls;
	int			connections;	/* to its host at most; 0 = by protocol */
	bool		needs_endpoint; /* the user's own address is where or whom it goes to */
	Jsonb	   *definition;		/* of a kind made of data, or NULL */
	struct TeHttpRules *rules;	/* of such a kind, counted; or NULL */
	void	   *data;			/* the kind's own */
	char	   *secret_error;	/* why it cannot be used (secret or options), or NULL */
	const struct TeProviderKind *ops;
} TeProvider;

/* A message on its way to a request: what a kind gets to compose one, and what it makes. */
typedef struct TeOutgoing
{
	Jsonb	   *content;		/* rendered */
	Jsonb	   *endpoint;		/* data of the user's endpoint, or NULL */
	const char *address;		/* of the endpoint, or NULL */
	int64		send_id;
	const char *message_id;		/* stable over attempts: msg_ and 32 hexadecimal digits */
	const char *user_id;
	const char *journey;
	const char *step;
	const char *now_text;		/* ISO 8601 */
	TimestampTz now;
	int64		ttl;			/* seconds it is still of use; -1 = without end */
	bool		transactional;
	const char *unsubscribe_url;	/* where a mail says how to leave, unless its content does; or NULL */

	/* made in the current memory context */
	char	   *url;			/* NULL: the provider's */
	bool		own_url;		/* it is the endpoint's, and answers speak for nobody else */
	char	   *body;
	size_t		body_len;
	List	   *headers;		/* of char *, "name: value" */
	char	   *why;			/* why it cannot be sent; nothing else counts then */
} TeOutgoing;

/* One hand-over. Strings are copied by te_delivery_submit(). */
typedef struct TeMessage
{
	void	   *item;			/* the caller's, returned with the result */
	int64		send_id;
	const char *message_id;		/* stable over attempts: the idempotency key */
	const char *address;		/* of the user's endpoint, or NULL */
	const char *url;			/* NULL: the provider's */
	bool		own_url;
	List	   *headers;
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
	bool		target_only;	/* "too fast" concerns this address, not the provider */
	TimestampTz dead_since;		/* the address was gone at this instant; 0 = now */
	char		reason[160];
	char		provider_ref[128];	/* the provider's own id of the message, or empty */
	char		response[512];	/* start of the answer, cleaned to valid text */
} TeResult;

/* A kind of provider: one file each; what its functions get is in delivery_internal.h. */
struct TeHttpRequest;
struct TeHttpAnswer;
struct TeTransfer;
struct TeTokenRequest;

typedef struct TeProviderKind
{
	const char *kind;
	const char *channel;
	bool		idempotent;
	bool		secret_optional;
	const char *const *option_keys;
	const char *const *secret_keys;
	size_t		max_body;		/* bytes; a longer body is rejected unsent */

	/* reads what options the kind has of its own, and sets where messages go; throws; may be NULL */
	void		(*read_options) (TeProvider *provider, Jsonb *options, const char *what);
	/* checks a secret as set_secret() gets it; throws; NULL: the definition says it */
	void		(*check_secret) (Jsonb *secret);
	/* decodes it into the provider; returns why not, palloc'ed, or NULL */
	char	   *(*load_secret) (TeProvider *provider, Jsonb *secret, MemoryContext context);
	/* makes URL, headers and body of a message; may throw */
	void		(*compose) (const TeProvider *provider, TeOutgoing *outgoing);
	/* how an access token is got, without the body for what tells whose it is; NULL: it needs none; never throws */
	bool		(*token_request) (const TeProvider *provider, bool with_body, struct TeTokenRequest *request);
	/* adds the headers of the hand-over; false with why when this message cannot be sent; never throws; may be NULL */
	bool		(*build) (const TeProvider *provider, const TeMessage *message,
						  struct TeHttpRequest *request, char *why, size_t why_size);
	/* what an HTTP answer that came whole means; never throws */
	TeOutcome	(*classify) (const struct TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size);

	/* of kinds that do not speak HTTP, instead of build and classify */
	bool		(*check_url) (const char *url, bool *plain, char *why, size_t why_size);
	bool		(*set_up) (struct TeTransfer *transfer, const TeProvider *provider, const TeMessage *message,
						   char *why, size_t why_size);
	void		(*decide) (const struct TeTransfer *transfer, TeResult *result);
} TeProviderKind;

/* provider.c */
extern const TeProviderKind *te_provider_kind(const char *kind);	/* NULL when unknown */
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
