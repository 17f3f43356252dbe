/*
 * lexer.c
 *		Tokens of markup: what stands between {{ }} and after the name of a tag.
 *
 * Nothing here allocates or throws; a character that begins no token is one of kind
 * TE_TOKEN_BAD, which no rule accepts.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "template/parse.h"

/*
 * White space as Liquid means it.
 */
bool
te_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * A letter, digit or underscore of ASCII.
 */
bool
te_is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/*
 * Whether c is a digit of ASCII.
 */
static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Kind of a character that is a token by itself, else TE_TOKEN_BAD.
 */
static TeTokenKind
special_kind(char c)
{
	switch (c)
	{
		case '|':
			return TE_TOKEN_PIPE;
		case '.':
			return TE_TOKEN_DOT;
		case ':':
			return TE_TOKEN_COLON;
		case ',':
			return TE_TOKEN_COMMA;
		case '[':
			return TE_TOKEN_OPEN_SQUARE;
		case ']':
			return TE_TOKEN_CLOSE_SQUARE;
		case '(':
			return TE_TOKEN_OPEN_ROUND;
		case ')':
			return TE_TOKEN_CLOSE_ROUND;
		case '?':
			return TE_TOKEN_QUESTION;
		case '-':
			return TE_TOKEN_DASH;
		default:
			return TE_TOKEN_BAD;
	}
}

/*
 * Reads ==, !=, <>, <, <=, > and >= into the token; false when something else
 * stands at c.
 */
static bool
scan_comparison(TeToken *token, const char *c, const char *end)
{
	char		second = c + 1 < end ? c[1] : '\0';

	token->len = 2;
	if (*c == '=' && second == '=')
		token->op = TE_OP_EQ;
	else if ((*c == '!' && second == '=') || (*c == '<' && second == '>'))
		token->op = TE_OP_NE;
	else if (*c == '<' && second == '=')
		token->op = TE_OP_LE;
	else if (*c == '>' && second == '=')
		token->op = TE_OP_GE;
	else if (*c == '<' || *c == '>')
	{
		token->op = *c == '<' ? TE_OP_LT : TE_OP_GT;
		token->len = 1;
	}
	else
		return false;
	token->kind = TE_TOKEN_COMPARISON;
	return true;
}

/*
 * Reads the token at c and returns where it ends. after_dot: the token before was a
 * dot, so that "contains" is a name.
 */
static const char *
scan(TeToken *token, const char *c, const char *end, bool after_dot)
{
	token->start = token->data = c;
	token->op = TE_OP_NONE;
	if (is_digit(*c) || (*c == '-' && c + 1 < end && is_digit(c[1])))
	{
		token->kind = TE_TOKEN_NUMBER;
		for (c++; c < end && is_digit(*c); c++)
			;
		if (c + 1 < end && *c == '.' && is_digit(c[1]))
			for (c++; c < end && is_digit(*c); c++)
				;
	}
	else if (te_is_word(*c))
	{
		token->kind = TE_TOKEN_ID;
		while (c < end && (te_is_word(*c) || *c == '-'))
			c++;
		if (c < end && *c == '?')
			c++;
		if (!after_dot && c - token->start == 8 && memcmp(token->start, "contains", 8) == 0)
		{
			token->kind = TE_TOKEN_COMPARISON;
			token->op = TE_OP_CONTAINS;
		}
	}
	else if (*c == '"' || *c == '\'')
	{
		const char *close = memchr(c + 1, *c, end - c - 1);

		token->kind = close ? TE_TOKEN_STRING : TE_TOKEN_BAD;
		if (close)
		{
			token->data = c + 1;
			token->len = close - c - 1;
			return close + 1;
		}
		c++;
	}
	else if (*c == '.' && c + 1 < end && c[1] == '.')
	{
		token->kind = TE_TOKEN_DOTDOT;
		c += 2;
	}
	else if ((token->kind = special_kind(*c)) != TE_TOKEN_BAD)
		c++;
	else if (scan_comparison(token, c, end))
		return c + token->len;
	else
		c += Min(pg_mblen(c), end - c);
	token->len = c - token->start;
	return c;
}

/*
 * Moves on by one token.
 */
void
te_lexer_next(TeLexer *lexer)
{
	bool		after_dot = lexer->next.kind == TE_TOKEN_DOT;

	lexer->last_end = lexer->token.data + lexer->token.len + (lexer->token.kind == TE_TOKEN_STRING ? 1 : 0);
	lexer->token = lexer->next;
	while (lexer->at < lexer->end && te_is_space(*lexer->at))
		lexer->at++;
	if (lexer->at < lexer->end)
		lexer->at = scan(&lexer->next, lexer->at, lexer->end, after_dot);
	else
	{
		lexer->next.kind = TE_TOKEN_END;
		lexer->next.start = lexer->next.data = lexer->end;
		lexer->next.len = 0;
	}
}

/*
 * Begins to read markup.
 */
void
te_lexer_init(TeLexer *lexer, const char *start, const char *end)
{
	lexer->at = start;
	lexer->end = end;
	lexer->token.kind = lexer->next.kind = TE_TOKEN_END;
	lexer->token.data = lexer->next.data = start;
	lexer->token.len = lexer->next.len = 0;
	te_lexer_next(lexer);
	te_lexer_next(lexer);
	lexer->last_end = start;
}

/*
 * What a message calls a token.
 */
const char *
te_token_name(TeTokenKind kind)
{
	static const char *const names[] = {
		[TE_TOKEN_END] = "the end",
		[TE_TOKEN_ID] = "a name",
		[TE_TOKEN_NUMBER] = "a number",
		[TE_TOKEN_STRING] = "a text in quotes",
		[TE_TOKEN_COMPARISON] = "a comparison",
		[TE_TOKEN_PIPE] = "\"|\"",
		[TE_TOKEN_DOT] = "\".\"",
		[TE_TOKEN_DOTDOT] = "\"..\"",
		[TE_TOKEN_COLON] = "\":\"",
		[TE_TOKEN_COMMA] = "\",\"",
		[TE_TOKEN_OPEN_SQUARE] = "\"[\"",
		[TE_TOKEN_CLOSE_SQUARE] = "\"]\"",
		[TE_TOKEN_OPEN_ROUND] = "\"(\"",
		[TE_TOKEN_CLOSE_ROUND] = "\")\"",
		[TE_TOKEN_QUESTION] = "\"?\"",
		[TE_TOKEN_DASH] = "\"-\"",
		[TE_TOKEN_BAD] = "a character that has no meaning here",
	};

	return names[kind];
}
