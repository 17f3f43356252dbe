/*
 * sign.c
 *		Keys and signatures that services ask for: JWTs by ES256 and RS256, and
 *		the curve P-256.
 *
 * ES256 signatures are deterministic (RFC 6979): the same claims give the same
 * token in every worker and after every restart, so that no token has to be
 * stored or shared for Apple to see one only.
 *
 * Functions that say so throw; the others return false when OpenSSL fails.
 */
#include "postgres.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"

#define SCALAR 32

/* A key file must not be locked, and nobody is asked. */
static char no_password[] = "";

/* Encoded without padding, with "-" and "_" (RFC 4648 section 5). */
static size_t
base64url_into(const void *data, size_t len, char *out)
{
	size_t		used = te_crypto_base64_into(data, len, out);

	while (used > 0 && out[used - 1] == '=')
		used--;
	for (size_t i = 0; i < used; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	out[used] = '\0';
	return used;
}

/*
 * The same in palloc'ed memory; throws when out of memory.
 */
char *
te_base64url(const void *data, size_t len)
{
	char	   *out = palloc(TE_BASE64_SIZE(len));

	base64url_into(data, len, out);
	return out;
}

/*
 * Decodes either alphabet, padded or not; palloc'ed bytes, NULL when malformed.
 * Throws only when out of memory.
 */
unsigned char *
te_unbase64url(const char *text, size_t *len)
{
	char	   *copy = pstrdup(text);
	unsigned char *result;

	for (char *c = copy; *c; c++)
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	result = te_crypto_unbase64(copy, len);
	te_crypto_wipe(copy, strlen(copy));
	pfree(copy);
	return result;
}

/* ---- P-256 ---- */

/* The curve, and room for calculations; set up once a process. */
static EC_GROUP *group = NULL;
static const BIGNUM *order = NULL;

/*
 * Sets the curve up; false when OpenSSL fails.
 */
static bool
have_curve(void)
{
	if (group == NULL)
		group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	if (group)
		order = EC_GROUP_get0_order(group);
	return group != NULL && order != NULL;
}

/*
 * The public point of key->secret; false when the secret is no scalar of the
 * curve.
 */
static bool
derive_point(TeEcKey *key)
{
	BN_CTX	   *context;
	BIGNUM	   *d;
	EC_POINT   *point;
	bool		ok;

	if (!have_curve())
		return false;
	context = BN_CTX_secure_new();
	d = BN_bin2bn(key->secret, SCALAR, NULL);
	point = EC_POINT_new(group);
	ok = context && d && point && !BN_is_zero(d) && BN_cmp(d, order) < 0 &&
		EC_POINT_mul(group, point, d, NULL, NULL, context) &&
		EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
						   key->point, TE_EC_POINT, context) == TE_EC_POINT;
	EC_POINT_free(point);
	BN_clear_free(d);
	BN_CTX_free(context);
	return ok;
}

/*
 * A key from its secret number alone; false when it is none of the curve.
 */
bool
te_ec_from_secret(const unsigned char *secret, size_t len, TeEcKey *key)
{
	if (len != SCALAR)
		return false;
	memcpy(key->secret, secret, SCALAR);
	return derive_point(key);
}

/*
 * A key made by chance.
 */
bool
te_ec_random(TeEcKey *key)
{
	for (int i = 0; i < 8; i++)
		if (pg_strong_random(key->secret, SCALAR) && derive_point(key))
			return true;
	return false;
}

/*
 * Reads a private key of P-256: PEM (PKCS #8 as Apple's .p8, or SEC 1), or the
 * base64url form of its 32 bytes, as web push tools print it. False with the
 * reason, which never contains the value. Throws only when out of memory.
 */
bool
te_ec_load(const char *text, TeEcKey *key, char **why)
{
	bool		ok = false;

	if (strstr(text, "-----BEGIN"))
	{
		BIO		   *bio = BIO_new_mem_buf(text, -1);
		EVP_PKEY   *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password) : NULL;
		BIGNUM	   *d = NULL;
		char		curve[64] = "";

		ok = pkey && EVP_PKEY_is_a(pkey, "EC") &&
			EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL) &&
			(strcmp(curve, "prime256v1") == 0 || strcmp(curve, "P-256") == 0) &&
			EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) &&
			BN_bn2binpad(d, key->secret, SCALAR) == SCALAR && derive_point(key);
		BN_clear_free(d);
		EVP_PKEY_free(pkey);
		BIO_free(bio);
	}
	else
	{
		size_t		len = 0;
		unsigned char *secret = te_unbase64url(text, &len);

		ok = secret && te_ec_from_secret(secret, len, key);
		if (secret)
		{
			te_crypto_wipe(secret, len);
			pfree(secret);
		}
	}
	if (!ok)
		*why = pstrdup("it must be a private key of the curve P-256, in PEM or as base64url of 32 bytes");
	return ok;
}

/*
 * The shared secret of ECDH with the holder of an uncompressed point.
 */
bool
te_ec_shared(const TeEcKey *key, const unsigned char *point, unsigned char out[32])
{
	BN_CTX	   *context;
	BIGNUM	   *d;
	BIGNUM	   *x;
	EC_POINT   *other;
	EC_POINT   *product;
	bool		ok;

	if (!have_curve())
		return false;
	context = BN_CTX_secure_new();
	d = BN_bin2bn(key->secret, SCALAR, NULL);
	x = BN_new();
	other = EC_POINT_new(group);
	product = EC_POINT_new(group);
	ok = context && d && x && other && product &&
		EC_POINT_oct2point(group, other, point, TE_EC_POINT, context) &&
		EC_POINT_mul(group, product, NULL, other, d, context) &&
		EC_POINT_get_affine_coordinates(group, product, x, NULL, context) &&
		BN_bn2binpad(x, out, SCALAR) == SCALAR;
	EC_POINT_clear_free(product);
	EC_POINT_free(other);
	BN_clear_free(x);
	BN_clear_free(d);
	BN_CTX_free(context);
	return ok;
}

/* The generator of RFC 6979 section 3.2. */
typedef struct Nonce
{
	unsigned char k[32];
	unsigned char v[32];
} Nonce;

/*
 * K = HMAC(K, V || mark || more), V = HMAC(K, V).
 */
static bool
nonce_update(Nonce *nonce, unsigned char mark, const unsigned char *key, const unsigned char *digest)
{
	struct iovec parts[4] = {
		{nonce->v, 32}, {&mark, 1},
		{unconstify(unsigned char *, key), key ? SCALAR : 0},
		{unconstify(unsigned char *, digest), digest ? SCALAR : 0}
	};
	struct iovec v = {nonce->v, 32};
	unsigned char k[32];

	if (!te_crypto_try_hmac_sha256(nonce->k, 32, parts, 4, k))
		return false;
	memcpy(nonce->k, k, 32);
	return te_crypto_try_hmac_sha256(nonce->k, 32, &v, 1, nonce->v);
}

/*
 * One attempt at a signature with nonce k: r and s. False when it fails, or k
 * is unfit.
 */
static bool
sign_with(const BIGNUM *k, const BIGNUM *d, const BIGNUM *e, unsigned char out[64], BN_CTX *context)
{
	EC_POINT   *point = EC_POINT_new(group);
	BIGNUM	   *r = BN_new();
	BIGNUM	   *s = BN_new();
	BIGNUM	   *inverse = BN_new();
	bool		ok;

	ok = point && r && s && inverse &&
		EC_POINT_mul(group, point, k, NULL, NULL, context) &&
		EC_POINT_get_affine_coordinates(group, point, r, NULL, context) &&
		BN_nnmod(r, r, order, context) && !BN_is_zero(r) &&
		BN_mod_mul(s, r, d, order, context) &&
		BN_mod_add(s, s, e, order, context) &&
		BN_mod_inverse(inverse, k, order, context) != NULL &&
		BN_mod_mul(s, s, inverse, order, context) && !BN_is_zero(s) &&
		BN_bn2binpad(r, out, SCALAR) == SCALAR &&
		BN_bn2binpad(s, out + SCALAR, SCALAR) == SCALAR;
	BN_clear_free(inverse);
	BN_free(s);
	BN_free(r);
	EC_POINT_clear_free(point);
	return ok;
}

/*
 * Signs with ES256 (RFC 7518 section 3.4): r and s, 32 bytes each.
 */
bool
te_ec_sign(const TeEcKey *key, const void *data, size_t len, unsigned char out[64])
{
	Nonce		nonce;
	unsigned char digest[32];
	unsigned char reduced[32];
	BN_CTX	   *context;
	BIGNUM	   *d;
	BIGNUM	   *e;
	BIGNUM	   *k;
	struct iovec v = {nonce.v, 32};
	bool		ok;

	if (!have_curve() || !EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL))
		return false;
	context = BN_CTX_secure_new();
	d = BN_bin2bn(key->secret, SCALAR, NULL);
	e = BN_bin2bn(digest, 32, NULL);
	k = BN_secure_new();
	memset(nonce.k, 0, 32);
	memset(nonce.v, 1, 32);
	ok = context && d && e && k && BN_nnmod(e, e, order, context) &&
		BN_bn2binpad(e, reduced, SCALAR) == SCALAR &&
		nonce_update(&nonce, 0, key->secret, reduced) &&
		nonce_update(&nonce, 1, key->secret, reduced);
	if (ok)
	{
		BN_set_flags(d, BN_FLG_CONSTTIME);
		BN_set_flags(k, BN_FLG_CONSTTIME);
		ok = false;
		for (int i = 0; i < 64 && !ok; i++)
		{
			if (!te_crypto_try_hmac_sha256(nonce.k, 32, &v, 1, nonce.v) || !BN_bin2bn(nonce.v, 32, k))
				break;
			ok = !BN_is_zero(k) && BN_cmp(k, order) < 0 && sign_with(k, d, e, out, context);
			if (!ok && !nonce_update(&nonce, 0, NULL, NULL))
				break;
		}
	}
	te_crypto_wipe(&nonce, sizeof(nonce));
	BN_clear_free(k);
	BN_free(e);
	BN_clear_free(d);
	BN_CTX_free(context);
	return ok;
}

/* ---- RSA ---- */

typedef struct FreeKey
{
	MemoryContextCallback callback;
	EVP_PKEY   *key;
} FreeKey;

/*
 * Frees the key of a context that goes away.
 */
static void
free_key(void *arg)
{
	EVP_PKEY_free(((FreeKey *) arg)->key);
}

/*
 * Reads an RSA private key in PEM; it lives as long as the context. NULL with
 * the reason. Throws only when out of memory.
 */
void *
te_rsa_load(const char *pem, MemoryContext context, char **why)
{
	FreeKey    *free_later = MemoryContextAlloc(context, sizeof(FreeKey));
	BIO		   *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY   *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password) : NULL;

	BIO_free(bio);
	if (key && !EVP_PKEY_is_a(key, "RSA"))
	{
		EVP_PKEY_free(key);
		key = NULL;
	}
	if (key == NULL)
	{
		*why = pstrdup("it must be an RSA private key in PEM");
		return NULL;
	}
	free_later->key = key;
	free_later->callback.func = free_key;
	free_later->callback.arg = free_later;
	MemoryContextRegisterResetCallback(context, &free_later->callback);
	return key;
}

/*
 * Signs with RS256 (RFC 7518 section 3.3); *len is the room, then what is used.
 */
static bool
rsa_sign(void *key, const void *data, size_t data_len, unsigned char *out, size_t *len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		ok;

	ok = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(context, out, len, data, data_len) == 1;
	EVP_MD_CTX_free(context);
	return ok;
}

/* ---- JSON Web Tokens (RFC 7519, RFC 7515) ---- */

/*
 * Writes a token signed by the one or the other key. False when it does not
 * fit, or OpenSSL fails. Never throws.
 */
bool
te_jwt_write(char *out, size_t size, const char *header, const char *claims,
			 const TeEcKey *ec_key, void *rsa_key)
{
	unsigned char signature[1024];
	size_t		len = sizeof(signature);
	size_t		used;

	if (TE_BASE64_SIZE(strlen(header)) + TE_BASE64_SIZE(strlen(claims)) + 2 > size)
		return false;
	used = base64url_into(header, strlen(header), out);
	out[used++] = '.';
	used += base64url_into(claims, strlen(claims), out + used);
	if (ec_key)
	{
		len = 64;
		if (!te_ec_sign(ec_key, out, used, signature))
			return false;
	}
	else if (!rsa_sign(rsa_key, out, used, signature, &len))
		return false;
	if (used + 1 + TE_BASE64_SIZE(len) > size)
		return false;
	out[used++] = '.';
	base64url_into(signature, len, out + used);
	return true;
}
