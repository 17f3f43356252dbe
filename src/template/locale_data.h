/*
 * locale_data.h
 *		Tables of locale_data.c, each sorted by its first member.
 */
#pragma once

typedef struct TeLocalePair
{
	const char *tag;
	const char *value;
} TeLocalePair;

typedef struct TeLocaleLanguage
{
	const char *language;
	const char *script;
	const char *region;
} TeLocaleLanguage;

extern const TeLocalePair te_locale_parents[],
			te_locale_region_scripts[],
			te_locale_script_regions[],
			te_locale_aliases[],
			te_locale_regions[];
extern const TeLocaleLanguage te_locale_languages[];
extern const char *const te_locale_written[];
extern const char *const te_locale_rtl[];

extern const int te_locale_n_parents,
			te_locale_n_region_scripts,
			te_locale_n_script_regions,
			te_locale_n_aliases,
			te_locale_n_regions,
			te_locale_n_languages,
			te_locale_n_written,
			te_locale_n_rtl;
