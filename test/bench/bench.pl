#!/usr/bin/perl
# bench.pl: runs the rows that are asked for and prints the table. Called by run.

use strict;
use warnings;

use FindBin;
use Getopt::Long;
use lib "$FindBin::RealBin/lib";

use Bench;
use Commit;
use Drain;
use Ingest;
use Render;
use Timers;

my @groups = (
	[ 'ingest-unwatched', \&Ingest::unwatched ],
	[ 'ingest-match', \&Ingest::match ],
	[ 'bulk', \&Ingest::bulk ],
	[ 'commit', \&Commit::wake ],
	[ 'latency', \&Commit::latency ],
	[ 'hung', \&Commit::hung ],
	[ 'drain', \&Drain::rate ],
	[ 'backlog', \&Drain::backlog ],
	[ 'timers', \&Timers::million ],
	[ 'snapshot', \&Drain::snapshot ],
	[ 'render', \&Render::rates ],
);

my $rows = '';
GetOptions(
	'rows=s' => \$rows,
	'pairs=i' => \$Bench::Pairs,
	'seconds=f' => \$Bench::Seconds,
	'verbose' => \$Bench::Verbose,
	'dir=s' => \$Bench::Dir,
	'tools=s' => \$Bench::Tools) or exit 2;
$Bench::Source = $FindBin::RealBin;

my @wanted = split /[\s,]+/, $rows;
my $from = time;

END { Bench::end() }
$SIG{INT} = $SIG{TERM} = sub { exit 130 };

Bench::heading();
for my $group (@groups)
{
	my ($name, $measure) = @$group;
	next if @wanted and not grep { index($name, $_) == 0 } @wanted;
	next if eval { $measure->(); 1 };
	printf "%-16s could not be measured: %s", $name, $@;
}
printf "\n%d of %d aims reached in this run, %d s\n", Bench::measured() - Bench::missed(), Bench::measured(), time - $from;
