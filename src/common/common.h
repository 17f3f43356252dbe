/*
 * common.h
 *		What every folder may use: transactions of workers, the owner switch, the
 *		clock, JSON access, digests and debug points.
 */
#pragma once

#include "postgres.h"

#include "executor/spi.h"
#include "port/pg_iovec.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* ---- run_as.c: acting as somebody else ---- */

typedef struct TeIdentity
{
	Oid			user;
	int			sec_context;
	int			guc_nest;		/* of the settings to take back, if not 0 */
	bool		path_pushed;	/* a search path is to be popped */
} TeIdentity;

typedef enum TeRunMode
{
	TE_RUN_RESTRICTED,			/* analysts' SQL */
	TE_RUN_TRUSTED,				/* our own SQL */
	TE_RUN_KEPT_PLANS,			/* our own, and only by plans of te_db_execute(): the cheapest */
	TE_RUN_FUNCTION				/* a function that sets its search_path itself */
} TeRunMode;

extern void te_run_as_begin(TeIdentity *saved, Oid role, TeRunMode mode);
extern int	te_lock_search_path(void);
extern void te_run_as_end(const TeIdentity *saved);
extern Oid	te_extension_oid(bool missing_ok);
extern Oid	te_extension_owner(void);
extern char *te_extension_version(Oid extension);

/* ---- db.c: transactions of a worker, kept plans ---- */

typedef void (*TeWork) (void *arg);

/*
 * Runs work in a transaction of its own with SPI connected and a snapshot
 * active. On error the transaction is rolled back, the error is logged at
 * elevel (0 = silently) and false is returned; *failure, if wanted, gets a copy
 * in the current memory context.
 */
extern bool te_db_transaction(TeWork work, void *arg, int elevel, ErrorData **failure);

/* The same inside a running transaction, as a subtransaction; a cancelled query throws. */
extern bool te_db_subtransaction(TeWork work, void *arg, ErrorData **failure);

/* For what others wrote: within a limit of time, and catching a cancel, too; *over = by the limit. */
extern bool te_db_guarded(TeWork work, void *arg, int limit_ms, bool *over, ErrorData **failure);

/* Frees a plan and a context, which may be in use, when the transaction ends. */
extern void te_db_retire(SPIPlanPtr plan, MemoryContext context);

/* For workers: plans that stay right when the queue grows; analysts' SQL is planned as usual. */
extern void te_db_prefer_indexes(void);
extern void te_db_plan_as_usual(void);	/* within a nest level of settings */

/* Prepares and keeps a plan; a process that executes it locks its search_path, too. */
extern SPIPlanPtr te_db_prepare(const char *sql, int nargs, const Oid *types);

/* A plan prepared once a session and kept; *plan is a static of the caller. */
extern int	te_db_execute(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
						  const Datum *values, const char *nulls, bool read_only, long limit);

/* ---- clock.c ---- */

extern TimestampTz te_clock_now(void);		/* this instant, real or virtual */
extern TimestampTz te_clock_transaction(void);	/* the transaction's start, or virtual */
extern bool te_clock_is_virtual(void);
extern TimestampTz te_clock_add(TimestampTz at, const Interval *by);

/* ---- json.c ---- */

extern JsonbValue *te_json_find(Jsonb *object, const char *key);
extern char *te_json_text(Jsonb *object, const char *key, const char *what);	/* NULL when absent or null */
extern Jsonb *te_json_object(Jsonb *object, const char *key, const char *what);
extern Jsonb *te_json_array(Jsonb *object, const char *key, const char *what);
extern bool te_json_bool(Jsonb *object, const char *key, bool absent, const char *what);
extern double te_json_number(Jsonb *object, const char *key, double absent, const char *what);
extern Interval *te_json_interval(Jsonb *object, const char *key, const char *what);
extern void te_json_check_keys(Jsonb *object, const char *what, const char *const *allowed);
extern Jsonb *te_json_parse(const char *text);
extern char *te_json_to_cstring(Jsonb *value);
extern char *te_json_key_text(Jsonb *value);	/* NULL for null */
extern Datum te_json_input(const char *text, Oid function, const char *key, const char *what,
						   const char *wanted, const char *hint);
extern const char *te_json_nearest(const char *word, const char *const *allowed);

/* ---- crypto.c ---- */

extern void te_crypto_hmac_sha256(const unsigned char *key, size_t key_len,
								  const struct iovec *parts, int nparts, unsigned char out[32]);
extern bool te_crypto_try_hmac_sha256(const unsigned char *key, size_t key_len,
									  const struct iovec *parts, int nparts, unsigned char out[32]);
extern void te_crypto_sha256(const void *data, size_t len, unsigned char out[32]);
/* room for the base64 form of len bytes and its closing zero byte */
#define TE_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
extern size_t te_crypto_base64_into(const unsigned char *data, size_t len, char *out);
extern char *te_crypto_base64(const unsigned char *data, size_t len);
extern unsigned char *te_crypto_unbase64(const char *text, size_t *len);	/* NULL when malformed */
extern bool te_crypto_equal(const void *a, const void *b, size_t len);
extern void te_crypto_wipe(void *data, size_t len);

/* ---- debug_point.c ---- */

#ifdef TE_DEBUG_POINTS
extern void te_debug_point(const char *name);
#define TE_DEBUG_POINT(name) te_debug_point(name)
#else
#define TE_DEBUG_POINT(name) ((void) 0)
#endif

/* ---- rows.c: many rows as parameters of one statement ---- */

#define TE_MAX_COLUMNS 32

/* Values by column, so that each becomes an array parameter. */
typedef struct TeRows
{
	MemoryContext context;		/* where the arrays of values live */
	int			ncolumns;
	const Oid  *types;
	int			count;
	int			size;
	Datum	   *values[TE_MAX_COLUMNS];
	bool	   *nulls[TE_MAX_COLUMNS];
} TeRows;

extern void te_rows_init(TeRows *rows, int ncolumns, const Oid *types);
extern void te_rows_add(TeRows *rows, const Datum *values, const bool *nulls);
extern void te_rows_execute(TeRows *rows, SPIPlanPtr *plan, const char *sql,
							int nextra, const Oid *extra_types, const Datum *extra);
