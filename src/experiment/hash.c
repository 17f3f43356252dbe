/*
 * hash.c
 *		Chance that can be recomputed: buckets by FNV-1a and MurmurHash3, and uniform
 *		numbers by SHA-256.
 *
 * Texts are hashed as the octets of their UTF-8 form, whatever the encoding of the
 * database. FNV-1a: RFC 9923. GrowthBook's buckets: version 1 is the remainder by 1000
 * of FNV-1a(value, seed); version 2 is the remainder by 10000 of FNV-1a over the
 * decimal digits of FNV-1a(seed, value). MurmurHash3 x86 32: A. Appleby's public
 * domain algorithm; Unleash takes the remainder by 100 (seed 0) for strategies and by
 * 1000 (seed 86028157) for variants, over "seed:value".
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "experiment/experiment.h"

PG_FUNCTION_INFO_V1(te_bucket);
PG_FUNCTION_INFO_V1(te_murmur3);
PG_FUNCTION_INFO_V1(te_keyed_uniform);

#define FNV_START 0x811c9dc5U
#define FNV_PRIME 0x01000193U
#define UNLEASH_VARIANT_SEED 86028157U

/*
 * Goes on with FNV-1a over some octets.
 */
static uint32
fnv1a(uint32 hash, const char *data, int len)
{
	int			i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char) data[i]) * FNV_PRIME;
	return hash;
}

/*
 * Rotates to the left.
 */
static inline uint32
rotate(uint32 x, int by)
{
	return (x << by) | (x >> (32 - by));
}

/*
 * MurmurHash3 x86 32.
 */
static uint32
murmur3(const char *data, int len, uint32 seed)
{
	uint32		hash = seed;
	uint32		block = 0;
	int			i;

	for (i = 0; i < len; i++)
	{
		block |= (uint32) (unsigned char) data[i] << (i % 4 * 8);
		if (i % 4 == 3)
		{
			hash ^= rotate(block * 0xcc9e2d51U, 15) * 0x1b873593U;
			hash = rotate(hash, 13) * 5 + 0xe6546b64U;
			block = 0;
		}
	}
	if (len % 4 != 0)
		hash ^= rotate(block * 0xcc9e2d51U, 15) * 0x1b873593U;
	hash ^= (uint32) len;
	hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
	hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
	return hash ^ (hash >> 16);
}

/*
 * The UTF-8 form of a text, palloc'ed unless it is that already.
 */
static const char *
as_utf8(const char *text, int *len)
{
	char	   *converted = pg_server_to_any(text, *len, PG_UTF8);

	if (converted != text)
		*len = strlen(converted);
	return converted;
}

/*
 * How many buckets a version of the hash has; 0 for an unknown one.
 */
int
te_experiment_buckets(int version)
{
	switch (version)
	{
		case TE_HASH_FNV_1:
		case TE_HASH_MURMUR_1000:
			return 1000;
		case TE_HASH_FNV_2:
			return 10000;
		case TE_HASH_MURMUR_100:
			return 100;
		default:
			return 0;
	}
}

/*
 * MurmurHash3 of "seed:value".
 */
static uint32
murmur3_pair(const char *seed, int seed_len, const char *value, int value_len, uint32 start)
{
	char	   *joined = palloc(seed_len + value_len + 1);
	uint32		hash;

	memcpy(joined, seed, seed_len);
	joined[seed_len] = ':';
	memcpy(joined + seed_len + 1, value, value_len);
	hash = murmur3(joined, seed_len + value_len + 1, start);
	pfree(joined);
	return hash;
}

/*
 * The bucket of a value under a seed, in [0, 1); NaN for an unknown version. Throws
 * only when a text of another encoding cannot be converted.
 */
double
te_experiment_bucket(const char *seed, int seed_len, const char *value, int value_len, int version)
{
	int			buckets = te_experiment_buckets(version);
	char		digits[16];
	uint32		hash;

	seed = as_utf8(seed, &seed_len);
	value = as_utf8(value, &value_len);
	switch (version)
	{
		case TE_HASH_FNV_1:
			hash = fnv1a(fnv1a(FNV_START, value, value_len), seed, seed_len);
			break;
		case TE_HASH_FNV_2:
			hash = fnv1a(fnv1a(FNV_START, seed, seed_len), value, value_len);
			hash = fnv1a(FNV_START, digits, pg_ultoa_n(hash, digits));
			break;
		case TE_HASH_MURMUR_100:
			hash = murmur3_pair(seed, seed_len, value, value_len, 0);
			break;
		case TE_HASH_MURMUR_1000:
			hash = murmur3_pair(seed, seed_len, value, value_len, UNLEASH_VARIANT_SEED);
			break;
		default:
			return NAN;
	}
	return (double) (hash % buckets) / buckets;
}

/*
 * A number in the open interval (0, 1): the first 52 bits of the SHA-256 digest of
 * seed, a zero octet, key, a zero octet and n as decimal text, plus half a step.
 */
double
te_experiment_uniform(const char *seed, int seed_len, const char *key, int key_len, int32 n)
{
	unsigned char digest[32];
	char		digits[16];
	char	   *joined;
	int			len;
	uint64		bits = 0;
	int			i;

	seed = as_utf8(seed, &seed_len);
	key = as_utf8(key, &key_len);
	pg_ltoa(n, digits);
	joined = palloc(seed_len + key_len + 2 + strlen(digits));
	memcpy(joined, seed, seed_len);
	len = seed_len;
	joined[len++] = '\0';
	memcpy(joined + len, key, key_len);
	len += key_len;
	joined[len++] = '\0';
	memcpy(joined + len, digits, strlen(digits));
	len += strlen(digits);
	te_crypto_sha256(joined, len, digest);
	pfree(joined);
	for (i = 0; i < 8; i++)
		bits = bits << 8 | digest[i];
	return ((double) (bits >> 12) + 0.5) / 4503599627370496.0;	/* 2^52, so that 1 is never reached */
}

/*
 * bucket(seed, value, version); NULL for an unknown version
 */
Datum
te_bucket(PG_FUNCTION_ARGS)
{
	text	   *seed = PG_GETARG_TEXT_PP(0);
	text	   *value = PG_GETARG_TEXT_PP(1);
	double		bucket = te_experiment_bucket(VARDATA_ANY(seed), VARSIZE_ANY_EXHDR(seed),
											  VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
											  PG_GETARG_INT32(2));

	if (isnan(bucket))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(bucket);
}

/*
 * murmur3(value, seed): 0 to 2^32 - 1
 */
Datum
te_murmur3(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	int64		seed = PG_GETARG_INT64(1);
	int			len = VARSIZE_ANY_EXHDR(value);
	const char *octets = as_utf8(VARDATA_ANY(value), &len);

	if (seed < 0 || seed > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("seed must be between 0 and 4294967295")));
	PG_RETURN_INT64((int64) murmur3(octets, len, (uint32) seed));
}

/*
 * keyed_uniform(seed, key, n)
 */
Datum
te_keyed_uniform(PG_FUNCTION_ARGS)
{
	text	   *seed = PG_GETARG_TEXT_PP(0);
	text	   *key = PG_GETARG_TEXT_PP(1);

	PG_RETURN_FLOAT8(te_experiment_uniform(VARDATA_ANY(seed), VARSIZE_ANY_EXHDR(seed),
										   VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key),
										   PG_GETARG_INT32(2)));
}
