/*
 * filter_crypto.c
 *		Digests and keyed digests, by OpenSSL's EVP interface.
 *
 * Fetching an algorithm costs more than using it, so each is fetched once a process
 * and kept. One that OpenSSL does not have, as md5 in FIPS mode, fails its filter only.
 */
#include "postgres.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "template/escape.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 32

/* One digest, with what is kept of it. */
typedef struct Digest
{
	const char *name;			/* in messages */
	char		algorithm[8];	/* OpenSSL's name */
	EVP_MD	   *md;
	EVP_MAC_CTX *hmac;
} Digest;

static Digest md5 = {"md5", "MD5"};
static Digest sha1 = {"sha1", "SHA1"};
static Digest sha256 = {"sha256", "SHA256"};
static Digest sha512 = {"sha512", "SHA512"};

/*
 * The state for keyed digests of a kind, made at first use; NULL when OpenSSL cannot.
 * Does not throw.
 */
static EVP_MAC_CTX *
hmac_of(Digest *digest)
{
	OSSL_PARAM	params[2];
	EVP_MAC    *algorithm;

	if (digest->hmac != NULL)
		return digest->hmac;
	algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (algorithm == NULL)
		return NULL;
	digest->hmac = EVP_MAC_CTX_new(algorithm);
	EVP_MAC_free(algorithm);	/* the state holds its own reference */
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest->algorithm, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (digest->hmac != NULL && !EVP_MAC_CTX_set_params(digest->hmac, params))
	{
		EVP_MAC_CTX_free(digest->hmac);
		digest->hmac = NULL;
	}
	return digest->hmac;
}

/*
 * The digest of a value's text in hexadecimal digits.
 */
static TeValue
digest_hex(TeRender *r, TeValue input, Digest *digest)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	TeValue		text = te_value_text(r, input);
	TeBuffer	out;

	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	if (digest->md == NULL)
		digest->md = EVP_MD_fetch(NULL, digest->algorithm, NULL);
	if (digest->md == NULL || !EVP_Digest(text.u.str, text.len, bytes, &len, digest->md, NULL))
		return te_filter_error(r, "%s is not available: OpenSSL was built or configured without it", digest->name);
	te_buffer_init(r, &out, len * 2);
	te_escape_hex(r, &out, bytes, len);
	return te_buffer_value(&out);
}

/*
 * The keyed digest (RFC 2104) of a value's text, in hexadecimal digits or base64.
 */
static TeValue
keyed_digest(TeRender *r, TeValue input, const TeArgs *args, Digest *digest, bool base64)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	size_t		len = 0;
	TeValue		text = te_value_text(r, input);
	TeValue		key = te_value_text(r, args->values[0]);
	EVP_MAC_CTX *hmac = hmac_of(digest);
	TeBuffer	out;

	te_render_charge(r, (text.len + key.len) / BYTES_A_STEP + 1);
	if (key.len == 0)
		return te_filter_error(r, "hmac_%s needs a key that is not empty", digest->name);
	if (hmac == NULL || !EVP_MAC_init(hmac, (const unsigned char *) key.u.str, key.len, NULL) ||
		!EVP_MAC_update(hmac, (const unsigned char *) text.u.str, text.len) ||
		!EVP_MAC_final(hmac, bytes, &len, sizeof(bytes)))
		return te_filter_error(r, "hmac_%s is not available: OpenSSL refused the digest or the length of the key",
							   digest->name);
	te_buffer_init(r, &out, len * 2 + 1);
	if (base64)
		out.len = EVP_EncodeBlock((unsigned char *) out.data, bytes, len);
	else
		te_escape_hex(r, &out, bytes, len);
	return te_buffer_value(&out);
}

/* md5 */
static TeValue
filter_md5(TeRender *r, TeValue input, const TeArgs *args)
{
	return digest_hex(r, input, &md5);
}

/* sha1 */
static TeValue
filter_sha1(TeRender *r, TeValue input, const TeArgs *args)
{
	return digest_hex(r, input, &sha1);
}

/* sha256, sha2 */
static TeValue
filter_sha256(TeRender *r, TeValue input, const TeArgs *args)
{
	return digest_hex(r, input, &sha256);
}

/* sha512 */
static TeValue
filter_sha512(TeRender *r, TeValue input, const TeArgs *args)
{
	return digest_hex(r, input, &sha512);
}

/* hmac_sha1: key */
static TeValue
filter_hmac_sha1(TeRender *r, TeValue input, const TeArgs *args)
{
	return keyed_digest(r, input, args, &sha1, false);
}

/* hmac_sha1_base64: key */
static TeValue
filter_hmac_sha1_base64(TeRender *r, TeValue input, const TeArgs *args)
{
	return keyed_digest(r, input, args, &sha1, true);
}

/* hmac_sha256: key */
static TeValue
filter_hmac_sha256(TeRender *r, TeValue input, const TeArgs *args)
{
	return keyed_digest(r, input, args, &sha256, false);
}

/* hmac_sha256_base64: key */
static TeValue
filter_hmac_sha256_base64(TeRender *r, TeValue input, const TeArgs *args)
{
	return keyed_digest(r, input, args, &sha256, true);
}

/* hmac_sha512: key */
static TeValue
filter_hmac_sha512(TeRender *r, TeValue input, const TeArgs *args)
{
	return keyed_digest(r, input, args, &sha512, false);
}

/* hmac_sha512_base64: key */
static TeValue
filter_hmac_sha512_base64(TeRender *r, TeValue input, const TeArgs *args)
{
	return keyed_digest(r, input, args, &sha512, true);
}

const TeFilter te_filters_crypto[] = {
	{"hmac_sha1", filter_hmac_sha1, 1, 1},
	{"hmac_sha1_base64", filter_hmac_sha1_base64, 1, 1},
	{"hmac_sha1_hex", filter_hmac_sha1, 1, 1},
	{"hmac_sha256", filter_hmac_sha256, 1, 1},
	{"hmac_sha256_base64", filter_hmac_sha256_base64, 1, 1},
	{"hmac_sha256_hex", filter_hmac_sha256, 1, 1},
	{"hmac_sha512", filter_hmac_sha512, 1, 1},
	{"hmac_sha512_base64", filter_hmac_sha512_base64, 1, 1},
	{"hmac_sha512_hex", filter_hmac_sha512, 1, 1},
	{"md5", filter_md5, 0, 0},
	{"sha1", filter_sha1, 0, 0},
	{"sha2", filter_sha256, 0, 0},
	{"sha256", filter_sha256, 0, 0},
	{"sha512", filter_sha512, 0, 0},
	{NULL}
};
