/*
 * http_auth.c
 *		How a request of a kind made of data tells whose it is.
 */
#include "postgres.h"

#include <time.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "delivery/http_kind.h"

/*
 * Hexadecimal digits of 32 bytes.
 */
static char *
hex32(const unsigned char *bytes)
{
	char	   *out = palloc(65);

	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return out;
}

/*
 * HMAC-SHA256 of some bytes.
 */
static void
hmac(const void *key, size_t key_len, const char *text, size_t len, unsigned char out[32])
{
	struct iovec part = {unconstify(char *, text), len};

	te_crypto_hmac_sha256(key, key_len, &part, 1, out);
}

/*
 * Signs for Amazon (Signature Version 4): the headers content-type, host and
 * x-amz-date of a POST without a query.
 */
static void
sign_amazon(TeHttpRendering *rendering, Jsonb *auth, TeOutgoing *outgoing, const char *content_type)
{
	const char *host = strstr(outgoing->url, "://") + 3;
	size_t		host_len = strcspn(host, "/");
	const char *path = host[host_len] ? host + host_len : "/";
	char	   *region = te_http_render_member(rendering, auth, "region", TE_ESCAPE_NONE);
	char	   *service = te_http_render_member(rendering, auth, "service", TE_ESCAPE_NONE);
	char	   *id = te_http_render_member(rendering, auth, "user", TE_ESCAPE_NONE);
	char	   *key = psprintf("AWS4%s", te_http_render_member(rendering, auth, "key", TE_ESCAPE_NONE));
	char	   *session = te_http_render_member(rendering, auth, "token", TE_ESCAPE_NONE);
	time_t		now = time(NULL);
	struct tm	parts;
	char		stamp[24];
	char	   *scope;
	char	   *canonical;
	char	   *to_sign;
	const char *signed_headers = session[0] ? "content-type;host;x-amz-date;x-amz-security-token" : "content-type;host;x-amz-date";
	unsigned char digest[32];
	unsigned char derived[32];

	if (strchr(host, '?'))
	{
		outgoing->why = pstrdup("a URL with a query cannot be signed");
		return;
	}
	gmtime_r(&now, &parts);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &parts);
	scope = psprintf("%.8s/%s/%s/aws4_request", stamp, region, service);
	te_crypto_sha256(outgoing->body, outgoing->body_len, digest);
	canonical = psprintf("POST\n%s\n\ncontent-type:%s\nhost:%.*s\nx-amz-date:%s\n%s%s%s\n%s\n%s",
						 path, content_type, (int) host_len, host, stamp,
						 session[0] ? "x-amz-security-token:" : "", session, session[0] ? "\n" : "",
						 signed_headers, hex32(digest));
	te_crypto_sha256(canonical, strlen(canonical), digest);
	to_sign = psprintf("AWS4-HMAC-SHA256\n%s\n%s\n%s", stamp, scope, hex32(digest));
	hmac(key, strlen(key), stamp, 8, derived);
	hmac(derived, 32, region, strlen(region), derived);
	hmac(derived, 32, service, strlen(service), derived);
	hmac(derived, 32, "aws4_request", 12, derived);
	hmac(derived, 32, to_sign, strlen(to_sign), digest);
	te_crypto_wipe(key, strlen(key));
	te_crypto_wipe(derived, sizeof(derived));
	outgoing->headers = lappend(outgoing->headers, psprintf("x-amz-date: %s", stamp));
	if (session[0])
		outgoing->headers = lappend(outgoing->headers, psprintf("x-amz-security-token: %s", session));
	outgoing->headers = lappend(outgoing->headers,
								psprintf("authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
										 id, scope, signed_headers, hex32(digest)));
}

/*
 * Adds the headers that the service knows the sender by. The type was checked
 * with the definition.
 */
void
te_http_authenticate(TeHttpRendering *rendering, Jsonb *definition, TeOutgoing *outgoing, const char *content_type)
{
	Jsonb	   *auth = te_json_object(definition, "auth", TE_HTTP_WHAT);
	char	   *type = auth ? te_json_text(auth, "type", TE_HTTP_WHAT) : NULL;

	if (type == NULL)
		return;
	if (strcmp(type, "bearer") == 0)
		outgoing->headers = lappend(outgoing->headers,
									psprintf("authorization: Bearer %s", te_http_render_member(rendering, auth, "token", TE_ESCAPE_NONE)));
	else if (strcmp(type, "basic") == 0)
	{
		char	   *both = psprintf("%s:%s", te_http_render_member(rendering, auth, "user", TE_ESCAPE_NONE),
									te_http_render_member(rendering, auth, "password", TE_ESCAPE_NONE));

		outgoing->headers = lappend(outgoing->headers,
									psprintf("authorization: Basic %s", te_crypto_base64((unsigned char *) both, strlen(both))));
		te_crypto_wipe(both, strlen(both));
	}
	else if (strcmp(type, "header") == 0)
		outgoing->headers = lappend(outgoing->headers,
									psprintf("%s: %s", te_json_text(auth, "name", TE_HTTP_WHAT),
											 te_http_render_member(rendering, auth, "value", TE_ESCAPE_NONE)));
	else if (strcmp(type, "hmac") == 0)
	{
		char	   *key = te_http_render_member(rendering, auth, "key", TE_ESCAPE_NONE);
		unsigned char digest[32];

		hmac(key, strlen(key), outgoing->body, outgoing->body_len, digest);
		te_crypto_wipe(key, strlen(key));
		outgoing->headers = lappend(outgoing->headers,
									psprintf("%s: %s%s", te_json_text(auth, "name", TE_HTTP_WHAT),
											 te_http_render_member(rendering, auth, "prefix", TE_ESCAPE_NONE), hex32(digest)));
	}
	else if (strcmp(type, "sigv4") == 0)
		sign_amazon(rendering, auth, outgoing, content_type);
}
