/*
 * sms.c
 *		The GSM 03.38 alphabet, the parts that a text message is cut into, and plain
 *		letters for others.
 *
 * Texts are UTF-8. Nothing here allocates or throws.
 */
#include "postgres.h"

#include "template/sms.h"

/* Of one part, and of one of several, which each carry a header. */
#define GSM7_ALONE 160
#define GSM7_PART 153
#define UCS2_ALONE 70
#define UCS2_PART 67

/* Beyond ASCII, in the basic table (3GPP TS 23.038, 6.2.1), sorted. */
static const uint16 basic[] = {
	0xA1, 0xA3, 0xA4, 0xA5, 0xA7, 0xBF, 0xC4, 0xC5, 0xC6, 0xC7, 0xC9, 0xD1, 0xD6, 0xD8, 0xDC, 0xDF,
	0xE0, 0xE4, 0xE5, 0xE6, 0xE8, 0xE9, 0xEC, 0xF1, 0xF2, 0xF6, 0xF8, 0xF9, 0xFC,
	0x393, 0x394, 0x398, 0x39B, 0x39E, 0x3A0, 0x3A3, 0x3A6, 0x3A8, 0x3A9
};

/*
 * What a character takes in the alphabet: 1 in the basic table, 2 in its extension
 * (6.2.1.1), 0 in neither.
 */
int
te_gsm7_septets(uint32 character)
{
	int			low = 0,
				high = lengthof(basic);

	if (character < 0x80)
	{
		if (character == '\0' || character == '`')
			return 0;
		if (character < ' ')
			return character == '\n' || character == '\r' ? 1 : character == '\f' ? 2 : 0;
		return character != 0x7F ? strchr("^{}\\[~]|", character) != NULL ? 2 : 1 : 0;
	}
	if (character == 0x20AC)
		return 2;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (basic[middle] == character)
			return 1;
		if (basic[middle] < character)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* Parts filled so far. */
typedef struct Parts
{
	int			capacity;
	int			used;			/* of the last one */
	int			count;
} Parts;

/*
 * Puts what must not be divided into the last part, or into a new one.
 */
static void
fill(Parts *parts, int units)
{
	if (parts->count == 0 || parts->used + units > parts->capacity)
	{
		parts->count++;
		parts->used = 0;
	}
	parts->used += units;
}

/*
 * Measures a text: its alphabet, its units in it, and the parts it is sent in.
 */
void
te_sms_measure(const char *text, int len, TeSms *result)
{
	const char *end = text + len;
	const char *at;
	Parts		gsm7 = {GSM7_PART};
	Parts		ucs2 = {UCS2_PART};
	int			septets = 0;
	int			units = 0;

	memset(result, 0, sizeof(*result));
	for (at = text; at < end;)
	{
		uint32		character = te_utf8_next(&at, end);
		int			wide = character > 0xFFFF ? 2 : 1;
		int			size = te_gsm7_septets(character);

		if (size == 0 && result->others++ == 0)
			result->first_other = character;
		septets += size;
		units += wide;
		fill(&gsm7, size);
		fill(&ucs2, wide);
	}
	result->gsm7 = result->others == 0;
	result->units = result->gsm7 ? septets : units;
	if (result->units <= (result->gsm7 ? GSM7_ALONE : UCS2_ALONE))
		result->segments = result->units > 0 ? 1 : 0;
	else
		result->segments = result->gsm7 ? gsm7.count : ucs2.count;
}

/* ASCII for Latin letters, three bytes each, dots for none; from U+00C0 to U+024F. */
static const char latin[] =
	"A..A..A..A..A..A..AE.C..E..E..E..E..I..I..I..I.."
	"D..N..O..O..O..O..O..x..O..U..U..U..U..Y..Th.ss."
	"a..a..a..a..a..a..ae.c..e..e..e..e..i..i..i..i.."
	"d..n..o..o..o..o..o../..o..u..u..u..u..y..th.y.."
	"A..a..A..a..A..a..C..c..C..c..C..c..C..c..D..d.."
	"D..d..E..e..E..e..E..e..E..e..E..e..G..g..G..g.."
	"G..g..G..g..H..h..H..h..I..i..I..i..I..i..I..i.."
	"I..i..IJ.ij.J..j..K..k..k..L..l..L..l..L..l....."
	"...L..l..N..n..N..n..N..n..n..NG.ng.O..o..O..o.."
	"O..o..OE.oe.R..r..R..r..R..r..S..s..S..s..S..s.."
	"S..s..T..t..T..t..T..t..U..u..U..u..U..u..U..u.."
	"U..u..U..u..W..w..Y..y..Y..Z..z..Z..z..Z..z..s.."
	"b..B..............O........D..D..............A.."
	"E.....f.....G........I..K..k.................O.."
	"O..o......................................T..U.."
	"u.....V..Y..y..Z..z............................."
	"............DZ.Dz.dz.LJ.Lj.lj.NJ.Nj.nj.A..a..I.."
	"i..O..o..U..u..U..u..U..u..U..u..U..u.....A..a.."
	"A..a..............G..g..K..k..O..o..O..o........"
	"j..DZ.Dz.dz.G..g........N..n..A..a.............."
	"A..a..A..a..E..e..E..e..I..i..I..i..O..o..O..o.."
	"R..r..R..r..U..u..U..u..S..s..T..t........H..h.."
	"............Z..z..A..a..E..e..O..o..O..o..O..o.."
	"O..o..Y..y....................A..C..c..L..T....."
	".........B..U.....E..e..J..j........R..r..Y..y..";

/* The same from U+1E00 to U+1EFF. */
static const char latin_additional[] =
	"A..a..B..b..B..b..B..b..C..c..D..d..D..d..D..d.."
	"D..d..D..d..E..e..E..e..E..e..E..e..E..e..F..f.."
	"G..g..H..h..H..h..H..h..H..h..H..h..I..i..I..i.."
	"K..k..K..k..K..k..L..l..L..l..L..l..L..l..M..m.."
	"M..m..M..m..N..n..N..n..N..n..N..n..O..o..O..o.."
	"O..o..O..o..P..p..P..p..R..r..R..r..R..r..R..r.."
	"S..s..S..s..S..s..S..s..S..s..T..t..T..t..T..t.."
	"T..t..U..u..U..u..U..u..U..u..U..u..V..v..V..v.."
	"W..w..W..w..W..w..W..w..W..w..X..x..X..x..Y..y.."
	"Z..z..Z..z..Z..z..h..t..w..y.....s........SS...."
	"A..a..A..a..A..a..A..a..A..a..A..a..A..a..A..a.."
	"A..a..A..a..A..a..A..a..E..e..E..e..E..e..E..e.."
	"E..e..E..e..E..e..E..e..I..i..I..i..O..o..O..o.."
	"O..o..O..o..O..o..O..o..O..o..O..o..O..o..O..o.."
	"O..o..O..o..U..u..U..u..U..u..U..u..U..u..U..u.."
	"U..u..Y..y..Y..y..Y..y..Y..y....................";

/* Greek letters as the capitals of the alphabet, or the Latin ones that look like them; from U+0370. */
static const char *const greek[] = {
	[0x16] = "A", [0x18] = "E", [0x19] = "H", [0x1A] = "I", [0x1C] = "O", [0x1E] = "Y", [0x1F] = "\xCE\xA9",
	[0x20] = "I", [0x21] = "A", [0x22] = "B", [0x25] = "E", [0x26] = "Z", [0x27] = "H", [0x29] = "I", [0x2A] = "K",
	[0x2C] = "M", [0x2D] = "N", [0x2F] = "O", [0x31] = "P", [0x34] = "T", [0x35] = "Y", [0x37] = "X",
	[0x3A] = "I", [0x3B] = "Y", [0x3C] = "A", [0x3D] = "E", [0x3E] = "H", [0x3F] = "I",
	[0x40] = "Y", [0x41] = "A", [0x42] = "B", [0x43] = "\xCE\x93", [0x44] = "\xCE\x94", [0x45] = "E", [0x46] = "Z",
	[0x47] = "H", [0x48] = "\xCE\x98", [0x49] = "I", [0x4A] = "K", [0x4B] = "\xCE\x9B", [0x4C] = "M", [0x4D] = "N",
	[0x4E] = "\xCE\x9E", [0x4F] = "O", [0x50] = "\xCE\xA0", [0x51] = "P", [0x52] = "\xCE\xA3", [0x53] = "\xCE\xA3",
	[0x54] = "T", [0x55] = "Y", [0x56] = "\xCE\xA6", [0x57] = "X", [0x58] = "\xCE\xA8", [0x59] = "\xCE\xA9",
	[0x5A] = "I", [0x5B] = "Y", [0x5C] = "O", [0x5D] = "Y", [0x5E] = "\xCE\xA9"
};

/* Punctuation and signs that typing aids and editors put in, sorted. */
static const struct
{
	uint16		character;
	const char *instead;
}			punctuation[] =
{
	{0x09, " "}, {0x60, "'"}, {0xA0, " "}, {0xA6, "|"}, {0xA8, "\""}, {0xA9, "(C)"}, {0xAA, "a"}, {0xAB, "\""}, {0xAC, "-"},
	{0xAD, ""}, {0xAE, "(R)"}, {0xAF, "-"}, {0xB0, "o"}, {0xB1, "+/-"}, {0xB2, "2"}, {0xB3, "3"}, {0xB4, "'"}, {0xB5, "u"},
	{0xB7, "."}, {0xB8, ","}, {0xB9, "1"}, {0xBA, "o"}, {0xBB, "\""}, {0xBC, "1/4"}, {0xBD, "1/2"}, {0xBE, "3/4"},
	{0x2B9, "'"}, {0x2BA, "\""}, {0x2BB, "'"}, {0x2BC, "'"}, {0x2BD, "'"}, {0x2C6, "^"}, {0x2C8, "'"}, {0x2DC, "~"},
	{0x2000, " "}, {0x2001, " "}, {0x2002, " "}, {0x2003, " "}, {0x2004, " "}, {0x2005, " "}, {0x2006, " "}, {0x2007, " "},
	{0x2008, " "}, {0x2009, " "}, {0x200A, " "}, {0x2010, "-"}, {0x2011, "-"}, {0x2012, "-"}, {0x2013, "-"}, {0x2014, "-"},
	{0x2015, "-"}, {0x2018, "'"}, {0x2019, "'"}, {0x201A, "'"}, {0x201B, "'"}, {0x201C, "\""}, {0x201D, "\""},
	{0x201E, "\""}, {0x201F, "\""}, {0x2020, "+"}, {0x2022, "*"}, {0x2023, ">"}, {0x2024, "."}, {0x2025, ".."},
	{0x2026, "..."}, {0x2027, "."}, {0x2028, "\n"}, {0x2029, "\n"}, {0x202F, " "}, {0x2030, "o/oo"}, {0x2032, "'"},
	{0x2033, "\""}, {0x2039, "<"}, {0x203A, ">"}, {0x203C, "!!"}, {0x2044, "/"}, {0x2047, "??"}, {0x2048, "?!"},
	{0x2049, "!?"}, {0x205F, " "}, {0x20A4, "\xC2\xA3"}, {0x20A9, "KRW"}, {0x20B9, "INR"}, {0x20BA, "TRY"}, {0x20BD, "RUB"},
	{0x2116, "No"}, {0x2122, "(TM)"}, {0x2126, "\xCE\xA9"}, {0x212B, "\xC3\x85"}, {0x2190, "<-"}, {0x2192, "->"},
	{0x2212, "-"}, {0x2215, "/"}, {0x2217, "*"}, {0x2219, "."}, {0x2248, "~"}, {0x2260, "<>"}, {0x2264, "<="}, {0x2265, ">="},
	{0x3000, " "}, {0x3001, ","}, {0x3002, "."}, {0xFB01, "fi"}, {0xFB02, "fl"}, {0xFF01, "!"}, {0xFF0C, ","}, {0xFF1A, ":"},
	{0xFF1F, "?"}
};

/*
 * ASCII letters for a Latin letter with a mark or of two; NULL for any other
 * character.
 */
const char *
te_plain_letters(uint32 character, char buffer[4])
{
	const char *entry;

	if (character >= 0xC0 && character <= 0x24F)
		entry = latin + (character - 0xC0) * 3;
	else if (character >= 0x1E00 && character <= 0x1EFF)
		entry = latin_additional + (character - 0x1E00) * 3;
	else
		return NULL;
	if (entry[0] == '.')
		return NULL;
	memcpy(buffer, entry, 3);
	buffer[entry[1] == '.' ? 1 : entry[2] == '.' ? 2 : 3] = '\0';
	return buffer;
}

/*
 * What stands in for a character outside of the alphabet: an empty text for what only
 * decorates or joins, as emoji; NULL for a letter of another script.
 */
const char *
te_gsm7_instead(uint32 character, char buffer[4])
{
	int			low = 0,
				high = lengthof(punctuation);

	if (character >= 0x370 && character - 0x370 < lengthof(greek) && greek[character - 0x370] != NULL)
		return greek[character - 0x370];
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (punctuation[middle].character == character)
			return punctuation[middle].instead;
		if (punctuation[middle].character < character)
			low = middle + 1;
		else
			high = middle;
	}
	if (character < ' ' || (character >= 0x7F && character <= 0x9F) ||	/* controls */
		(character >= 0x300 && character <= 0x36F) ||	/* marks */
		(character >= 0x200B && character <= 0x200F) || (character >= 0x202A && character <= 0x202E) ||
		(character >= 0x2060 && character <= 0x206F) || character == 0xFEFF ||	/* invisible */
		(character >= 0x20D0 && character <= 0x2BFF) || /* symbols */
		(character >= 0xFE00 && character <= 0xFE0F) || /* variation selectors */
		(character >= 0x1F000 && character <= 0x1FBFF) || (character >= 0xE0000 && character <= 0xE0FFF))
		return "";
	return te_plain_letters(character, buffer);
}
