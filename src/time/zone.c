/*
 * zone.c
 *		Time zones by their names. Needs nothing of a running server.
 */
#include "postgres.h"

#include "time/time.h"

/*
 * A time zone by its IANA name; NULL when there is none of that name. What looks like
 * a rule in POSIX form is not tried, as the server would keep every one it is asked for.
 */
pg_tz *
te_time_find_zone(const char *name, int len)
{
	static const char *const with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "GMT0", "GMT+0", "GMT-0"};
	char		zone[TZ_STRLEN_MAX + 1];
	bool		digits = false;
	int			i;

	if (len <= 0 || len > 40)
		return NULL;
	for (i = 0; i < len; i++)
	{
		char		c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			  c == '_' || c == '/' || c == '+' || c == '-'))
			return NULL;
		digits |= c >= '0' && c <= '9';
		zone[i] = c;
	}
	zone[len] = '\0';
	if (digits && strncmp(zone, "Etc/GMT", 7) != 0)
	{
		for (i = 0; i < lengthof(with_digits); i++)
			if (strcmp(zone, with_digits[i]) == 0)
				break;
		if (i == lengthof(with_digits))
			return NULL;
	}
	return pg_tzset(zone);
}

/*
 * The same for a text with a zero byte at its end, or NULL.
 */
pg_tz *
te_time_zone(const char *name)
{
	return name ? te_time_find_zone(name, strlen(name)) : NULL;
}
