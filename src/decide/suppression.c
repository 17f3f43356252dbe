/*
 * suppression.c
 *		Who must not be written to, and on what a message rests: suppression list,
 *		topics and legal bases, for the consent gate.
 *
 * Set-wise like the other facts; both statements return only what there is. Results go
 * into the items, in the current memory context. Needs a transaction with SPI
 * connected; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"

/*
 * A boolean column; false when null.
 */
static bool
bool_column(SPITupleTable *table, uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(table->vals[row], table->tupdesc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * The item that a row belongs to, by its first column.
 */
static TeItem *
item_of_row(TeItem **items, SPITupleTable *table, uint64 row)
{
	bool		isnull;

	return items[DatumGetInt64(SPI_getbinval(table->vals[row], table->tupdesc, 1, &isnull))];
}

/*
 * Users and addresses on the suppression list, and users whose erasure waits for what is
 * under way. An address counts where the message
 * goes to one of the user's own.
 */
void
te_facts_load_suppressions(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	SPITupleTable *table;
	uint64		k;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		Datum		values[lengthof(types)];

		items[i]->suppressed = NULL;
		items[i]->suppressed_all = false;
		if (items[i]->channel == NULL)
			continue;
		values[0] = CStringGetTextDatum(items[i]->user_id);
		values[1] = CStringGetTextDatum(items[i]->channel);
		values[2] = CStringGetTextDatum(items[i]->address ? items[i]->address : "");
		values[3] = Int64GetDatum(i);
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count == 0)
		return;
	te_rows_execute(&rows, &plan,
					"SELECT i.ord, s.scope = 'all', 'the user is suppressed (' || s.reason || ')'"
					" FROM unnest($1, $2, $3, $4) AS i(user_id, channel, address, ord)"
					" JOIN trigger_engine._suppressed_users s ON s.user_id = i.user_id AND s.channel IN (i.channel, '*')"
					" UNION ALL SELECT i.ord, s.scope = 'all', 'the address is suppressed (' || s.reason || ')'"
					" FROM unnest($1, $2, $3, $4) AS i(user_id, channel, address, ord)"
					" JOIN trigger_engine._suppressed_addresses s ON s.digest = trigger_engine._address_digest(i.address)"
					" AND s.channel IN (i.channel, '*') WHERE i.address <> ''"
					" UNION ALL SELECT i.ord, true, 'the user was erased'"
					" FROM unnest($1, $2, $3, $4) AS i(user_id, channel, address, ord)"
					" JOIN trigger_engine._erasures e ON e.user_id = i.user_id", 0, NULL, NULL);
	table = SPI_tuptable;
	for (k = 0; k < table->numvals; k++)
	{
		TeItem	   *item = item_of_row(items, table, k);
		bool		all = bool_column(table, k, 2);

		if (item->suppressed == NULL || (all && !item->suppressed_all))
			item->suppressed = SPI_getvalue(table->vals[k], table->tupdesc, 3);
		item->suppressed_all |= all;
	}
	SPI_freetuptable(table);
}

/*
 * What topic and purpose say of the opt-in that a message needs.
 */
void
te_facts_load_topics(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, TEXTOID, INT8OID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	SPITupleTable *table;
	uint64		k;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		Datum		values[lengthof(types)];

		items[i]->topic_exempt = items[i]->topic_opt_in = items[i]->no_opt_in_needed = false;
		if (items[i]->channel == NULL || (items[i]->topic == NULL && items[i]->purpose == NULL))
			continue;
		values[0] = CStringGetTextDatum(items[i]->topic ? items[i]->topic : "");
		values[1] = CStringGetTextDatum(items[i]->purpose ? items[i]->purpose : "");
		values[2] = Int64GetDatum(i);
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count == 0)
		return;
	te_rows_execute(&rows, &plan,
					"SELECT i.ord, t.transactional, t.default_state = 'opted_out',"
					" coalesce(b.legal_basis, t.legal_basis) <> 'consent'"
					" FROM unnest($1, $2, $3) AS i(topic, purpose, ord)"
					" LEFT JOIN trigger_engine._topics t ON t.name = i.topic"
					" LEFT JOIN trigger_engine._legal_bases b ON b.purpose = coalesce(nullif(i.purpose, ''), t.purpose)"
					" WHERE t.name IS NOT NULL OR b.purpose IS NOT NULL", 0, NULL, NULL);
	table = SPI_tuptable;
	for (k = 0; k < table->numvals; k++)
	{
		TeItem	   *item = item_of_row(items, table, k);

		item->topic_exempt = bool_column(table, k, 2);
		item->topic_opt_in = bool_column(table, k, 3);
		item->no_opt_in_needed = bool_column(table, k, 4);
	}
	SPI_freetuptable(table);
}

/*
 * Why the user must not get the message, whatever was agreed before; NULL when nothing
 * stands against it. Asked at the claim, and again before hand-over.
 */
char *
te_suppression_reason(const TeItem *item)
{
	bool		exempt = item->transactional || item->topic_exempt;

	if (item->suppressed && (item->suppressed_all || !exempt))
		return item->suppressed;
	return exempt ? NULL : item->opted_out;
}
