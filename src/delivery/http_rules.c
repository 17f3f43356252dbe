/*
 * http_rules.c
 *		What the answers of a kind of provider made of data mean: which success
 *		counts, where the service's own id is, and what each error comes to.
 *
 * Answers are read where nothing may throw, and maybe after the provider was
 * loaded anew, so the rules are one malloc'ed block that counts its users.
 */
#include "postgres.h"

#include <stdlib.h>

#include "fmgr.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"

#define MAX_ERRORS 64
#define MAX_STATUSES 8
#define VALUE 256
#define LONGEST_WAIT_SECONDS 604800

/* One line of an error table; the first that fits decides. */
typedef struct Rule
{
	int			low;			/* statuses */
	int			high;
	uint16		statuses[MAX_STATUSES]; /* or some of them; 0 = none */
	char	   *path;			/* what is looked at: in the body, or @errortype; NULL = nothing */
	char	   *is;				/* its possible values between line breaks; NULL = any */
	char	   *contains;		/* or a part of it, without a path of the body; NULL = any */
	TeOutcome	outcome;
	int64		after_us;		/* wait without a Retry-After */
	bool		target_only;
} Rule;

struct TeHttpRules
{
	int			users;
	char	   *accept_path;	/* must be there in a success; NULL = the status is enough */
	char	   *id_path;
	char	   *reason_path;
	char	   *retry_path;		/* seconds to wait, in the body */
	int			nerrors;
	Rule		errors[MAX_ERRORS];
};

/*
 * One more user of the rules; NULL for NULL. Never throws.
 */
TeHttpRules *
te_rules_keep(TeHttpRules *rules)
{
	if (rules)
		rules->users++;
	return rules;
}

/*
 * One user less; the last one frees them. Never throws.
 */
void
te_rules_release(TeHttpRules *rules)
{
	if (rules && --rules->users == 0)
		free(rules);
}

/* ---- building ---- */

/*
 * One of the statuses of a line.
 */
static int
one_status(JsonbValue *value, const char *what)
{
	int			status = value->type == jbvNumeric
		? DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value->val.numeric))) : 0;

	if (status < 100 || status > 599)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"status\" of %s must be a number from 100 to 599, a list of these, or like \"4xx\"", what)));
	return status;
}

/*
 * Reads the statuses that a line is about: a number, some, "4xx", or any.
 */
static void
read_status(Rule *rule, Jsonb *entry, const char *what)
{
	JsonbValue *value = te_json_find(entry, "status");

	rule->low = 100;
	rule->high = 599;
	if (value == NULL || value->type == jbvNull)
		return;
	if (value->type == jbvBinary)
	{
		Jsonb	   *list = te_json_array(entry, "status", what);

		if (JB_ROOT_COUNT(list) < 1 || JB_ROOT_COUNT(list) > MAX_STATUSES)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"status\" of %s must have 1 to %d numbers", what, MAX_STATUSES)));
		for (int i = 0; i < (int) JB_ROOT_COUNT(list); i++)
			rule->statuses[i] = (uint16) one_status(getIthJsonbValueFromContainer(&list->root, i), what);
	}
	else if (value->type == jbvString && value->val.string.len == 3 &&
			 value->val.string.val[0] >= '1' && value->val.string.val[0] <= '5' &&
			 memcmp(value->val.string.val + 1, "xx", 2) == 0)
	{
		rule->low = (value->val.string.val[0] - '0') * 100;
		rule->high = rule->low + 99;
	}
	else
		rule->low = rule->high = one_status(value, what);
}

/*
 * Appends one of the values of a line.
 */
static void
add_value(StringInfo all, JsonbValue *value, const char *what)
{
	if (all->len > 0)
		appendStringInfoChar(all, '\n');
	if (value->type == jbvString)
		appendBinaryStringInfo(all, value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		appendStringInfoString(all, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
	else
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"is\" of %s must be a string, a number or a list of these", what)));
}

/*
 * The values of a line, one or a list, joined by line breaks; NULL when there
 * are none.
 */
static char *
read_values(Jsonb *entry, const char *what)
{
	JsonbValue *value = te_json_find(entry, "is");
	StringInfoData all;
	Jsonb	   *list;

	if (value == NULL || value->type == jbvNull)
		return NULL;
	initStringInfo(&all);
	if (value->type != jbvBinary)
	{
		add_value(&all, value, what);
		return all.data;
	}
	list = te_json_array(entry, "is", what);
	for (int i = 0; i < (int) JB_ROOT_COUNT(list); i++)
		add_value(&all, getIthJsonbValueFromContainer(&list->root, i), what);
	return all.data;
}

/*
 * The outcome of that name; throws when there is none.
 */
static TeOutcome
outcome_named(const char *name, const char *what)
{
	for (int i = TE_OUTCOME_ACCEPTED; i <= TE_OUTCOME_AMBIGUOUS; i++)
		if (name && strcmp(te_outcome_name((TeOutcome) i), name) == 0)
			return (TeOutcome) i;
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("key \"outcome\" of %s is none of the outcomes", what),
			 errhint("They are accepted, rejected, target_dead, throttled, retry, auth, config and ambiguous.")));
	return TE_OUTCOME_REJECTED; /* keep compiler quiet */
}

/*
 * Reads one line of the error table.
 */
static void
read_rule(Rule *rule, Jsonb *entry, const char *what)
{
	static const char *const keys[] = {"status", "path", "is", "contains", "outcome", "after", "target_only", NULL};
	double		after = te_json_number(entry, "after", 0, what);

	te_json_check_keys(entry, what, keys);
	rule->outcome = outcome_named(te_json_text(entry, "outcome", what), what);
	rule->target_only = te_json_bool(entry, "target_only", false, what);
	if (!(after >= 0 && after <= LONGEST_WAIT_SECONDS))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"after\" of %s must be between 0 and %d seconds", what, LONGEST_WAIT_SECONDS)));
	rule->after_us = (int64) (after * 1000000);
	read_status(rule, entry, what);
	rule->path = te_json_text(entry, "path", what);
	rule->is = read_values(entry, what);
	rule->contains = te_json_text(entry, "contains", what);
	if (rule->is && rule->path == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s has \"is\" without a \"path\"", what)));
}

/*
 * Reads all of a definition in the current context; throws when it is not valid.
 */
static TeHttpRules *
read_rules(Jsonb *definition)
{
	static const char what[] = TE_HTTP_WHAT;
	TeHttpRules *rules = palloc0(sizeof(TeHttpRules));
	Jsonb	   *errors = te_json_array(definition, "errors", what);

	rules->users = 1;
	rules->accept_path = te_json_text(definition, "accept", what);
	rules->id_path = te_json_text(definition, "id", what);
	rules->reason_path = te_json_text(definition, "reason", what);
	rules->retry_path = te_json_text(definition, "retry_after", what);
	if (errors && JB_ROOT_COUNT(errors) > MAX_ERRORS)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("the error table has more than %d lines", MAX_ERRORS)));
	for (int i = 0; errors && i < (int) JB_ROOT_COUNT(errors); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&errors->root, i);
		char	   *line = psprintf("line %d of the error table", i + 1);

		if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s must be an object", line)));
		read_rule(&rules->errors[rules->nerrors++], JsonbValueToJsonb(value), line);
	}
	return rules;
}

/*
 * The texts of rules, in turn; NULL after the last one.
 */
static char **
text_of_rules(TeHttpRules *rules, int i)
{
	char	  **own[] = {&rules->accept_path, &rules->id_path, &rules->reason_path, &rules->retry_path};
	Rule	   *rule;

	if (i < lengthof(own))
		return own[i];
	i -= lengthof(own);
	if (i >= 3 * rules->nerrors)
		return NULL;
	rule = &rules->errors[i / 3];
	return i % 3 == 0 ? &rule->path : i % 3 == 1 ? &rule->is : &rule->contains;
}

/*
 * The rules of a definition, with one user. Throws when they are not valid.
 */
TeHttpRules *
te_rules_build(Jsonb *definition)
{
	TeHttpRules *read = read_rules(definition);
	TeHttpRules *rules;
	size_t		size = sizeof(TeHttpRules);
	char	  **text;
	char	   *at;

	for (int i = 0; (text = text_of_rules(read, i)) != NULL; i++)
		size += *text ? strlen(*text) + 1 : 0;
	rules = malloc(size);
	if (rules == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	*rules = *read;
	at = (char *) (rules + 1);
	for (int i = 0; (text = text_of_rules(rules, i)) != NULL; i++)
		if (*text)
		{
			size_t		len = strlen(*text) + 1;

			memcpy(at, *text, len);
			*text = at;
			at += len;
		}
	return rules;
}

/* ---- judging ---- */

/*
 * Whether a value is one of those in a list.
 */
static bool
is_one_of(const char *value, const char *list)
{
	size_t		len = strlen(value);

	for (;;)
	{
		size_t		n = strcspn(list, "\n");

		if (n == len && memcmp(list, value, n) == 0)
			return true;
		if (list[n] == '\0')
			return false;
		list += n + 1;
	}
}

/*
 * Finds the value at the first of some paths, between bars, that there is.
 */
static bool
find_value(const char *body, const char *paths, char *out, size_t size)
{
	char		path[128];

	for (;;)
	{
		size_t		n = strcspn(paths, "|");

		strlcpy(path, paths, Min(sizeof(path), n + 1));
		if (te_answer_find(body, path, out, size))
			return true;
		if (paths[n] == '\0')
			return false;
		paths += n + 1;
	}
}

/*
 * Whether a status is one that a line is about.
 */
static bool
status_fits(const Rule *rule, int status)
{
	if (rule->statuses[0] == 0)
		return status >= rule->low && status <= rule->high;
	for (int i = 0; i < MAX_STATUSES; i++)
		if (rule->statuses[i] == status)
			return true;
	return false;
}

/*
 * Whether a line of the table fits the answer.
 */
static bool
rule_fits(const Rule *rule, const TeHttpAnswer *answer)
{
	char		value[VALUE] = "";

	if (!status_fits(rule, answer->status))
		return false;
	if (rule->path == NULL)
		return rule->contains == NULL || strstr(answer->body, rule->contains) != NULL;
	if (strcmp(rule->path, "@errortype") == 0)
	{
		/* Amazon adds ":" and an address */
		strlcpy(value, answer->error_type, Min(sizeof(value), strcspn(answer->error_type, ":") + 1));
		if (value[0] == '\0')
			return false;
	}
	else if (!find_value(answer->body, rule->path, value, sizeof(value)))
		return false;
	return (rule->is == NULL || is_one_of(value, rule->is)) &&
		(rule->contains == NULL || strstr(value, rule->contains) != NULL);
}

/*
 * What a status means when no line fits.
 */
static TeOutcome
outcome_of_status(int status)
{
	switch (status)
	{
		case 401:
		case 403:
			return TE_OUTCOME_AUTH;
		case 429:
			return TE_OUTCOME_THROTTLED;
		case 408:
		case 425:
		case 500:
		case 503:
			return TE_OUTCOME_RETRY;
		default:
			return status >= 300 && status < 500 ? TE_OUTCOME_REJECTED : TE_OUTCOME_AMBIGUOUS;
	}
}

/*
 * Reads the service's id of the message; whether what shows that the message was
 * taken is in the answer.
 */
static bool
is_acceptance(const TeHttpRules *rules, const TeHttpAnswer *answer, char *ref, size_t ref_size)
{
	char		value[VALUE];

	if (rules->id_path == NULL || !find_value(answer->body, rules->id_path, ref, ref_size))
		strlcpy(ref, answer->ref, ref_size);
	return rules->accept_path == NULL ||
		(find_value(answer->body, rules->accept_path, value, sizeof(value)) && value[0] != '\0');
}

/*
 * What an answer comes to by the rules. Never throws.
 */
TeOutcome
te_rules_classify(const TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size)
{
	const TeHttpRules *rules = answer->rules;
	char		text[120] = "";
	double		seconds;

	if (rules->reason_path)
		(void) find_value(answer->body, rules->reason_path, text, sizeof(text));
	snprintf(why, why_size, "HTTP status %d%s%s", answer->status, text[0] ? ": " : "", text);
	if (rules->retry_path && result->retry_after_us == 0 &&
		find_value(answer->body, rules->retry_path, text, sizeof(text)) &&
		(seconds = strtod(text, NULL)) > 0)
		result->retry_after_us = (int64) (Min(seconds, LONGEST_WAIT_SECONDS) * 1000000);
	for (int i = 0; i < rules->nerrors; i++)
	{
		const Rule *rule = &rules->errors[i];

		if (!rule_fits(rule, answer))
			continue;
		if (rule->outcome == TE_OUTCOME_ACCEPTED)
		{
			(void) is_acceptance(rules, answer, result->provider_ref, sizeof(result->provider_ref));
			why[0] = '\0';
			return TE_OUTCOME_ACCEPTED;
		}
		if (result->retry_after_us == 0)
			result->retry_after_us = rule->after_us;
		result->target_only = rule->target_only;
		return rule->outcome;
	}
	if (answer->status < 200 || answer->status >= 300)
		return outcome_of_status(answer->status);
	if (is_acceptance(rules, answer, result->provider_ref, sizeof(result->provider_ref)))
	{
		why[0] = '\0';
		return TE_OUTCOME_ACCEPTED;
	}
	result->provider_ref[0] = '\0';
	snprintf(why, why_size, "HTTP status %d, but nothing that says that it was accepted", answer->status);
	return TE_OUTCOME_AMBIGUOUS;
}
