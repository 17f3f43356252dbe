/*
 * factorial.c
 *		Main effects and interactions of a full factorial design, from the mean,
 *		variance and size of each cell.
 *
 * Each effect is a contrast of cell means. A factor's level is compared with the
 * factor's first one; all other factors are averaged over their levels with equal
 * weights, so that cells of different size do not confound one factor with another. An
 * interaction is a difference of differences: how much larger the effect of one level
 * is at the level of the other factor than at that factor's first level. Degrees of
 * freedom after Satterthwaite, Biometrics Bulletin 2 (1946) 110-114.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "errors.h"
#include "experiment/experiment_internal.h"

PG_FUNCTION_INFO_V1(te_factorial_effects);

#define MAX_FACTORS 8

typedef struct Factor
{
	char	   *name;
	int			nlevels;
	char	   *levels[TE_MAX_ARMS];
} Factor;

typedef struct Cell
{
	double		n;
	double		mean;
	double		variance;
	int			levels[MAX_FACTORS];
} Cell;

typedef struct Design
{
	int			nfactors;
	Factor		factors[MAX_FACTORS];
	int			ncells;
	Cell		cells[TE_MAX_ARMS];
} Design;

/*
 * Raises an error about the cells.
 */
static void
bad_cells(const char *message)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("%s", message),
			 errhint("Write [{\"factors\": {\"copy\": \"short\", \"image\": \"a\"}, \"n\": 100, \"mean\": 0.1, \"variance\": 0.09}, ...], one for each combination of levels.")));
}

/*
 * Index of a level, entered when it is new.
 */
static int
enter_level(Factor *factor, char *level)
{
	int			i;

	for (i = 0; i < factor->nlevels; i++)
		if (strcmp(factor->levels[i], level) == 0)
			return i;
	if (factor->nlevels == TE_MAX_ARMS)
		bad_cells("a factor has too many levels");
	factor->levels[factor->nlevels] = level;
	return factor->nlevels++;
}

/*
 * Reads the levels of a cell. The first cell says which factors there are.
 */
static void
read_levels(Design *design, Cell *cell, Jsonb *factors)
{
	JsonbIterator *it = JsonbIteratorInit(&factors->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			f = 0;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *level;

		if (token == WJB_KEY)
		{
			char	   *name = pnstrdup(value.val.string.val, value.val.string.len);

			if (f == MAX_FACTORS)
				bad_cells("there are too many factors");
			if (design->ncells == 0)
				design->factors[f].name = name;
			else if (f >= design->nfactors || strcmp(design->factors[f].name, name) != 0)
				bad_cells("every cell must name the same factors");
		}
		else if (token == WJB_VALUE)
		{
			level = te_experiment_scalar_text(&value);
			cell->levels[f] = enter_level(&design->factors[f], level);
			f++;
		}
	}
	if (design->ncells == 0)
		design->nfactors = f;
	if (f == 0 || f != design->nfactors)
		bad_cells("every cell must name the same factors");
}

/*
 * Reads one cell and adds it to the design.
 */
static void
read_cell(Design *design, JsonbValue *value)
{
	static const char *const keys[] = {"factors", "n", "mean", "variance", NULL};
	Cell	   *cell = &design->cells[design->ncells];
	Jsonb	   *object;
	Jsonb	   *factors;

	if (value->type != jbvBinary)
		bad_cells("cells must be JSON objects");
	object = JsonbValueToJsonb(value);
	te_json_check_keys(object, "a cell", keys);
	factors = te_json_object(object, "factors", "a cell");
	if (factors == NULL)
		bad_cells("a cell has no \"factors\"");
	read_levels(design, cell, factors);
	cell->n = te_json_number(object, "n", 0, "a cell");
	cell->mean = te_json_number(object, "mean", NAN, "a cell");
	cell->variance = te_json_number(object, "variance", NAN, "a cell");
	if (!(cell->n >= 2) || isnan(cell->mean) || !(cell->variance >= 0))
		bad_cells("every cell needs \"n\" of at least 2, \"mean\", and \"variance\" that is not negative");
	design->ncells++;
}

/*
 * Throws unless each combination of levels is there once.
 */
static void
check_complete(const Design *design)
{
	int			combinations = 1;
	int			f,
				i,
				k;

	for (f = 0; f < design->nfactors; f++)
	{
		if (design->factors[f].nlevels < 2)
			bad_cells(psprintf("factor \"%s\" has one level only", design->factors[f].name));
		combinations = Min(combinations * design->factors[f].nlevels, TE_MAX_ARMS + 1);
	}
	for (i = 0; i < design->ncells; i++)
		for (k = 0; k < i; k++)
			if (memcmp(design->cells[i].levels, design->cells[k].levels, sizeof(design->cells[i].levels)) == 0)
				bad_cells("a combination of levels is there twice");
	if (combinations != design->ncells)
		bad_cells(psprintf("%d of %d combinations of levels are there", design->ncells, combinations));
}

/*
 * Adds a row for the contrast of some factors' levels; level 0 leaves a factor out.
 */
static void
add_effect(TeTable *table, const Design *design, const int *levels, double confidence)
{
	StringInfoData term;
	TeEstimate	e = {0};
	double		spread = 0.0;
	Datum		values[8];
	int			f,
				i;

	initStringInfo(&term);
	for (f = 0; f < design->nfactors; f++)
		if (levels[f] > 0)
			appendStringInfo(&term, "%s%s=%s", term.len ? " : " : "", design->factors[f].name,
							 design->factors[f].levels[levels[f]]);
	for (i = 0; i < design->ncells; i++)
	{
		const Cell *cell = &design->cells[i];
		double		c = 1.0;
		double		part;

		for (f = 0; f < design->nfactors; f++)
		{
			if (levels[f] == 0)
				c /= design->factors[f].nlevels;
			else if (cell->levels[f] == 0)
				c = -c;
			else if (cell->levels[f] != levels[f])
				c = 0.0;
		}
		part = c * c * cell->variance / cell->n;
		e.value += c * cell->mean;
		e.se += part;
		spread += part * part / (cell->n - 1);
	}
	e.df = spread > 0 ? e.se * e.se / spread : INFINITY;
	e.se = sqrt(e.se);
	te_experiment_conclude(&e, confidence, TE_TWO_SIDED);
	values[0] = CStringGetTextDatum(term.data);
	values[1] = Float8GetDatum(e.value);
	values[2] = Float8GetDatum(e.se);
	values[3] = Float8GetDatum(e.statistic);
	values[4] = Float8GetDatum(e.df);
	values[5] = Float8GetDatum(e.p);
	values[6] = Float8GetDatum(e.low);
	values[7] = Float8GetDatum(e.high);
	te_experiment_table_row(table, values, NULL);
}

/*
 * Adds all effects of some order: every choice of so many factors and of one of their
 * levels beyond the first. Goes through the factors from f on.
 */
static void
add_effects(TeTable *table, const Design *design, int *levels, int f, int order, double confidence)
{
	int			level;

	CHECK_FOR_INTERRUPTS();
	if (order == 0)
	{
		add_effect(table, design, levels, confidence);
		return;
	}
	if (design->nfactors - f < order)
		return;
	for (level = 1; level < design->factors[f].nlevels; level++)
	{
		levels[f] = level;
		add_effects(table, design, levels, f + 1, order - 1, confidence);
	}
	levels[f] = 0;
	add_effects(table, design, levels, f + 1, order, confidence);
}

/*
 * factorial_effects(cells, max_order, confidence)
 */
Datum
te_factorial_effects(PG_FUNCTION_ARGS)
{
	Jsonb	   *cells = PG_GETARG_JSONB_P(0);
	int			max_order = PG_GETARG_INT32(1);
	Design	   *design = palloc0(sizeof(Design));
	int			levels[MAX_FACTORS] = {0};
	TeTable		table;
	uint32		i;
	int			order;

	te_experiment_check_share(PG_GETARG_FLOAT8(2), "confidence");
	if (max_order < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_order must be at least 1")));
	if (!JB_ROOT_IS_ARRAY(cells) || JB_ROOT_IS_SCALAR(cells) || JB_ROOT_COUNT(cells) == 0)
		bad_cells("cells must be a JSON array");
	te_experiment_check_arms(JB_ROOT_COUNT(cells));
	for (i = 0; i < JB_ROOT_COUNT(cells); i++)
		read_cell(design, getIthJsonbValueFromContainer(&cells->root, i));
	check_complete(design);
	te_experiment_table(fcinfo, &table);
	for (order = 1; order <= Min(max_order, design->nfactors); order++)
		add_effects(&table, design, levels, 0, order, PG_GETARG_FLOAT8(2));
	return (Datum) 0;
}
