/*
 * crypto.c
 *		Digests, base64 and wiped memory, by OpenSSL's EVP interface only.
 *
 * Fetching an algorithm costs more than using it, so both are fetched once a
 * process and kept.
 */
#include "postgres.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "port/pg_iovec.h"
#include "utils/memutils.h"

#include "common/common.h"

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "trigger_engine needs OpenSSL 3.0 or later"
#endif

static EVP_MD *sha256 = NULL;
static EVP_MAC_CTX *hmac = NULL;

/*
 * Fetches SHA-256. Never throws; false when the library does not have it.
 */
static bool
have_sha256(void)
{
	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	return sha256 != NULL;
}

/*
 * Makes the kept HMAC state, bound to SHA-256. Never throws; false when OpenSSL
 * cannot.
 */
static bool
have_hmac(void)
{
	static char digest[] = "SHA256";
	OSSL_PARAM	params[2];
	EVP_MAC    *algorithm;
	EVP_MAC_CTX *state;

	if (hmac != NULL)
		return true;
	algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (algorithm == NULL)
		return false;
	state = EVP_MAC_CTX_new(algorithm);
	EVP_MAC_free(algorithm);	/* the state holds its own reference */
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (state == NULL || !EVP_MAC_CTX_set_params(state, params))
	{
		EVP_MAC_CTX_free(state);
		return false;
	}
	hmac = state;
	return true;
}

/*
 * HMAC-SHA256 (RFC 2104, FIPS 180-4) over the parts in their order. Never
 * throws: false when OpenSSL fails, and out is then undefined.
 */
bool
te_crypto_try_hmac_sha256(const unsigned char *key, size_t key_len,
						  const struct iovec *parts, int nparts, unsigned char out[32])
{
	static const unsigned char no_key[1] = {0};
	size_t		len = 0;

	if (!have_hmac())
		return false;

	/* keys are padded with zeros, so an empty one equals one zero byte */
	if (key_len == 0)
	{
		key = no_key;
		key_len = 1;
	}
	if (!EVP_MAC_init(hmac, key, key_len, NULL))
		return false;
	for (int i = 0; i < nparts; i++)
		if (parts[i].iov_len > 0 &&
			!EVP_MAC_update(hmac, parts[i].iov_base, parts[i].iov_len))
			return false;
	return EVP_MAC_final(hmac, out, &len, 32) && len == 32;
}

/*
 * The same; throws when OpenSSL fails, which means it is out of memory or was
 * configured without HMAC.
 */
void
te_crypto_hmac_sha256(const unsigned char *key, size_t key_len,
					  const struct iovec *parts, int nparts, unsigned char out[32])
{
	if (!te_crypto_try_hmac_sha256(key, key_len, parts, nparts, out))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute HMAC-SHA256"),
				 errdetail("OpenSSL refused it or is out of memory.")));
}

/*
 * SHA-256 of some bytes; throws when OpenSSL fails.
 */
void
te_crypto_sha256(const void *data, size_t len, unsigned char out[32])
{
	if (!have_sha256() || !EVP_Digest(data, len, out, NULL, sha256, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute SHA-256"),
				 errdetail("OpenSSL refused it or is out of memory.")));
}

/*
 * Standard base64 (RFC 4648 section 4) with padding into out, which has room
 * for TE_BASE64_SIZE(len). Returns the length without the closing zero byte.
 * Never throws.
 */
size_t
te_crypto_base64_into(const unsigned char *data, size_t len, char *out)
{
	return (size_t) EVP_EncodeBlock((unsigned char *) out, data, (int) len);
}

/*
 * The same in palloc'ed memory; throws when out of memory or above 512 MB.
 */
char *
te_crypto_base64(const unsigned char *data, size_t len)
{
	char	   *result;

	if (len > MaxAllocSize / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too long for base64")));
	result = palloc(TE_BASE64_SIZE(len));
	te_crypto_base64_into(data, len, result);
	return result;
}

/*
 * Decodes standard base64; the padding may be missing, nothing else may be odd.
 * Returns palloc'ed bytes, with their number in *len, or NULL when the text is
 * malformed. Throws only when out of memory. The text may be a secret, so the
 * copy made here is wiped.
 */
unsigned char *
te_crypto_unbase64(const char *text, size_t *len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t		given = strlen(text);
	size_t		digits = given;
	size_t		padded;
	char	   *copy;
	unsigned char *result;
	int			decoded;

	if (given > MaxAllocSize / 2)
		return NULL;
	while (digits > 0 && given - digits < 2 && text[digits - 1] == '=')
		digits--;
	if (digits % 4 == 1 || (given != digits && given % 4 != 0))
		return NULL;
	if (strspn(text, alphabet) != digits)
		return NULL;

	padded = (digits + 3) / 4 * 4;
	copy = palloc(padded + 1);
	memcpy(copy, text, digits);
	memset(copy + digits, '=', padded - digits);
	copy[padded] = '\0';
	result = palloc(padded / 4 * 3 + 1);
	decoded = EVP_DecodeBlock(result, (unsigned char *) copy, (int) padded);
	te_crypto_wipe(copy, padded);
	pfree(copy);
	if (decoded < 0)
	{
		pfree(result);
		return NULL;
	}
	*len = (size_t) decoded - (padded - digits);
	return result;
}

/*
 * Overwrites a secret in a way the compiler keeps. Never throws.
 */
void
te_crypto_wipe(void *data, size_t len)
{
	if (data != NULL)
		OPENSSL_cleanse(data, len);
}

/*
 * Whether two values of the same length are equal, in a time that does not depend on
 * where they differ. Never throws.
 */
bool
te_crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
