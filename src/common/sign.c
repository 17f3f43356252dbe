/*
 * sign.c
 *		Signatures of tokens, for SQL.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "fmgr.h"

#include "common/common.h"

PG_FUNCTION_INFO_V1(te_sign);
PG_FUNCTION_INFO_V1(te_same_bytes);

/*
 * _sign(secret, message): HMAC-SHA256 of the message.
 */
Datum
te_sign(PG_FUNCTION_ARGS)
{
	bytea	   *secret = PG_GETARG_BYTEA_PP(0);
	bytea	   *message = PG_GETARG_BYTEA_PP(1);
	struct iovec part = {VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message)};
	bytea	   *result = palloc(VARHDRSZ + 32);

	SET_VARSIZE(result, VARHDRSZ + 32);
	te_crypto_hmac_sha256((const unsigned char *) VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret),
						  &part, 1, (unsigned char *) VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}

/*
 * _same_bytes(a, b): whether they are equal, in a time that does not tell where they
 * differ.
 */
Datum
te_same_bytes(PG_FUNCTION_ARGS)
{
	bytea	   *a = PG_GETARG_BYTEA_PP(0);
	bytea	   *b = PG_GETARG_BYTEA_PP(1);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
				   CRYPTO_memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0);
}
