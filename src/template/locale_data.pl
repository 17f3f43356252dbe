#!/usr/bin/perl
# Writes locale_data.c from Unicode's CLDR in JSON (npm package cldr-core).
#
#   tar xzf cldr-core-42.0.0.tgz
#   perl src/template/locale_data.pl package > src/template/locale_data.c
#
# The data is Unicode's, see LICENSE-unicode.txt beside this file.

use strict;
use warnings;

use JSON::PP;

my $package = shift @ARGV // die "usage: locale_data.pl DIRECTORY_OF_CLDR_CORE\n";

sub load
{
	my ($name) = @_;
	open my $file, '<:raw', "$package/$name.json" or die "$package/$name.json: $!\n";
	local $/;
	return decode_json(<$file>);
}

# Rows of an array, as many to a line as fit.
sub rows
{
	my ($declaration, $comment, @rows) = @_;
	my $out = "\n/* $comment */\n$declaration = {";
	my $line = '';

	for my $row (@rows)
	{
		if ($line eq '' or length($line) + length($row) > 96)
		{
			$out .= "$line\n";
			$line = "\t$row,";
		}
		else
		{
			$line .= " $row,";
		}
	}
	return "$out$line\n};\n";
}

sub braced { return '{' . join(', ', map { "\"$_\"" } @_) . '}' }

my $version = load('package')->{version} =~ s/\..*//r;
my $parents = load('supplemental/parentLocales')->{supplemental}{parentLocales}{parentLocale};
my $likely = load('supplemental/likelySubtags')->{supplemental}{likelySubtags};
my $scripts = load('scriptMetadata')->{scriptMetadata};
my $available = load('availableLocales')->{availableLocales}{full};
my $alias = load('supplemental/aliases')->{supplemental}{metadata}{alias};

my (%language, @region_script, @script_region);
for my $tag (keys %$likely)
{
	next if $tag =~ /^und/;
	$language{$tag} = [ split /-/, $likely->{$tag} ] unless $tag =~ /-/;
}
for my $tag (sort keys %$likely)
{
	next if $tag =~ /^und/;
	my ($language, $script, $region) = split /-/, $likely->{$tag};
	if ($tag =~ /^\w+-[A-Z]{2}$|^\w+-\d{3}$/)
	{
		push @region_script, braced($tag, $script) if $script ne $language{$language}[1];
	}
	elsif ($tag =~ /^\w+-[A-Z][a-z]{3}$/)
	{
		push @script_region, braced($tag, $region);
	}
}
my %written = map { $_ => 1 } grep { my $language = $_; grep { $_ eq "$language-$language{$language}[1]" } @$available } keys %language;
# one language for another, perhaps with a script or region of its own
my %replaced;
for my $from (keys %{ $alias->{languageAlias} })
{
	my $to = $alias->{languageAlias}{$from}{_replacement};
	$replaced{$from} = $to if $from =~ /^[a-z]{2,3}$/ and ($from =~ /^..$/ or $to =~ /^(?:[a-z]{2}|[a-z]{2}-\w+)$/);
}
my %region = map { $_ => $alias->{territoryAlias}{$_}{_replacement} }
  grep { /^[A-Z]{2}$/ and $alias->{territoryAlias}{$_}{_replacement} =~ /^[A-Z]{2}\b/ } keys %{ $alias->{territoryAlias} };
s/ .*// for values %region;

print <<"EOF";
/*
 * locale_data.c
 *		What CLDR $version says of locales: parents, likely scripts and regions, aliases.
 *
 * Made by locale_data.pl; not to be edited. Copyright 1991-2022 Unicode, Inc., see
 * LICENSE-unicode.txt in this folder. Every array is sorted by its first member.
 */
#include "postgres.h"

#include "template/locale_data.h"
EOF

# the scripts that are written from right to left
my @rtl = sort grep { $scripts->{$_}{rtl} eq 'YES' } keys %$scripts;

print rows('const TeLocalePair te_locale_parents[]', 'parents that are not found by leaving off the last subtag',
	map { braced($_, $parents->{$_}) } sort keys %$parents);
print rows('const TeLocaleLanguage te_locale_languages[]', 'the likely script and region of each language',
	map { braced($_, @{ $language{$_} }[ 1, 2 ]) } sort keys %language);
print rows('const TeLocalePair te_locale_region_scripts[]', 'regions where a language is written otherwise', @region_script);
print rows('const TeLocalePair te_locale_script_regions[]', 'where a language is written so', @script_region);
print rows('const char *const te_locale_written[]', 'languages whose locales are named with their script',
	map { "\"$_\"" } sort keys %written);
print rows('const TeLocalePair te_locale_aliases[]', 'languages by older and longer names',
	map { braced($_, $replaced{$_}) } sort keys %replaced);
print rows('const TeLocalePair te_locale_regions[]', 'regions by older names',
	map { braced($_, $region{$_}) } sort keys %region);
print rows('const char *const te_locale_rtl[]', 'scripts from right to left', map { "\"$_\"" } @rtl);

my %count = (
	parents => scalar keys %$parents,
	languages => scalar keys %language,
	region_scripts => scalar @region_script,
	script_regions => scalar @script_region,
	written => scalar keys %written,
	aliases => scalar keys %replaced,
	regions => scalar keys %region,
	rtl => scalar @rtl);
print "\n";
print "const int\tte_locale_n_$_ = $count{$_};\n" for sort keys %count;
