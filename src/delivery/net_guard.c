/*
 * net_guard.c
 *		Which addresses a message may be sent to.
 *
 * The address is judged after the name was resolved and before the connection
 * is made, so that neither another spelling of an address nor a name that
 * changes its answer gets past. Only global unicast addresses are good by
 * themselves; everything else has to lie in a network of
 * trigger_engine.allowed_private_cidrs, and so has whatever is reached without
 * TLS.
 *
 * All addresses are compared as 16 bytes, IPv4 in its mapped form.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>

#include "delivery/delivery_internal.h"
#include "guc.h"

#define MAX_NETWORKS 256

typedef struct Network
{
	unsigned char address[16];
	int			bits;
} Network;

typedef struct Reserved
{
	const char *network;
	int			bits;
	const char *what;
} Reserved;

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* IANA's special-purpose registries, https://www.iana.org/assignments/iana-ipv4-special-registry */
static const Reserved reserved4[] = {
	{"0.0.0.0", 8, "this network"},
	{"10.0.0.0", 8, "private"},
	{"100.64.0.0", 10, "carrier-grade NAT"},
	{"127.0.0.0", 8, "loopback"},
	{"169.254.0.0", 16, "link-local"},
	{"172.16.0.0", 12, "private"},
	{"192.0.0.0", 24, "protocol assignments"},
	{"192.0.2.0", 24, "documentation"},
	{"192.88.99.0", 24, "6to4 relay"},
	{"192.168.0.0", 16, "private"},
	{"198.18.0.0", 15, "benchmarking"},
	{"198.51.100.0", 24, "documentation"},
	{"203.0.113.0", 24, "documentation"},
	{"224.0.0.0", 4, "multicast"},
	{"240.0.0.0", 4, "reserved"}
};

/* ... and iana-ipv6-special-registry; what is outside 2000::/3 is not global */
static const Reserved reserved6[] = {
	{"::", 128, "unspecified"},
	{"::1", 128, "loopback"},
	{"64:ff9b:1::", 48, "local NAT64"},
	{"100::", 64, "discard"},
	{"2001::", 32, "Teredo"},
	{"2001::", 23, "protocol assignments"},
	{"2001:db8::", 32, "documentation"},
	{"3fff::", 20, "documentation"},
	{"fc00::", 7, "unique local"},
	{"fe80::", 10, "link-local"},
	{"fec0::", 10, "site-local"},
	{"ff00::", 8, "multicast"}
};

/* The parsed setting. */
static Network allowed[MAX_NETWORKS];
static int	nallowed = 0;

/*
 * Whether the first bits of two addresses agree.
 */
static bool
same_prefix(const unsigned char *a, const unsigned char *b, int bits)
{
	int			bytes = bits / 8;
	int			rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

/*
 * Whether an IPv6 address stands for an IPv4 one.
 */
static bool
is_mapped(const unsigned char *address)
{
	return memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/*
 * An address as text in 16 bytes; -1 when it is none, else the bits that stand
 * before its own: 96 for IPv4, 0 for IPv6.
 */
static int
parse_address(const char *text, unsigned char *address)
{
	if (inet_pton(AF_INET, text, address + 12) == 1)
	{
		memcpy(address, mapped_prefix, sizeof(mapped_prefix));
		return 96;
	}
	return inet_pton(AF_INET6, text, address) == 1 ? 0 : -1;
}

/*
 * One "address" or "address/bits"; false when it is malformed or has bits set
 * to the right of the prefix, as the type cidr has it.
 */
static bool
parse_network(const char *text, size_t len, Network *network)
{
	char		word[64];
	char	   *slash;
	char	   *end;
	int			offset;
	long		bits;

	if (len == 0 || len >= sizeof(word))
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	slash = strchr(word, '/');
	if (slash)
		*slash = '\0';
	offset = parse_address(word, network->address);
	if (offset < 0)
		return false;
	bits = 128 - offset;
	if (slash)
	{
		if (!isdigit((unsigned char) slash[1]))
			return false;
		bits = strtol(slash + 1, &end, 10);
		if (*end != '\0' || bits > 128 - offset)
			return false;
	}
	network->bits = (int) bits + offset;
	for (int bit = network->bits; bit < 128; bit++)
		if (network->address[bit / 8] & (0x80 >> (bit % 8)))
			return false;
	return true;
}

/*
 * A list of networks, separated by commas. Returns how many, or -1 with the
 * place of the bad one in *bad and *bad_len. Never throws or allocates.
 */
static int
parse_list(const char *text, Network *networks, const char **bad, size_t *bad_len)
{
	int			count = 0;

	while (*text)
	{
		const char *start = text + strspn(text, " \t\r\n");
		size_t		whole = strcspn(start, ",");
		size_t		len = whole;

		while (len > 0 && isspace((unsigned char) start[len - 1]))
			len--;
		*bad = start;
		*bad_len = len;
		if (len == 0 && start[whole] == '\0' && count == 0)
			return 0;
		if (count >= MAX_NETWORKS || !parse_network(start, len, &networks[count]))
			return -1;
		count++;
		text = start + whole;
		if (*text == ',')
		{
			text++;
			/* a comma promises another one */
			if (text[strspn(text, " \t\r\n")] == '\0')
			{
				*bad_len = 0;
				return -1;
			}
		}
	}
	return count;
}

/*
 * Check hook of trigger_engine.allowed_private_cidrs.
 */
bool
te_guard_check_cidrs(char **newval, void **extra, GucSource source)
{
	Network		networks[MAX_NETWORKS];
	const char *bad = NULL;
	size_t		bad_len = 0;

	if (*newval == NULL || parse_list(*newval, networks, &bad, &bad_len) >= 0)
		return true;
	GUC_check_errdetail("\"%.*s\" is not a network such as 10.0.0.0/8 or fd00::/8, or it has bits to the right of its mask, or there are more than %d networks.",
						(int) Min(bad_len, 64), bad, MAX_NETWORKS);
	return false;
}

/*
 * Reads the setting into the rules; returns whether they changed. A value that
 * does not parse, which the check hook keeps out, allows nothing.
 */
bool
te_guard_reload(void)
{
	Network		networks[MAX_NETWORKS];
	const char *bad;
	size_t		bad_len;
	int			count;
	bool		changed;

	memset(networks, 0, sizeof(networks));
	count = te_guc_allowed_private_cidrs == NULL ? 0
		: parse_list(te_guc_allowed_private_cidrs, networks, &bad, &bad_len);
	if (count < 0)
		count = 0;
	changed = count != nallowed ||
		memcmp(networks, allowed, count * sizeof(Network)) != 0;
	memcpy(allowed, networks, count * sizeof(Network));
	nallowed = count;
	return changed;
}

/*
 * The class of a reserved address in one of the tables, or NULL.
 */
static const char *
find_reserved(const unsigned char *address, const Reserved *table, int count, int offset)
{
	for (int i = 0; i < count; i++)
	{
		unsigned char network[16];

		if (parse_address(table[i].network, network) == offset &&
			same_prefix(address, network, table[i].bits + offset))
			return table[i].what;
	}
	return NULL;
}

/*
 * Why an address is not a global unicast one, or NULL when it is. Forms that
 * carry an IPv4 address (6to4, NAT64) are judged by it.
 */
static const char *
special_class(const unsigned char *address)
{
	static const unsigned char sixtofour[2] = {0x20, 0x02};
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	unsigned char inner[16];
	const char *what;

	if (is_mapped(address))
		return find_reserved(address, reserved4, lengthof(reserved4), 96);

	memcpy(inner, mapped_prefix, sizeof(mapped_prefix));
	if (memcmp(address, sixtofour, sizeof(sixtofour)) == 0)
	{
		memcpy(inner + 12, address + 2, 4);
		return find_reserved(inner, reserved4, lengthof(reserved4), 96);
	}
	if (memcmp(address, nat64, sizeof(nat64)) == 0)
	{
		memcpy(inner + 12, address + 12, 4);
		return find_reserved(inner, reserved4, lengthof(reserved4), 96);
	}
	what = find_reserved(address, reserved6, lengthof(reserved6), 0);
	if (what == NULL && (address[0] & 0xe0) != 0x20)
		what = "not global";
	return what;
}

/*
 * Whether a connection to the address is refused, and then why, with the setting
 * that would allow it. Runs inside libcurl's callback: never throws or allocates.
 */
bool
te_guard_refuses(const struct sockaddr *address, bool plain_http, char *why, size_t why_size)
{
	unsigned char bytes[16];
	char		text[INET6_ADDRSTRLEN] = "";
	const char *what;

	if (address->sa_family == AF_INET)
	{
		struct in_addr in = ((const struct sockaddr_in *) address)->sin_addr;

		memcpy(bytes, mapped_prefix, sizeof(mapped_prefix));
		memcpy(bytes + 12, &in, 4);
		inet_ntop(AF_INET, &in, text, sizeof(text));
	}
	else if (address->sa_family == AF_INET6)
	{
		struct in6_addr in6 = ((const struct sockaddr_in6 *) address)->sin6_addr;

		memcpy(bytes, &in6, 16);
		inet_ntop(AF_INET6, &in6, text, sizeof(text));
	}
	else
	{
		snprintf(why, why_size, "address family %d is refused", (int) address->sa_family);
		return true;
	}

	for (int i = 0; i < nallowed; i++)
		if (same_prefix(bytes, allowed[i].address, allowed[i].bits))
			return false;

	what = special_class(bytes);
	if (what)
		snprintf(why, why_size,
				 "address %s is refused (%s): not in trigger_engine.allowed_private_cidrs",
				 text, what);
	else if (plain_http)
		snprintf(why, why_size,
				 "http to %s is refused, use https: not in trigger_engine.allowed_private_cidrs",
				 text);
	else
		return false;
	return true;
}
