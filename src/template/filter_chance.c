/*
 * filter_chance.c
 *		Choices that look random and can be repeated.
 *
 * Each draw is the first 8 bytes of SHA-256 over the seed of the render, a newline and
 * the number of the draw, from 0, in decimal digits; so an attempt of a message chooses
 * as the one before it did, and SQL can tell what was chosen.
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "template/liquid.h"

#define BUCKETS 10000

static EVP_MD *sha256 = NULL;

/*
 * 64 bits that depend on every byte of the parts, joined by newlines. Throws when
 * OpenSSL fails.
 */
static uint64
hash_of(const TeValue *parts, int count)
{
	unsigned char digest[32];
	EVP_MD_CTX *state = NULL;
	uint64		result = 0;
	bool		done;
	int			i;

	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256 != NULL)
		state = EVP_MD_CTX_new();
	done = state != NULL && EVP_DigestInit_ex2(state, sha256, NULL);
	for (i = 0; done && i < count; i++)
		done = (i == 0 || EVP_DigestUpdate(state, "\n", 1)) && EVP_DigestUpdate(state, parts[i].u.str, parts[i].len);
	done = done && EVP_DigestFinal_ex(state, digest, NULL);
	EVP_MD_CTX_free(state);
	if (!done)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute SHA-256"),
				 errdetail("OpenSSL refused it or is out of memory.")));
	for (i = 0; i < 8; i++)
		result = result << 8 | digest[i];
	return result;
}

/*
 * The next 64 bits of the render.
 */
static uint64
draw(TeRender *r)
{
	const char *seed = r->input->seed ? r->input->seed : "";
	char		number[24];
	TeValue		parts[2];

	te_render_charge(r, 4);
	parts[0] = TE_VALUE_STRING(seed, strlen(seed));
	parts[1] = TE_VALUE_STRING(number, snprintf(number, sizeof(number), UINT64_FORMAT, r->random_draws++));
	return hash_of(parts, 2);
}

/*
 * Maps 64 bits evenly to the numbers below a bound.
 */
static uint64
below(uint64 bits, uint64 bound)
{
	uint64		high = bits >> 32;
	uint64		low = bits & 0xFFFFFFFF;

	/* the upper half of the product; bounds are below 2^32 */
	return (high * bound + (low * bound >> 32)) >> 32;
}

/*
 * random: of a whole number n one from 0 to n - 1, of a range one of its numbers, of a
 * list one of its items.
 */
static TeValue
filter_random(TeRender *r, TeValue input, const TeArgs *args)
{
	int64		n;

	if (input.kind == TE_RANGE)
	{
		const TeRange *range = input.u.range;

		if (range->to < range->from || (uint64) range->to - (uint64) range->from >= PG_UINT32_MAX)
			return te_filter_error(r, "random needs a range of 1 to 4294967295 numbers");
		return TE_VALUE_INT(range->from + (int64) below(draw(r), (uint64) range->to - (uint64) range->from + 1));
	}
	if (te_value_is_list(input))
	{
		int			count = te_value_count(input);

		return count == 0 ? TE_VALUE_NIL : te_value_at(r, input, below(draw(r), count));
	}
	if (!te_number_integer(r, input, &n) || n < 1 || n > PG_UINT32_MAX)
		return te_filter_error(r, "random needs a whole number from 1 to 4294967295, a range or a list");
	return TE_VALUE_INT(below(draw(r), n));
}

/*
 * random_bucket_number: the text's own number from 0 to 9999, the same in every message;
 * another one for each salt. Of nothing: one drawn for this message.
 */
static TeValue
filter_random_bucket_number(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		parts[2];

	if (input.kind == TE_NIL)
		return TE_VALUE_INT(below(draw(r), BUCKETS));
	te_render_charge(r, 4);
	parts[0] = args->count > 0 ? te_value_text(r, args->values[0]) : TE_VALUE_STRING("", 0);
	parts[1] = te_value_text(r, input);
	return TE_VALUE_INT(below(hash_of(parts, 2), BUCKETS));
}

/*
 * generate_uuid: one in the form of version 4 (RFC 9562), from two draws.
 */
static TeValue
filter_generate_uuid(TeRender *r, TeValue input, const TeArgs *args)
{
	uint64		high = (draw(r) & ~UINT64CONST(0xF000)) | UINT64CONST(0x4000);
	uint64		low = (draw(r) & ~(UINT64CONST(3) << 62)) | UINT64CONST(1) << 63;
	char	   *uuid = te_arena_alloc(r, 40);

	snprintf(uuid, 40, "%08x-%04x-%04x-%04x-%04x%08x", (uint32) (high >> 32), (uint32) (high >> 16 & 0xFFFF),
			 (uint32) (high & 0xFFFF), (uint32) (low >> 48), (uint32) (low >> 32 & 0xFFFF), (uint32) low);
	return TE_VALUE_STRING(uuid, 36);
}

const TeFilter te_filters_chance[] = {
	{"generate_uuid", filter_generate_uuid, 0, 0},
	{"random", filter_random, 0, 0},
	{"random_bucket_number", filter_random_bucket_number, 0, 1},
	{"sample", filter_random, 0, 0},
	{NULL}
};
