/*
 * delivery_internal.h
 *		What the files of this folder share. Nobody else includes it.
 */
#pragma once

#include "postgres.h"

#include <sys/socket.h>

#include <curl/curl.h>

#include "lib/ilist.h"

#include "delivery/delivery.h"

#if LIBCURL_VERSION_NUM < 0x075300
#error "trigger_engine needs libcurl 7.83 or later"
#endif

/* Start of an answer that is kept; longer ones are read on, up to the limit. */
#define TE_HTTP_KEPT_ANSWER 4096
/* Headers and body of an answer together; what is longer is cut off. */
#define TE_HTTP_MAX_ANSWER (64 * 1024)
/* Connections to one host: HTTP/1.1 carries one message on each, HTTP/2 many. */
#define TE_HTTP1_CONNECTIONS 64
#define TE_HTTP2_CONNECTIONS 4

/* ---- net_guard.c: which addresses may be connected to ---- */

extern bool te_guard_reload(void);	/* reads the setting; true when the rules changed */
extern bool te_guard_refuses(const struct sockaddr *address, bool plain_http,
							 char *why, size_t why_size);

/* ---- secret.c: what a reference to a secret stands for ---- */

typedef enum TeSecretForm
{
	TE_SECRET_FILE,
	TE_SECRET_ENV,
	TE_SECRET_INLINE,
	TE_SECRET_MALFORMED
} TeSecretForm;

extern TeSecretForm te_secret_form(const char *reference, char **why);
extern char *te_secret_resolve(const char *reference, char **why);
extern void te_secret_check(const char *reference, const char *what);
extern void te_secret_wipe_later(MemoryContext context, void *data, size_t len);

/* ---- rate_limit.c: token bucket of a provider ---- */

typedef struct TeBucket
{
	double		rate;			/* tokens a second; 0 = no limit */
	double		tokens;
	TimestampTz filled_at;
	TimestampTz held_until;		/* nothing goes before this instant */
} TeBucket;

extern void te_bucket_refill(TeBucket *bucket, double rate, TimestampTz now);
extern int	te_bucket_available(const TeBucket *bucket, TimestampTz now);
extern int64 te_bucket_wait_us(const TeBucket *bucket, TimestampTz now);
extern void te_bucket_take(TeBucket *bucket);
extern void te_bucket_hold(TeBucket *bucket, TimestampTz now, int64 us);

/* ---- http_request.c: one hand-over ---- */

#define TE_MAX_HEADERS 8

typedef struct TeHttpRequest
{
	int			nheaders;
	size_t		text_used;
	struct curl_slist headers[TE_MAX_HEADERS];	/* lent to libcurl, which only reads */
	char		text[1536];		/* of the headers */
} TeHttpRequest;

typedef struct TeHttpAnswer
{
	int			status;
	const char *body;			/* what was kept of it; zero-terminated */
	size_t		body_len;
	int64		retry_after_us;
} TeHttpAnswer;

/* name and value become a header; false when there is no room */
extern bool te_request_header(TeHttpRequest *request, const char *name,
							  const char *value, size_t value_len);

struct TePool;
struct TeMulti;

typedef struct TeTransfer
{
	struct TeTransfer *next;	/* spare, waiting to start, or finished */
	dlist_node	node;			/* under way, in its multi */
	CURL	   *easy;
	struct TePool *pool;
	struct TeMulti *multi;
	const TeProviderKind *ops;
	void	   *item;
	int64		started_us;
	int64		took_us;

	/* set-up that stays from message to message */
	char	   *url;
	char	   *ca_file;
	int			timeout_ms;
	bool		plain_http;

	/* the message */
	bool		own_address;	/* of the endpoint, not of the provider */
	char	   *body;
	size_t		body_size;		/* of the buffer */
	TeHttpRequest request;

	/* what came of it */
	CURLcode	code;
	int			status;
	int			http_version;	/* CURL_HTTP_VERSION_* */
	int			requests;		/* times that libcurl was about to send it */
	bool		repeat_refused; /* ... the last of which was one too many */
	bool		early;			/* ended before libcurl saw it: outcome and note stand */
	bool		refused;		/* an address was refused: note says which */
	bool		connecting;		/* an address was accepted */
	bool		too_long;
	bool		headers_done;
	TeOutcome	outcome;
	size_t		received;
	size_t		answer_len;
	char		retry_after[64];
	char		note[160];
	char		error[CURL_ERROR_SIZE];
	char		answer[TE_HTTP_KEPT_ANSWER + 1];
} TeTransfer;

extern bool te_transfer_may_be_sent(const TeTransfer *transfer);
extern bool te_http_check_url(const char *url, bool *plain_http, char *why, size_t why_size);
extern void te_transfer_init(void);
extern TeTransfer *te_transfer_get(void);
extern void te_transfer_put(TeTransfer *transfer);
extern void te_transfer_trim(int keep);
extern bool te_transfer_prepare(TeTransfer *transfer, const TeProvider *provider,
								const TeMessage *message);
extern void te_transfer_end_early(TeTransfer *transfer, TeOutcome outcome, const char *why);
extern void te_transfer_collect(TeTransfer *transfer, CURLcode code, int64 now_us);
extern void te_transfer_result(TeTransfer *transfer, TeResult *result);

/* ---- http_pool.c: connections of each provider ---- */

#define TE_POOL_CHAINS 64

/* One set of connections of a pool. */
typedef struct TeMulti
{
	CURLM	   *curl;
	struct TePool *pool;
	uint32		slot;			/* in te_pools.multis */
	bool		touched;		/* may have finished transfers */
	int			under_way;
	int64		started;		/* messages, ever */
	int64		answered;
	int64		deadline_us;	/* libcurl's timer */
	int64		used_us;		/* last message in or out */
	int64		answered_us;	/* last answer */
	dlist_head	transfers;
} TeMulti;

/* What belongs to one provider. */
typedef struct TePool
{
	struct TePool *next;		/* in its chain */
	int			provider_id;
	TeBucket	bucket;
	int			in_flight;		/* messages that have not ended */
	bool		answered;		/* something was answered: its protocol is known */
	bool		multiplexed;	/* its last answer came by HTTP/2 */
	bool		many_hosts;		/* has messages to endpoints' own addresses */
	int			limit;			/* most messages under way */
	int64		carries;		/* messages that connections live for; 0 = not known */
	TeMulti    *multi;			/* takes new messages; NULL = none yet */
} TePool;

typedef struct TePools
{
	struct TeMultiplexer *mux;	/* where sockets are watched */
	TePool	   *chains[TE_POOL_CHAINS]; /* by provider_id */
	TeMulti   **multis;			/* some NULL */
	uint32		nmultis;
} TePools;

extern TePools te_pools;

extern TePool *te_pool_find(const TeProvider *provider);
extern int	te_pool_limit(const TePool *pool);
extern void te_pool_set_limits(TeMulti *multi);
extern void te_pool_learn_life(TeMulti *multi);
extern void te_pool_start(TeTransfer *transfer);
extern void te_pool_detach(TeTransfer *transfer);
extern void te_pool_renew(TePool *pool);
extern void te_multi_close(TeMulti *multi);

/* ---- http_loop.c ---- */

extern void te_loop_finish(TeTransfer *transfer);

/* ---- outcome.c: what an end means ---- */

extern void te_outcome_decide(const TeTransfer *transfer, TeResult *result);
extern void te_clean_text(char *target, size_t size, const char *source, size_t len);

/* ---- one file a kind ---- */

extern const TeProviderKind te_webhook_kind;
