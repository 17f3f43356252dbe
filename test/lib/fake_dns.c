/*
 * fake_dns.c
 *		A getaddrinfo() that lies, to be preloaded into a test's server.
 *
 * The file named by TE_FAKE_DNS has lines of a name and what becomes of it: "hang
 * SECONDS", "fail", or addresses separated by commas, of which each look-up takes
 * the next and the last one stays. Names that are not in there go to the real
 * function, those under .test do not exist. The file is read at every look-up, so
 * that a test can change it while the server runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAMES 64

typedef int (*Resolve) (const char *node, const char *service,
						const struct addrinfo *hints, struct addrinfo **result);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char seen_names[MAX_NAMES][256];
static int	seen_counts[MAX_NAMES];

/* How often a name was looked up before; counts this time. */
static int
count_lookup(const char *name)
{
	int			i;
	int			before = 0;

	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_NAMES; i++)
	{
		if (seen_names[i][0] == '\0')
			snprintf(seen_names[i], sizeof(seen_names[i]), "%s", name);
		if (strcmp(seen_names[i], name) == 0)
		{
			before = seen_counts[i]++;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return before;
}

/* Finds a name's action in the file; returns 0 when it has none. */
static int
find_action(const char *name, char *action, size_t size)
{
	const char *path = getenv("TE_FAKE_DNS");
	FILE	   *file = path ? fopen(path, "r") : NULL;
	char		line[1024];
	int			found = 0;

	if (file == NULL)
		return 0;
	while (!found && fgets(line, sizeof(line), file) != NULL)
	{
		size_t		length = strcspn(line, " \t");

		if (length == strlen(name) && strncmp(line, name, length) == 0)
		{
			line[strcspn(line, "\n")] = '\0';
			snprintf(action, size, "%s", line + length + strspn(line + length, " \t"));
			found = 1;
		}
	}
	fclose(file);
	return found;
}

/* Takes the place of libc's function. */
int
getaddrinfo(const char *node, const char *service,
			const struct addrinfo *hints, struct addrinfo **result)
{
	Resolve		resolve = (Resolve) dlsym(RTLD_NEXT, "getaddrinfo");
	char		action[512];
	char	   *address;
	char	   *rest = NULL;
	int			turn;

	if (node == NULL || !find_action(node, action, sizeof(action)))
	{
		if (node != NULL && strlen(node) > 5 && strcmp(node + strlen(node) - 5, ".test") == 0)
			return EAI_NONAME;
		return resolve(node, service, hints, result);
	}
	if (strncmp(action, "hang", 4) == 0)
	{
		sleep(action[4] == ' ' ? (unsigned) atoi(action + 5) : 3600);
		return EAI_AGAIN;
	}
	if (strcmp(action, "fail") == 0)
		return EAI_NONAME;
	turn = count_lookup(node);
	address = strtok_r(action, ",", &rest);
	while (turn-- > 0)
	{
		char	   *next = strtok_r(NULL, ",", &rest);

		if (next == NULL)
			break;
		address = next;
	}
	return resolve(address, service, hints, result);
}
