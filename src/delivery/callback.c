/*
 * callback.c
 *		What the SQL functions that take callbacks of services need to check who sent
 *		them: HMACs, signatures with a public key, and secrets by reference.
 */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "fmgr.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"

#define MAX_KEY_TEXT 65536

PG_FUNCTION_INFO_V1(te_callback_hmac);
PG_FUNCTION_INFO_V1(te_callback_equal);
PG_FUNCTION_INFO_V1(te_callback_verify);
PG_FUNCTION_INFO_V1(te_callback_check_secret);
PG_FUNCTION_INFO_V1(te_callback_resolve);

/*
 * The digest of that name that services sign with; throws for any other.
 */
static const char *
digest_name(const text *name)
{
	char	   *wanted = text_to_cstring(name);

	if (strcmp(wanted, "sha1") == 0)
		return "SHA1";
	if (strcmp(wanted, "sha256") == 0)
		return "SHA256";
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown digest \"%s\"", wanted),
			 errhint("Digests are sha1 and sha256.")));
	return NULL;				/* keep compiler quiet */
}

/*
 * trigger_engine._hmac(digest text, key bytea, data bytea) returns bytea.
 */
Datum
te_callback_hmac(PG_FUNCTION_ARGS)
{
	const char *digest = digest_name(PG_GETARG_TEXT_PP(0));
	bytea	   *key = PG_GETARG_BYTEA_PP(1);
	bytea	   *data = PG_GETARG_BYTEA_PP(2);
	unsigned char mac[EVP_MAX_MD_SIZE];
	size_t		len = 0;
	bytea	   *result;

	if (VARSIZE_ANY_EXHDR(key) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key of an HMAC must not be empty")));
	if (EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key),
				  (const unsigned char *) VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data), mac, sizeof(mac), &len) == NULL)
	{
		ERR_clear_error();
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute an HMAC")));
	}
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), mac, len);
	PG_RETURN_BYTEA_P(result);
}

/*
 * trigger_engine._equal(a bytea, b bytea) returns boolean, in a time that says nothing
 * about where they differ.
 */
Datum
te_callback_equal(PG_FUNCTION_ARGS)
{
	bytea	   *a = PG_GETARG_BYTEA_PP(0);
	bytea	   *b = PG_GETARG_BYTEA_PP(1);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
				   te_crypto_equal(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)));
}

/*
 * The public key in a text: a certificate or a key in PEM, or a key in base64 alone. The
 * caller frees it. NULL when it is none.
 */
static EVP_PKEY *
read_public_key(const char *given)
{
	EVP_PKEY   *key = NULL;

	if (strncmp(given, "-----BEGIN", 10) == 0)
	{
		BIO		   *bio = BIO_new_mem_buf(given, (int) strlen(given));

		if (bio && strncmp(given, "-----BEGIN CERTIFICATE", 22) == 0)
		{
			X509	   *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

			key = certificate ? X509_get_pubkey(certificate) : NULL;
			X509_free(certificate);
		}
		else if (bio)
			key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	else
	{
		size_t		len;
		unsigned char *der = te_crypto_unbase64(given, &len);
		const unsigned char *at = der;

		if (der)
			key = d2i_PUBKEY(NULL, &at, (long) len);
	}
	ERR_clear_error();
	return key;
}

/*
 * trigger_engine._verify(public_key text, digest text, data bytea, signature bytea)
 * returns boolean: whether the signature (RSA PKCS #1, or ECDSA in DER) is of the key.
 */
Datum
te_callback_verify(PG_FUNCTION_ARGS)
{
	char	   *given = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *digest = digest_name(PG_GETARG_TEXT_PP(1));
	bytea	   *data = PG_GETARG_BYTEA_PP(2);
	bytea	   *signature = PG_GETARG_BYTEA_PP(3);
	EVP_PKEY   *key = strlen(given) <= MAX_KEY_TEXT ? read_public_key(given) : NULL;
	EVP_MD_CTX *context;
	bool		valid = false;

	if (key == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("the public key of the service is none"),
				 errhint("Give it as the service shows it, in base64, or in PEM, or give a certificate in PEM.")));
	context = EVP_MD_CTX_new();
	if (context && EVP_DigestVerifyInit_ex(context, NULL, digest, NULL, NULL, key, NULL) == 1)
		valid = EVP_DigestVerify(context, (const unsigned char *) VARDATA_ANY(signature), VARSIZE_ANY_EXHDR(signature),
								 (const unsigned char *) VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data)) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	ERR_clear_error();
	PG_RETURN_BOOL(valid);
}

/*
 * trigger_engine._check_reference(reference text, what text) returns void: throws for a
 * malformed one, with a WARNING for a value.
 */
Datum
te_callback_check_secret(PG_FUNCTION_ARGS)
{
	te_secret_check(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

/*
 * trigger_engine._resolve_reference(reference text) returns text: what it stands for.
 * Throws when it cannot be read; granted to nobody.
 */
Datum
te_callback_resolve(PG_FUNCTION_ARGS)
{
	char	   *why = NULL;
	char	   *value = te_secret_resolve(text_to_cstring(PG_GETARG_TEXT_PP(0)), &why);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the secret of the callbacks cannot be read: %s", why)));
	PG_RETURN_TEXT_P(cstring_to_text(value));
}
