/*
 * offers.c
 *		What messages say of offers: reserved with the decision, given back when the
 *		message does not go.
 *
 * A reservation is made once for a user and an offer, so that a message that is tried
 * again says the same. It is made outside of the subtransaction that messages are
 * rendered in, as that one is undone for all when one of them fails.
 *
 * Needs a transaction with SPI connected; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"
#include "message/message.h"

/* The item whose offers are at work, and those that its template names. */
typedef struct Reservation
{
	TeItem	   *item;
	List	   *names;
} Reservation;

/*
 * Puts what a row of SPI_tuptable says of an offer into the item: a JSON object of
 * offers, or the reason why there is none.
 */
static void
take_result(TeItem *item)
{
	SPITupleTable *table = SPI_tuptable;
	bool		isnull;
	Datum		value = SPI_getbinval(table->vals[0], table->tupdesc, 1, &isnull);

	if (!isnull)
		item->offers = DatumGetJsonbPCopy(value);
	item->offer_problem = SPI_getvalue(table->vals[0], table->tupdesc, 2);
	SPI_freetuptable(table);
}

/*
 * A list of strings as text[].
 */
static Datum
text_array(List *strings)
{
	Datum	   *values = palloc(sizeof(Datum) * list_length(strings));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, strings)
		values[n++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Reserves the offers for the item's message. One that is only looked at, and belongs to
 * no claim, gets what it would say.
 */
static void
reserve(void *arg)
{
	static SPIPlanPtr reserve_plan = NULL;
	static SPIPlanPtr sample_plan = NULL;
	Reservation *reservation = arg;
	TeItem	   *item = reservation->item;
	Oid			types[5] = {TEXTARRAYOID, TEXTOID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[5];

	values[0] = text_array(reservation->names);
	values[1] = CStringGetTextDatum(item->user_id);
	if (item->batch == NULL)
	{
		te_db_execute(&sample_plan, "SELECT trigger_engine._sample_offers($1, $2), NULL", 2, types, values, NULL, false, 1);
		take_result(item);
		return;
	}
	item->offers_reserved = true;
	values[2] = Int64GetDatum(item->journey_id);
	values[3] = CStringGetTextDatum(item->entry_key);
	values[4] = CStringGetTextDatum(item->step_id);
	te_db_execute(&reserve_plan, "SELECT r.offers, r.problem FROM trigger_engine._reserve_offers($1, $2, $3, $4, $5) r",
				  5, types, values, NULL, false, 1);
	take_result(item);
}

/*
 * See decide.h. A message whose offers fail is withheld, or held when it is for a reason
 * of the server.
 */
void
te_offers_load(TeItem **items, int count)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		const TeStored *stored;
		char	   *reason;
		Reservation reservation;
		ErrorData  *failure;

		item->offers = NULL;
		item->offer_problem = NULL;
		if (!item->is_send || item->verdict != TE_PASS)
			continue;
		stored = te_stored_find(item->step->template_name, item->locale, item->tenant, &reason);
		if (stored == NULL || stored->offers == NIL)
			continue;
		reservation.item = item;
		reservation.names = stored->offers;
		if (te_db_subtransaction(reserve, &reservation, &failure))
			continue;
		item->offer_problem = psprintf("an offer of template \"%s\": %s", item->step->template_name, failure->message);
		item->compose_later = te_compose_may_pass(failure);
		FreeErrorData(failure);
	}
}

/*
 * What a preview of a template says of its offers; NULL when it names none.
 */
Jsonb *
te_offers_sample(const TeItem *item, List *names)
{
	TeItem		copy = *item;
	Reservation reservation = {&copy, names};

	if (names == NIL)
		return NULL;
	copy.batch = NULL;
	reserve(&reservation);
	return copy.offers;
}

/*
 * Gives back what was reserved for messages that will not go: all of the items whose state
 * says so and that may have reserved something.
 */
void
te_offers_release(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[lengthof(types)];

		if (!item->is_send || item->state == NULL || strcmp(item->state, "accepted") == 0 || strcmp(item->state, "unknown") == 0 ||
			(!item->offers_reserved && item->attempt == 0 && item->holds == 0))
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = Int64GetDatum(item->journey_id);
		values[2] = CStringGetTextDatum(item->entry_key);
		values[3] = CStringGetTextDatum(item->step_id);
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan, "SELECT trigger_engine._release_offers($1, $2, $3, $4)", 0, NULL, NULL);
}
