/*
 * assignment.c
 *		Which variant a person has at an instant, and who is held out.
 *
 * The hash says it. What is stored (forced, imported, kept by sticky experiments) is
 * read when it is asked for, and only for experiments that have any.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "experiment/experiment_internal.h"

PG_FUNCTION_INFO_V1(te_assignment);
PG_FUNCTION_INFO_V1(te_assign);
PG_FUNCTION_INFO_V1(te_explain_assignment);
PG_FUNCTION_INFO_V1(te_held_out);

/*
 * Sets the result to one of the epoch's variants by name. False when the epoch does not
 * have it.
 */
static bool
set_variant(TeAssignment *result, const TeEpoch *epoch, const char *name, TeAssignmentSource source)
{
	int			i;

	for (i = 0; i < epoch->count; i++)
		if (strcmp(epoch->names[i], name) == 0)
		{
			result->source = source;
			result->index = i;
			result->variant = epoch->names[i];
			result->value = epoch->values[i];
			result->propensity = source == TE_ASSIGNED_FORCED || source == TE_ASSIGNED_WINNER ? 1.0
				: epoch->shares[i];
			return true;
		}
	return false;
}

/*
 * What is stored about the person up to the instant: what was forced last, else the
 * last that was imported or kept under the same salt. True when it decides.
 */
static bool
stored_assignment(const TeExperiment *experiment, const TeEpoch *epoch, const char *user_id,
				  TimestampTz at, TeAssignment *result)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, INT8OID, TIMESTAMPTZOID};
	Datum		values[3];
	TeIdentity	saved;
	bool		forced_seen = false;
	bool		decided = false;
	uint64		i;

	values[0] = CStringGetTextDatum(user_id);
	values[1] = Int64GetDatum(experiment->id);
	values[2] = TimestampTzGetDatum(at);
	te_experiment_begin_reading(&saved);
	te_db_execute(&plan, "SELECT source, variant, salt_epoch FROM trigger_engine._assignments"
				  " WHERE user_id = $1 AND experiment_id = $2 AND at <= $3 ORDER BY at DESC",
				  3, types, values, NULL, true, 0);
	for (i = 0; i < SPI_processed && !decided; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *source = SPI_getvalue(row, desc, 1);
		char	   *variant = SPI_getvalue(row, desc, 2);
		bool		isnull;

		if (strcmp(source, "forced") == 0)
		{
			/* a later one, or its release, takes the place of an earlier one */
			if (!forced_seen && variant)
				decided = set_variant(result, epoch, variant, TE_ASSIGNED_FORCED);
			forced_seen = true;
		}
		else if (DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull)) == epoch->salt_epoch && epoch->running &&
				 result->source == TE_ASSIGNED_NOT)
			(void) set_variant(result, epoch, variant,
							   strcmp(source, "imported") == 0 ? TE_ASSIGNED_IMPORTED : TE_ASSIGNED_KEPT);
	}
	te_experiment_end_reading(&saved);
	return result->source != TE_ASSIGNED_NOT;
}

/*
 * What the hash says: the namespace first, then the ranges.
 */
static void
hashed_assignment(const TeEpoch *epoch, const char *user_id, TeAssignment *result)
{
	int			len = strlen(user_id);
	double		in_namespace;
	int			i;

	result->bucket = te_experiment_bucket(epoch->salt, strlen(epoch->salt), user_id, len, epoch->hash_version);
	if (epoch->namespace_seed)
	{
		in_namespace = te_experiment_bucket(epoch->namespace_seed, strlen(epoch->namespace_seed), user_id, len,
											epoch->namespace_version);
		if (!(in_namespace >= epoch->namespace_range.start && in_namespace < epoch->namespace_range.end))
		{
			result->reason = "namespace";
			return;
		}
	}
	i = te_experiment_choose(result->bucket, epoch->ranges, epoch->count);
	if (i < 0)
		result->reason = "coverage";
	else
		(void) set_variant(result, epoch, epoch->names[i], TE_ASSIGNED_HASH);
}

/*
 * The epoch that held at an instant, or NULL.
 */
static const TeEpoch *
epoch_at(const TeExperiment *experiment, TimestampTz at)
{
	int			i;

	for (i = 0; i < experiment->nepochs; i++)
		if (experiment->epochs[i].from_at <= at)
			return &experiment->epochs[i];
	return NULL;
}

/*
 * Computes the assignment of a person.
 */
static const TeEpoch *
assign(const TeExperiment *experiment, const char *user_id, TimestampTz at, TeAssignment *result)
{
	const TeEpoch *epoch = epoch_at(experiment, at);

	memset(result, 0, sizeof(TeAssignment));
	result->index = -1;
	result->bucket = -1;
	result->experiment_id = experiment->id;
	result->reason = "not_started";
	if (epoch == NULL)
		return NULL;
	result->epoch = epoch->epoch;
	if (strcmp(epoch->state, "stopped") == 0 || strcmp(epoch->state, "dropped") == 0)
	{
		result->reason = epoch->state;
		if (epoch->winner)
			(void) set_variant(result, epoch, epoch->winner, TE_ASSIGNED_WINNER);
	}
	else if (user_id[0] != '\0' &&
			 !(experiment->has_assignments && stored_assignment(experiment, epoch, user_id, at, result)) &&
			 epoch->running)
		hashed_assignment(epoch, user_id, result);
	if (result->source != TE_ASSIGNED_NOT)
		result->reason = NULL;
	return epoch;
}

/*
 * Remembers the answer of a sticky experiment. Two sessions may do so at once; both
 * have the same answer, as long as the definition does not change between them.
 */
static void
keep_assignment(const TeExperiment *experiment, const TeEpoch *epoch, const char *user_id,
				TimestampTz at, const TeAssignment *assignment)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, TEXTOID};
	Datum		values[5];
	TeIdentity	saved;

	values[0] = CStringGetTextDatum(user_id);
	values[1] = Int64GetDatum(experiment->id);
	values[2] = TimestampTzGetDatum(at);
	values[3] = Int32GetDatum(epoch->salt_epoch);
	values[4] = CStringGetTextDatum(assignment->variant);
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_KEPT_PLANS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_db_execute(&plan, "INSERT INTO trigger_engine._assignments (user_id, experiment_id, at, salt_epoch, source, variant)"
				  " VALUES ($1, $2, $3, $4, 'kept', $5) ON CONFLICT DO NOTHING",
				  5, types, values, NULL, false, 0);
	SPI_finish();
	te_run_as_end(&saved);
}

/*
 * See experiment.h.
 */
void
te_experiment_assign(const char *name, const char *user_id, TimestampTz at, bool keep,
					 TeAssignment *result)
{
	const TeExperiment *experiment = te_experiment_find(name);
	const TeEpoch *epoch = assign(experiment, user_id, at, result);

	if (keep && experiment->sticky && result->source == TE_ASSIGNED_HASH)
		keep_assignment(experiment, epoch, user_id, at, result);
}

/*
 * See experiment.h.
 */
const char *
te_experiment_holdout(const char *user_id, const char *journey, const char *topic, TimestampTz at)
{
	int			count;
	uint64		round;
	const TeHoldout *holdouts = te_experiment_holdouts(&count, &round);
	int			i;

	for (i = 0; i < count; i++)
	{
		TeAssignment assignment;
		uint64		seen = round;

		if ((holdouts[i].journey && (!journey || strcmp(holdouts[i].journey, journey) != 0)) ||
			(holdouts[i].topic && (!topic || strcmp(holdouts[i].topic, topic) != 0)))
			continue;
		(void) assign(te_experiment_find(pstrdup(holdouts[i].name)), user_id, at, &assignment);
		holdouts = te_experiment_holdouts(&count, &round);
		if (round != seen)		/* a definition changed meanwhile: begin anew */
			i = -1;
		else if (assignment.index == 0) /* the first variant is "held" */
			return holdouts[i].name;
	}
	return NULL;
}

/*
 * An instant argument; now when null.
 */
static TimestampTz
instant(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? te_clock_transaction() : PG_GETARG_TIMESTAMPTZ(argument);
}

/*
 * assignment(experiment, user_id, at)
 */
Datum
te_assignment(PG_FUNCTION_ARGS)
{
	TeAssignment result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	te_experiment_assign(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 instant(fcinfo, 2), false, &result);
	if (result.variant == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result.variant));
}

/*
 * assign(experiment, user_id)
 */
Datum
te_assign(PG_FUNCTION_ARGS)
{
	TeAssignment result;

	te_experiment_assign(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 te_clock_transaction(), true, &result);
	if (result.variant == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result.variant));
}

/*
 * explain_assignment(experiment, user_id, at)
 */
Datum
te_explain_assignment(PG_FUNCTION_ARGS)
{
	static const char *const sources[] = {NULL, "hash", "kept", "imported", "forced", "winner"};
	TeAssignment result;
	Datum		values[7];
	bool		nulls[7] = {false};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	te_experiment_assign(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 instant(fcinfo, 2), false, &result);
	nulls[0] = nulls[1] = nulls[2] = nulls[5] = result.variant == NULL;
	if (result.variant)
	{
		values[0] = CStringGetTextDatum(result.variant);
		values[1] = result.value ? JsonbPGetDatum(result.value) : (Datum) 0;
		nulls[1] = result.value == NULL;
		values[2] = CStringGetTextDatum(sources[result.source]);
		values[5] = Float8GetDatum(result.propensity);
	}
	nulls[3] = result.epoch == 0;
	values[3] = Int32GetDatum(result.epoch);
	nulls[4] = result.bucket < 0;
	values[4] = Float8GetDatum(result.bucket);
	nulls[6] = result.reason == NULL;
	values[6] = result.reason ? CStringGetTextDatum(result.reason) : (Datum) 0;
	return te_experiment_row(fcinfo, values, nulls);
}

/*
 * held_out(user_id, journey, topic, at)
 */
Datum
te_held_out(PG_FUNCTION_ARGS)
{
	const char *holdout;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	holdout = te_experiment_holdout(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
									PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
									instant(fcinfo, 3));
	if (holdout == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(holdout));
}

