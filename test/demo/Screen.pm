
=pod

=head1 NAME

Screen - what the demo prints: headings, tables, a progress bar, pretty JSON

=head1 SYNOPSIS

  Screen::setup(colour => 1, terminal => 1, unicode => 1);
  Screen::heading('Events');
  Screen::table([ '<name', '>rows' ], [ 'cart', 52 ], [ 'order', 10 ]);
  Screen::progress(0.5, 'Aug 08 2022', '400 of 862 events');
  print Screen::json_pretty($text);

Everything fits 100 columns.

=cut

package Screen;

use strict;
use warnings;

use List::Util qw(max min);
use Time::HiRes qw(time);

use constant WIDTH => 100;
use constant BAR => 20;

my %option;
my %codes = (bold => 1, dim => 2, red => 31, green => 32, yellow => 33, cyan => 36);
my $shown = -1;    # share at which progress was last printed without a terminal
my $dirty = 0;     # a progress line stands on the screen

# What stdout can do: colour, terminal (a line can be drawn over), unicode.
sub setup
{
	%option = @_;
	binmode STDOUT, ':encoding(UTF-8)';
	$| = 1;
	return;
}

sub paint
{
	my ($colour, $text) = @_;
	return $text unless $option{colour} and length $text;
	return "\e[$codes{$colour}m$text\e[0m";
}

# A rule of so many columns.
sub rule
{
	my ($width) = @_;
	my $sign = $option{unicode} ? "\x{2500}" : '-';
	return $sign x $width;
}

sub heading
{
	my ($text, $note) = @_;
	my $rest = WIDTH - 4 - length $text;

	print "\n", paint('cyan', rule(2)), ' ', paint('bold', $text), ' ', paint('cyan', rule($rest)), "\n";
	note($note) if defined $note;
	return;
}

# Prose, indented and wrapped.
sub note
{
	my ($text) = @_;
	print map { "  $_\n" } wrapped($text, WIDTH - 2);
	return;
}

# Splits a text into lines of a width, at spaces where there are any.
sub wrapped
{
	my ($text, $width) = @_;
	my @lines;

	while (length $text > $width)
	{
		my $at = rindex $text, ' ', $width;
		$at = $width if $at <= 0;
		push @lines, substr $text, 0, $at;
		$text = substr($text, $at) =~ s/^ +//r;
	}
	return (@lines, $text);
}

# Rows under a header; each name of the header begins with < or > for its side. The
# last column is wrapped when a row is too long.
sub table
{
	my ($header, @rows) = @_;
	my @sides = map { substr $_, 0, 1 } @$header;
	my @names = map { substr $_, 1 } @$header;
	my @widths = map { my $i = $_; max map { length($_->[$i] // '') } \@names, @rows } 0 .. $#names;
	my $before = 2;

	$before += $_ + 2 for @widths[ 0 .. $#widths - 1 ];
	$widths[-1] = min($widths[-1], max(WIDTH - $before, 12));
	my $print = sub {
		my ($colour, @cells) = @_;
		my @last = wrapped($cells[-1] // '', $widths[-1]);
		while (@last)
		{
			$cells[-1] = shift @last;
			my $text = join '  ',
			  map { sprintf $sides[$_] eq '<' ? '%-*s' : '%*s', $widths[$_], $cells[$_] // '' } 0 .. $#names;
			$text =~ s/ +$//;
			print '  ', defined $colour ? paint($colour, $text) : $text, "\n";
			@cells = ('') x @cells;
		}
	};
	$print->('dim', @names);
	$print->(undef, @$_) for @rows;
	return;
}

# How far something is: a share from 0 to 1, and words for before and after the bar.
sub progress
{
	my ($share, $before, $after) = @_;
	my $full = int($share * BAR + 0.5);
	my ($on, $off) = $option{unicode} ? ("\x{2588}", "\x{2591}") : ('#', '.');

	if ($option{terminal})
	{
		print "\r  $before  ", paint('cyan', $on x $full), paint('dim', $off x (BAR - $full)), "  $after",
		  $option{colour} ? "\e[K" : '';
		$dirty = 1;
	}
	elsif ($share >= 1 or $share - $shown >= 0.125)
	{
		print "  $before  ", $on x $full, $off x (BAR - $full), "  $after\n" if $shown < 1;
		$shown = $share;
	}
	return;
}

sub progress_done
{
	print "\n" if $dirty;
	($dirty, $shown) = (0, -1);
	return;
}

# JSON text laid out over lines, its members in the order in which they came.
sub json_pretty
{
	my ($text, $indent) = @_;
	my ($out, $depth, $fresh) = ('', 0, 0);

	$indent //= '';
	for my $token ($text =~ /"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+/g)
	{
		if ($token =~ /^[}\]]$/)
		{
			$depth--;
			$out .= "\n$indent" . '  ' x $depth unless $fresh;
			$out .= $token;
			$fresh = 0;
			next;
		}
		$out .= "\n$indent" . '  ' x $depth if $fresh;
		$fresh = 0;
		$out .= $token eq ':' ? ': ' : $token;
		$depth++ if $token =~ /^[{\[]$/;
		$fresh = 1 if $token =~ /^[{\[]$/;
		$out .= "\n$indent" . '  ' x $depth if $token eq ',';
	}
	return "$indent$out";
}

1;
