/*
 * link_token.c
 *		Signed tokens of links: what a reader's click brings back.
 *
 * A token holds all there is to know, so that nothing is stored for a link: its key's
 * number, when it expires, the send, its kind and the target, and the first half of an
 * HMAC-SHA256 over them. Whoever has no key can neither make one nor change where it
 * leads. Written in base64url.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "message/links.h"

#define TOKEN_VERSION 1
#define HEAD_BYTES 16
#define MAC_BYTES 16
#define MAX_TOKEN 8192

static char signed_for[] = "trigger_engine link";

/*
 * Signs a token's bytes. Throws when OpenSSL fails.
 */
static void
sign(const unsigned char *key, size_t key_len, const unsigned char *bytes, size_t len, unsigned char *digest)
{
	struct iovec parts[2];

	parts[0].iov_base = signed_for;
	parts[0].iov_len = sizeof(signed_for);
	parts[1].iov_base = unconstify(unsigned char *, bytes);
	parts[1].iov_len = len;
	te_crypto_hmac_sha256(key, key_len, parts, 2, digest);
}

/*
 * Writes a number, the highest byte first.
 */
static void
put_number(unsigned char *at, uint64 value, int nbytes)
{
	while (nbytes-- > 0)
	{
		at[nbytes] = value & 0xff;
		value >>= 8;
	}
}

/*
 * Reads one.
 */
static uint64
get_number(const unsigned char *at, int nbytes)
{
	uint64		value = 0;

	while (nbytes-- > 0)
		value = value << 8 | *at++;
	return value;
}

/*
 * The token of a link, palloc'ed. expires: Unix seconds.
 */
char *
te_link_token(const TeLinkKey *key, char kind, int64 send_id, int64 expires, const char *url)
{
	size_t		url_len = strlen(url);
	size_t		len = HEAD_BYTES + url_len;
	unsigned char *bytes = palloc(len + 32);
	char	   *token;

	bytes[0] = TOKEN_VERSION;
	put_number(bytes + 1, key->id, 2);
	put_number(bytes + 3, Min(expires, PG_UINT32_MAX), 4);
	put_number(bytes + 7, (uint64) send_id, 8);
	bytes[15] = kind;
	memcpy(bytes + HEAD_BYTES, url, url_len);
	sign(key->bytes, sizeof(key->bytes), bytes, len, bytes + len);
	token = te_crypto_base64(bytes, len + MAC_BYTES);
	pfree(bytes);
	for (char *at = token; *at; at++)
	{
		if (*at == '+')
			*at = '-';
		else if (*at == '/')
			*at = '_';
		else if (*at == '=')
		{
			*at = '\0';
			break;
		}
	}
	return token;
}

/*
 * The bytes of a token, palloc'ed; NULL when it cannot be one of ours.
 */
static unsigned char *
decode_token(const text *token, size_t *len)
{
	size_t		given = VARSIZE_ANY_EXHDR(token);
	const char *from = VARDATA_ANY(token);
	char	   *base64;
	unsigned char *bytes;
	size_t		i;
	bool		usual;

	if (given == 0 || given > MAX_TOKEN)
		return NULL;
	base64 = palloc(given + 4);
	for (i = 0; i < given; i++)
	{
		if (from[i] == '+' || from[i] == '/' || from[i] == '=')
			return NULL;
		base64[i] = from[i] == '-' ? '+' : from[i] == '_' ? '/' : from[i];
	}
	while (i % 4 != 0)
		base64[i++] = '=';
	base64[i] = '\0';
	bytes = te_crypto_unbase64(base64, len);
	/* there is one way of writing it only */
	usual = bytes && strcmp(te_crypto_base64(bytes, *len), base64) == 0;
	pfree(base64);
	if (!usual || (*len < HEAD_BYTES + MAC_BYTES || bytes[0] != TOKEN_VERSION))
		return NULL;
	return bytes;
}

PG_FUNCTION_INFO_V1(te_link_token_key);
PG_FUNCTION_INFO_V1(te_link_token_open);

/*
 * trigger_engine._link_token_key(token text) returns integer: the number of the key
 * that it says it was signed with; NULL when it is no token.
 */
Datum
te_link_token_key(PG_FUNCTION_ARGS)
{
	size_t		len;
	unsigned char *bytes = decode_token(PG_GETARG_TEXT_PP(0), &len);

	if (bytes == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32((int32) get_number(bytes + 1, 2));
}

/*
 * trigger_engine._link_token_open(token text, key bytea) returns a row of kind,
 * send_id, expires_at and url; NULL unless it was signed with the key.
 */
Datum
te_link_token_open(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(1);
	size_t		len;
	unsigned char *bytes = decode_token(PG_GETARG_TEXT_PP(0), &len);
	unsigned char digest[32];
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {0};

	if (bytes == NULL)
		PG_RETURN_NULL();
	len -= MAC_BYTES;
	sign((const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), bytes, len, digest);
	if (!te_crypto_equal(digest, bytes + len, MAC_BYTES))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	values[0] = PointerGetDatum(cstring_to_text_with_len((char *) bytes + 15, 1));
	values[1] = Int64GetDatum((int64) get_number(bytes + 7, 8));
	values[2] = TimestampTzGetDatum(((TimestampTz) get_number(bytes + 3, 4) -
									 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC);
	(void) pg_verify_mbstr(GetDatabaseEncoding(), (char *) bytes + HEAD_BYTES, (int) (len - HEAD_BYTES), false);
	values[3] = PointerGetDatum(cstring_to_text_with_len((char *) bytes + HEAD_BYTES, (int) (len - HEAD_BYTES)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
