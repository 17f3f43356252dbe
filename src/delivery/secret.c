/*
 * secret.c
 *		References to secrets: "file:NAME", "env:NAME", or a trial value inline.
 *
 * No message of this file contains a value, a path or the content of a file.
 * What is read is wiped by its reader.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"
#include "guc.h"

#define FILE_PREFIX "file:"
#define ENV_PREFIX "env:"
#define ENV_NAME_PREFIX "TRIGGER_ENGINE_SECRET_"
#define MAX_SECRET_BYTES (64 * 1024)
#define MAX_FILE_NAME 128

/*
 * Whether a name can only mean a file in the directory itself.
 */
static bool
valid_file_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0 || len > MAX_FILE_NAME || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] == '/' || name[i] == '\\' || (unsigned char) name[i] < ' ')
			return false;
	return true;
}

/*
 * Whether a name is one of the environment variables that may hold secrets.
 */
static bool
valid_env_name(const char *name)
{
	size_t		prefix = strlen(ENV_NAME_PREFIX);

	if (strncmp(name, ENV_NAME_PREFIX, prefix) != 0 || name[prefix] == '\0')
		return false;
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

/*
 * Which form a reference has; TE_SECRET_MALFORMED comes with the reason,
 * palloc'ed. The name in a reference is not secret, an inline value is.
 */
TeSecretForm
te_secret_form(const char *reference, char **why)
{
	if (strncmp(reference, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
	{
		if (valid_file_name(reference + strlen(FILE_PREFIX)))
			return TE_SECRET_FILE;
		*why = pstrdup("the name after \"" FILE_PREFIX "\" must be that of a file in trigger_engine.secret_directory, without a slash and not beginning with a dot");
		return TE_SECRET_MALFORMED;
	}
	if (strncmp(reference, ENV_PREFIX, strlen(ENV_PREFIX)) == 0)
	{
		if (valid_env_name(reference + strlen(ENV_PREFIX)))
			return TE_SECRET_ENV;
		*why = pstrdup("the name after \"" ENV_PREFIX "\" must begin with " ENV_NAME_PREFIX " and have capital letters, digits and underscores only");
		return TE_SECRET_MALFORMED;
	}
	return TE_SECRET_INLINE;
}

/*
 * Opens a file of the secret directory. A link is followed as long as it stays
 * inside the directory, which is how container platforms mount secrets. Returns
 * -1 with the reason, palloc'ed.
 */
static int
open_secret_file(const char *name, char **why)
{
	char		directory[PATH_MAX];
	char		wanted[PATH_MAX + MAX_FILE_NAME + 2];
	char		path[PATH_MAX];
	size_t		len;
	int			fd;

	if (te_guc_secret_directory == NULL || te_guc_secret_directory[0] == '\0')
	{
		*why = pstrdup("trigger_engine.secret_directory is not set");
		return -1;
	}
	if (realpath(te_guc_secret_directory, directory) == NULL)
	{
		*why = psprintf("trigger_engine.secret_directory cannot be opened: %s", strerror(errno));
		return -1;
	}
	len = strlen(directory);
	snprintf(wanted, sizeof(wanted), "%s/%s", directory, name);
	if (realpath(wanted, path) == NULL)
	{
		*why = psprintf("file \"%s\" of trigger_engine.secret_directory cannot be opened: %s",
						name, strerror(errno));
		return -1;
	}
	if (len == 1)
		len = 0;				/* the root directory ends with its own slash */
	if (strncmp(path, directory, len) != 0 || path[len] != '/')
	{
		*why = psprintf("file \"%s\" is a link that leads out of trigger_engine.secret_directory", name);
		return -1;
	}

	/* nonblocking, so that a named pipe cannot hold us up */
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		*why = psprintf("file \"%s\" of trigger_engine.secret_directory cannot be opened: %s",
						name, strerror(errno));
	return fd;
}

/*
 * The content of a file of the secret directory, palloc'ed, or NULL with the
 * reason.
 */
static char *
read_secret_file(const char *name, char **why)
{
	int			fd = open_secret_file(name, why);
	struct stat st;
	char	   *content;
	size_t		used = 0;
	ssize_t		got = 0;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_SECRET_BYTES)
	{
		close(fd);
		*why = psprintf("file \"%s\" is not a regular file of at most %d bytes",
						name, MAX_SECRET_BYTES);
		return NULL;
	}
	content = palloc_extended(MAX_SECRET_BYTES + 1, MCXT_ALLOC_NO_OOM);
	while (content && used < MAX_SECRET_BYTES &&
		   ((got = read(fd, content + used, MAX_SECRET_BYTES - used)) > 0 ||
			(got < 0 && errno == EINTR)))
		used += Max(got, 0);
	close(fd);
	if (content == NULL || got < 0)
	{
		te_crypto_wipe(content, content ? used : 0);
		*why = psprintf("file \"%s\" cannot be read", name);
		return NULL;
	}
	content[used] = '\0';
	if (strlen(content) != used)
	{
		te_crypto_wipe(content, used);
		*why = psprintf("file \"%s\" contains a zero byte", name);
		return NULL;
	}
	return content;
}

/*
 * What a reference stands for, without white space around it, palloc'ed: the
 * caller wipes it. NULL with the reason, palloc'ed, when it cannot be had.
 * Throws only when out of memory.
 */
char *
te_secret_resolve(const char *reference, char **why)
{
	const char *value = NULL;
	char	   *content = NULL;
	char	   *result;
	size_t		len;

	switch (te_secret_form(reference, why))
	{
		case TE_SECRET_FILE:
			value = content = read_secret_file(reference + strlen(FILE_PREFIX), why);
			break;
		case TE_SECRET_ENV:
			value = getenv(reference + strlen(ENV_PREFIX));
			if (value == NULL)
				*why = psprintf("the server has no environment variable \"%s\"",
								reference + strlen(ENV_PREFIX));
			break;
		case TE_SECRET_INLINE:
			value = reference;
			break;
		case TE_SECRET_MALFORMED:
			break;
	}
	if (value == NULL)
		return NULL;

	value += strspn(value, " \t\r\n");
	len = strlen(value);
	while (len > 0 && strchr(" \t\r\n", value[len - 1]))
		len--;
	result = len > 0 ? pnstrdup(value, len) : NULL;
	if (result == NULL)
		*why = pstrdup("it is empty");
	if (content)
	{
		te_crypto_wipe(content, strlen(content));
		pfree(content);
	}
	return result;
}

/*
 * Judges a reference that is about to be stored: a malformed one is an error,
 * one that cannot be read yet or that is a value itself gets a WARNING. what
 * names it, such as "key 1 of the secret".
 */
void
te_secret_check(const char *reference, const char *what)
{
	char	   *why = NULL;
	char	   *value;

	switch (te_secret_form(reference, &why))
	{
		case TE_SECRET_MALFORMED:
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s is not a valid reference: %s", what, why)));
			break;
		case TE_SECRET_INLINE:
			ereport(WARNING,
					(errmsg("%s is stored in the database", what),
					 errdetail("The server's log, statistics and history of statements may have seen it, and it is not in dumps."),
					 errhint("Use it for a trial only; otherwise refer to it by \"" FILE_PREFIX "NAME\" or \"" ENV_PREFIX ENV_NAME_PREFIX "NAME\".")));
			break;
		case TE_SECRET_FILE:
		case TE_SECRET_ENV:
			value = te_secret_resolve(reference, &why);
			if (value)
			{
				te_crypto_wipe(value, strlen(value));
				pfree(value);
			}
			else
				ereport(WARNING,
						(errmsg("%s cannot be read yet: %s", what, why)));
			break;
	}
}

typedef struct Wipe
{
	MemoryContextCallback callback;
	void	   *data;
	size_t		len;
} Wipe;

/*
 * Overwrites the memory that a context is about to release.
 */
static void
wipe_now(void *arg)
{
	Wipe	   *wipe = arg;

	te_crypto_wipe(wipe->data, wipe->len);
}

/*
 * Has memory of a context overwritten when the context goes away. Throws only
 * when out of memory.
 */
void
te_secret_wipe_later(MemoryContext context, void *data, size_t len)
{
	Wipe	   *wipe = MemoryContextAlloc(context, sizeof(Wipe));

	wipe->data = data;
	wipe->len = len;
	wipe->callback.func = wipe_now;
	wipe->callback.arg = wipe;
	MemoryContextRegisterResetCallback(context, &wipe->callback);
}

/*
 * Checks a member of a secret that is a reference; throws when it is missing
 * though needed, or malformed.
 */
void
te_secret_check_member(Jsonb *secret, const char *key, bool needed)
{
	char	   *reference = te_json_text(secret, key, "the secret");

	if (reference)
		te_secret_check(reference, psprintf("key \"%s\" of the secret", key));
	else if (needed)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("the secret needs the key \"%s\"", key),
				 errhint("Write {\"%s\": \"file:NAME\"}, the name of a file in trigger_engine.secret_directory.", key)));
}

/*
 * What a member of a secret stands for, in context, which wipes it. NULL with
 * the reason when it is absent or cannot be had.
 */
char *
te_secret_member(Jsonb *secret, const char *key, MemoryContext context, char **why)
{
	char	   *reference = te_json_text(secret, key, "the secret");
	char	   *value;
	char	   *result;

	if (reference == NULL)
	{
		*why = psprintf("the secret has no key \"%s\"", key);
		return NULL;
	}
	value = te_secret_resolve(reference, why);
	if (value == NULL)
	{
		*why = psprintf("key \"%s\" of the secret: %s", key, *why);
		return NULL;
	}
	result = MemoryContextStrdup(context, value);
	te_secret_wipe_later(context, result, strlen(result));
	te_crypto_wipe(value, strlen(value));
	pfree(value);
	return result;
}
