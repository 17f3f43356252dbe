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
extern void te_secret_check_member(Jsonb *secret, const char *key, bool needed);
extern char *te_secret_member(Jsonb *secret, const char *key, MemoryContext context, char **why);

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

#define TE_MAX_HEADERS 16

typedef struct TeHttpRequest
{
	int			nheaders;
	size_t		text_used;
	struct curl_slist headers[TE_MAX_HEADERS];	/* lent to libcurl, which only reads */
	char		text[3072];		/* of the headers */
} TeHttpRequest;

/* what answers of a kind made of data mean */
typedef struct TeHttpRules TeHttpRules;

typedef struct TeHttpAnswer
{
	int			status;
	const char *body;			/* what was kept of it; zero-terminated */
	size_t		body_len;
	const char *ref;			/* of a header that names the message, or empty */
	const char *error_type;		/* Amazon's header, or empty */
	const TeHttpRules *rules;	/* of a kind made of data, or NULL */
	int64		retry_after_us;
} TeHttpAnswer;

/* A request for an access token: a form that is posted. */
typedef struct TeTokenRequest
{
	const char *url;
	char		body[4096];
	char		fingerprint[32];	/* of the credentials it is for */
} TeTokenRequest;

/* name and value become a header; false when there is no room */
extern bool te_request_header(TeHttpRequest *request, const char *name,
							  const char *value, size_t value_len);
/* the same of "name: value" */
extern bool te_request_line(TeHttpRequest *request, const char *line);

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
	TeHttpRules *rules;			/* of a kind made of data, counted; or NULL */
	void	   *item;
	bool		is_token;		/* no message: gets an access token for its pool */
	int64		started_us;
	int64		took_us;

	/* set-up that stays from message to message */
	char	   *url;
	char	   *ca_file;
	int			timeout_ms;
	bool		plain_http;
	bool		is_mail;		/* set up for SMTP, not for HTTP */

	/* the message */
	bool		own_address;	/* of the endpoint, not of the provider */
	char	   *body;
	size_t		body_size;		/* of the buffer */
	size_t		body_len;
	size_t		body_read;		/* of mail: what libcurl has taken */
	int			local_port;		/* of mail: of the connection that the message goes over */
	TeHttpRequest request;
	char	   *authorization;	/* with an access token */
	struct curl_slist last_header;

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
	char		ref[128];
	char		error_type[128];
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
extern bool te_transfer_prepare_token(TeTransfer *transfer, const TeProvider *provider,
									  const TeTokenRequest *request);
extern bool te_transfer_authorize(TeTransfer *transfer, const char *token);
extern void te_transfer_end_early(TeTransfer *transfer, TeOutcome outcome, const char *why);

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
	int			connections;	/* to one host at most; 0 = by protocol */
	int64		carries;		/* messages that connections live for; 0 = not known */
	char	   *token;			/* to access the service; NULL = none */
	int64		token_until_us; /* when it ends */
	char		token_of[32];	/* fingerprint of its credentials */
	bool		fetching;		/* a request for one is under way */
	struct TeTransfer *waiting; /* for it, the last one first */
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
extern void te_loop_start(TeTransfer *transfer);

/* ---- token.c: access tokens of a pool ---- */

extern bool te_token_ready(TePool *pool, const TeProvider *provider, TeTransfer *transfer);
extern void te_token_finished(TeTransfer *transfer);
extern void te_token_refused(TePool *pool, const TeTransfer *transfer);
extern void te_token_forget(TePool *pool);

/* ---- http_kind.c and http_rules.c: kinds made of data ---- */

#define TE_HTTP_WHAT "the definition of the kind"

extern const char *const *te_http_option_keys(Jsonb *definition);
extern bool te_http_needs_secret(Jsonb *definition);
extern void te_http_check_secret(Jsonb *definition, Jsonb *secret);
extern void te_http_check_definition(Jsonb *definition);
extern TeHttpRules *te_rules_build(Jsonb *definition);
extern TeHttpRules *te_rules_keep(TeHttpRules *rules);
extern void te_rules_release(TeHttpRules *rules);
extern TeOutcome te_rules_classify(const TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size);

/* ---- sign.c ---- */

#define TE_EC_POINT 65
#define TE_WEB_PUSH_AUTH 16

/* A private key of P-256 and its public point. */
typedef struct TeEcKey
{
	unsigned char secret[32];
	unsigned char point[TE_EC_POINT];
} TeEcKey;

extern char *te_base64url(const void *data, size_t len);
extern unsigned char *te_unbase64url(const char *text, size_t *len);
extern bool te_ec_from_secret(const unsigned char *secret, size_t len, TeEcKey *key);
extern bool te_ec_random(TeEcKey *key);
extern bool te_ec_load(const char *text, TeEcKey *key, char **why);
extern bool te_ec_shared(const TeEcKey *key, const unsigned char *point, unsigned char out[32]);
extern bool te_ec_sign(const TeEcKey *key, const void *data, size_t len, unsigned char out[64]);
extern void *te_rsa_load(const char *pem, MemoryContext context, char **why);
extern bool te_jwt_write(char *out, size_t size, const char *header, const char *claims,
						 const TeEcKey *ec_key, void *rsa_key);

/* ---- web_push_encrypt.c ---- */

extern unsigned char *te_web_push_encrypt(const TeEcKey *sender, const unsigned char *receiver,
										  const unsigned char *auth, const unsigned char *salt,
										  const char *text, size_t text_len, size_t *len);

/* ---- answer_json.c ---- */

extern bool te_answer_find(const char *body, const char *path, char *out, size_t size);
extern bool te_answer_is_json(const char *body);

/* ---- outcome.c: what an end means ---- */

extern void te_transfer_collect(TeTransfer *transfer, CURLcode code, int64 now_us);
extern void te_transfer_result(TeTransfer *transfer, TeResult *result);
extern int64 te_outcome_retry_after(const char *value);
extern void te_outcome_decide(const TeTransfer *transfer, TeResult *result);
extern TeOutcome te_outcome_failed(const TeTransfer *transfer);
extern void te_outcome_describe(const TeTransfer *transfer, TeOutcome outcome, char *why, size_t size);
extern void te_clean_text(char *target, size_t size, const char *source, size_t len);

/* ---- one file a kind ---- */

extern const TeProviderKind te_webhook_kind;
extern const TeProviderKind te_fcm_kind;
extern const TeProviderKind te_apns_kind;
extern const TeProviderKind te_web_push_kind;
extern const TeProviderKind te_vapid_kind;
extern const TeProviderKind te_smtp_kind;
extern const TeProviderKind te_http_kind;	/* of the rows of _provider_kinds */

/* ---- smtp.c: what the loop has to tell it ---- */

extern void te_smtp_socket_opened(int fd, TeMulti *multi);
extern void te_smtp_hang_up(const TeMulti *multi);
extern void te_smtp_reply(TeTransfer *transfer, const char *line, size_t len);
