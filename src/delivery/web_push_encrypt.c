/*
 * web_push_encrypt.c
 *		Message encryption for web push: RFC 8291 over RFC 8188, aes128gcm.
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"

#define SALT 16
#define TAG 16
#define RECORD_SIZE 4096

/*
 * HMAC-SHA256(key, info || more || 01), which is HKDF's expansion to 32 bytes.
 */
static bool
expand(const unsigned char key[32], const void *info, size_t info_len,
	   const unsigned char *more1, const unsigned char *more2, unsigned char out[32])
{
	static const unsigned char one = 1;
	struct iovec parts[4] = {
		{unconstify(void *, info), info_len},
		{unconstify(unsigned char *, more1), more1 ? TE_EC_POINT : 0},
		{unconstify(unsigned char *, more2), more2 ? TE_EC_POINT : 0},
		{unconstify(unsigned char *, &one), 1}
	};

	return te_crypto_try_hmac_sha256(key, 32, parts, 4, out);
}

/*
 * Content encryption key and nonce of RFC 8291 section 3.4.
 */
static bool
derive(const TeEcKey *sender, const unsigned char *receiver, const unsigned char *auth,
	   const unsigned char *salt, unsigned char key[32], unsigned char nonce[32])
{
	static const char key_info[] = "WebPush: info";
	static const char cek_info[] = "Content-Encoding: aes128gcm";
	static const char nonce_info[] = "Content-Encoding: nonce";
	unsigned char shared[32];
	unsigned char prk[32];
	unsigned char ikm[32];
	struct iovec part = {shared, 32};
	bool		ok;

	ok = te_ec_shared(sender, receiver, shared) &&
		te_crypto_try_hmac_sha256(auth, TE_WEB_PUSH_AUTH, &part, 1, prk) &&
		expand(prk, key_info, sizeof(key_info), receiver, sender->point, ikm);
	part.iov_base = ikm;
	ok = ok && te_crypto_try_hmac_sha256(salt, SALT, &part, 1, prk) &&
		expand(prk, cek_info, sizeof(cek_info), NULL, NULL, key) &&
		expand(prk, nonce_info, sizeof(nonce_info), NULL, NULL, nonce);
	te_crypto_wipe(shared, sizeof(shared));
	te_crypto_wipe(prk, sizeof(prk));
	te_crypto_wipe(ikm, sizeof(ikm));
	return ok;
}

/*
 * Encrypts a message of at most 3993 bytes in one record; palloc'ed, with its
 * length in *len, or NULL when the receiver's point is not on the curve or
 * OpenSSL fails. sender and salt are fresh for every message.
 */
unsigned char *
te_web_push_encrypt(const TeEcKey *sender, const unsigned char *receiver, const unsigned char *auth,
					const unsigned char *salt, const char *text, size_t text_len, size_t *len)
{
	unsigned char key[32];
	unsigned char nonce[32];
	unsigned char *out = palloc(SALT + 4 + 1 + TE_EC_POINT + text_len + 1 + TAG);
	unsigned char *at = out;
	EVP_CIPHER_CTX *cipher;
	static const unsigned char delimiter = 2;
	int			n;
	bool		ok;

	memcpy(at, salt, SALT);
	at += SALT;
	*at++ = 0;
	*at++ = 0;
	*at++ = RECORD_SIZE >> 8;
	*at++ = RECORD_SIZE & 0xff;
	*at++ = TE_EC_POINT;
	memcpy(at, sender->point, TE_EC_POINT);
	at += TE_EC_POINT;

	cipher = EVP_CIPHER_CTX_new();
	ok = cipher && derive(sender, receiver, auth, salt, key, nonce) &&
		EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, nonce);
	if (ok && EVP_EncryptUpdate(cipher, at, &n, (const unsigned char *) text, (int) text_len))
	{
		at += n;
		ok = EVP_EncryptUpdate(cipher, at, &n, &delimiter, 1) != 0;
		at += n;
		ok = ok && EVP_EncryptFinal_ex(cipher, at, &n) &&
			EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG, at);
		at += TAG;
	}
	else
		ok = false;
	EVP_CIPHER_CTX_free(cipher);
	te_crypto_wipe(key, sizeof(key));
	te_crypto_wipe(nonce, sizeof(nonce));
	*len = at - out;
	if (ok)
		return out;
	pfree(out);
	return NULL;
}
