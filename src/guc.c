/*
 * guc.c
 *		Settings: one place, sorted by name.
 *
 * Settings that size shared memory or decide which processes exist can only be
 * set in the configuration file, so they are defined only when the library is
 * preloaded; elsewhere their built-in values stand.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "compat.h"
#include "delivery/delivery.h"
#include "guc.h"
#include "time/time.h"

#define MINUTES_PER_DAY 1440

char	   *te_guc_allowed_private_cidrs = "";
int			te_guc_batch_size = 500;
char	   *te_guc_click_url = "";
char	   *te_guc_databases = "*";
char	   *te_guc_default_zone = "UTC";
int			te_guc_drain_timeout = 2000;
int			te_guc_event_lead = MINUTES_PER_DAY;
int			te_guc_event_retention = 400 * MINUTES_PER_DAY;
int			te_guc_history_retention = 400 * MINUTES_PER_DAY;
bool		te_guc_ingest = true;
char	   *te_guc_installation = "";
int			te_guc_max_databases = 16;
int			te_guc_max_in_flight = 1000;
char	   *te_guc_open_url = "";
int			te_guc_partition_interval = 7 * MINUTES_PER_DAY;
int			te_guc_poll_interval = 1000;
char	   *te_guc_public_url = "";
char	   *te_guc_secret_directory = "";
int			te_guc_segment_timeout = 2000;
int			te_guc_template_cache = 16384;
int			te_guc_template_iterations = 100000;
int			te_guc_template_memory = 16384;
int			te_guc_template_nesting = 100;
int			te_guc_template_nodes = 50000;
int			te_guc_template_output = 1024;
int			te_guc_template_partial_depth = 100;
int			te_guc_template_partial_size = 64;
int			te_guc_template_partials = 1000;
int			te_guc_template_size = 256;
int			te_guc_template_steps = 10000000;
int			te_guc_template_time = 1000;
char	   *te_guc_user_id = "";
bool		te_guc_virtual_clock = false;
int			te_guc_workers = 1;

/*
 * Check hook of the beginnings of links: empty, or a link that can stand in an attribute
 * of HTML as it is.
 */
static bool
check_link_url(char **newval, void **extra, GucSource source)
{
	const char *url = *newval;

	if (url[0] == '\0')
		return true;
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
	{
		GUC_check_errdetail("It must begin with https:// or http://.");
		return false;
	}
	for (; *url; url++)
		if (*url <= ' ' || *url >= 0x7f || strchr("\"'<>\\`", *url))
		{
			GUC_check_errdetail("It must not contain spaces, quotes, angle brackets or anything but ASCII.");
			return false;
		}
	return true;
}

/*
 * The settings up to the templates'.
 */
static void
define_first_settings(void)
{
	DefineCustomStringVariable("trigger_engine.allowed_private_cidrs",
							   "Private networks that providers may be reached in, as CIDR blocks separated by commas.",
							   "Loopback, link-local, private and reserved addresses are refused otherwise. Plain http is accepted for these networks only.",
							   &te_guc_allowed_private_cidrs, "",
							   PGC_SIGHUP, 0, te_guard_check_cidrs, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.batch_size",
							"Most due rows that one claim takes.", NULL,
							&te_guc_batch_size, 500, 1, 10000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.click_url",
							   "What the token of a rewritten link is put behind, such as https://shop.example/c/.",
							   "The page there calls resolve_click() and redirects. Empty: links are not rewritten.",
							   &te_guc_click_url, "",
							   PGC_SIGHUP, 0, check_link_url, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomStringVariable("trigger_engine.databases",
								   "Databases whose queues are drained, separated by commas; * means every database that has the extension.",
								   NULL,
								   &te_guc_databases, "*",
								   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.default_zone",
							   "Time zone of people whose own is not known, by its IANA name.",
							   NULL,
							   &te_guc_default_zone, "UTC",
							   PGC_SIGHUP, 0, te_time_check_zone, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.drain_timeout",
							"How long a worker that is told to stop waits for answers that are under way; 0 means not at all.",
							NULL,
							&te_guc_drain_timeout, 2000, 0, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.event_lead",
							"How far in the future an event may lie.", NULL,
							&te_guc_event_lead, MINUTES_PER_DAY, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.event_retention",
							"How long events are kept; older ones are refused. 0 keeps and accepts all.", NULL,
							&te_guc_event_retention, 400 * MINUTES_PER_DAY, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.history_retention",
							"How long finished sends and attempts are kept. 0 keeps all.", NULL,
							&te_guc_history_retention, 400 * MINUTES_PER_DAY, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("trigger_engine.ingest",
							 "Whether inserted events start journeys in this session.",
							 "Turn it off while loading history.",
							 &te_guc_ingest, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.installation",
							   "Name of this installation; a copy of the data under another name does not send.",
							   "Keep it outside the data directory, so that a file-level copy does not carry it along.",
							   &te_guc_installation, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("trigger_engine.max_databases",
								"Most databases that can have workers at a time.", NULL,
								&te_guc_max_databases, 16, 1, 1024,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.max_in_flight",
							"Most messages that one worker has under way at a time.", NULL,
							&te_guc_max_in_flight, 1000, 1, 100000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.open_url",
							   "What the token of the picture that counts opens is put behind.",
							   "The page there calls resolve_open() and answers with a picture of one pixel. Empty: mails have no such picture.",
							   &te_guc_open_url, "",
							   PGC_SIGHUP, 0, check_link_url, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.partition_interval",
							"Span of one partition of events and of history.", NULL,
							&te_guc_partition_interval, 7 * MINUTES_PER_DAY, 60, 366 * MINUTES_PER_DAY,
							PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.poll_interval",
							"Longest sleep of a worker before it looks at the queue by itself.",
							"A committing session wakes it at once; polling finds what a prepared transaction left.",
							&te_guc_poll_interval, 1000, 10, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.public_url",
							   "Where people reach the application, for links in messages: https://example.com/mail.",
							   "Templates get unsubscribe_url and preferences_url below it; without it they have none.",
							   &te_guc_public_url, "",
							   PGC_SIGHUP, 0, check_link_url, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.secret_directory",
							   "Directory that file: references of secrets are read from.", NULL,
							   &te_guc_secret_directory, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.segment_timeout",
							"Longest time that the SQL of a segment may take in a delivery worker; 0 means without limit.",
							"What takes longer is cancelled, and messages to its members wait.",
							&te_guc_segment_timeout, 2000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

/*
 * Those of the templates and what follows.
 */
static void
define_other_settings(void)
{
	DefineCustomIntVariable("trigger_engine.template_cache",
							"Memory that a session keeps for parsed templates.",
							"Those used least recently go first.",
							&te_guc_template_cache, 16384, 64, 1048576,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_iterations",
							"Most iterations of all loops in one render.",
							"Iterations of empty loops count.",
							&te_guc_template_iterations, 100000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_memory",
							"Most memory that one render takes.",
							NULL,
							&te_guc_template_memory, 16384, 256, 524288,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_nesting",
							"Deepest nesting of blocks, expressions and brackets in a template.",
							NULL,
							&te_guc_template_nesting, 100, 1, 500,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_nodes",
							"Most outputs, tags and pieces of text in one template.",
							NULL,
							&te_guc_template_nodes, 50000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_output",
							"Longest result of one render.",
							NULL,
							&te_guc_template_output, 1024, 1, 262144,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_partial_depth",
							"Deepest nesting of partials and translations.",
							NULL,
							&te_guc_template_partial_depth, 100, 1, 500,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_partial_size",
							"Longest text of a partial.",
							NULL,
							&te_guc_template_partial_size, 64, 1, 262144,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_partials",
							"Most partials that one render includes or renders.",
							"One that is used again counts again.",
							&te_guc_template_partials, 1000, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_size",
							"Longest text of a template.",
							NULL,
							&te_guc_template_size, 256, 1, 262144,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_steps",
							"Most nodes that one render visits, and pieces of work of its filters.",
							NULL,
							&te_guc_template_steps, 10000000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("trigger_engine.template_time",
							"Longest time that one render takes.",
							NULL,
							&te_guc_template_time, 1000, 1, 600000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("trigger_engine.user_id",
							   "User whose inbox rows a role without ownership may see.",
							   "Set it with SET LOCAL in the transaction that serves the user.",
							   &te_guc_user_id, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
	{
		DefineCustomBoolVariable("trigger_engine.virtual_clock",
								 "Allows set_clock() and advance_clock(), for tests and rehearsals.", NULL,
								 &te_guc_virtual_clock, false,
								 PGC_POSTMASTER, 0, NULL, NULL, NULL);
		DefineCustomIntVariable("trigger_engine.workers",
								"Delivery workers of each database; users are divided among them.", NULL,
								&te_guc_workers, 1, 1, 8,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	}
}

/*
 * Defines all settings. Called once, from _PG_init; a bad value in the
 * configuration file ends in a WARNING and the default, as for any extension.
 */
void
te_guc_define(void)
{
	define_first_settings();
	define_other_settings();
	MarkGUCPrefixReserved("trigger_engine");
}
