# Plain dumps, as psql loads them: into another database of the same server, over the
# database they came from (--clean), and into another server. A restore brings
# everything but secrets, fires nothing and sends nothing until resume() is called.
use strict;
use warnings;

use Test::More;
use RestoreCase;
use TriggerEngine;

my %conf = ('trigger_engine.drain_timeout' => '300ms');
my $te = TriggerEngine->new(virtual_clock => 1, conf => \%conf);
my $case = RestoreCase->new($te, $te->receiver);
my $directory = PostgreSQL::Test::Utils::tempdir();

sub dump_to
{
	my ($file, @options) = @_;
	$te->node->command_ok([ 'pg_dump', '-f', $file, '-d', $te->node->connstr('postgres'), @options ], "pg_dump @options");
	return;
}

sub load
{
	my ($target, $file) = @_;
	$target->node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $file, '-d', $target->node->connstr($target->database) ],
		'the dump loads without an error');
	return;
}

dump_to("$directory/plain.sql");
dump_to("$directory/clean.sql", '--clean', '--if-exists');
unlike(PostgreSQL::Test::Utils::slurp_file("$directory/plain.sql"), qr/whsec_/, 'no secret is in the dump');

$te->sql('CREATE DATABASE copy');
load($te->in('copy'), "$directory/plain.sql");
$case->check($te->in('copy'), 'same server', reason => qr/restored or cloned: the stamp belongs to another database/);

my $other = TriggerEngine->new(name => 'other', virtual_clock => 1, extension => 0, conf => \%conf);
$case->prepare($other);
load($other, "$directory/plain.sql");
$case->check($other, 'another server', reason => qr/restored or cloned: the stamp belongs to another server/);

# the clock of this server has gone on; --clean is about what is in the database
$te->set_clock($case->{clock});
$te->sql('SELECT trigger_engine.start_workers()');
load($te, "$directory/clean.sql");
$case->check($te, 'over the original', reason => qr/restored: the stamp belongs to another CREATE EXTENSION/);

$_->node->stop for $te, $other;
unlike(PostgreSQL::Test::Utils::slurp_file($_->node->logfile), qr/TRAP|PANIC|terminated by signal/, 'nothing crashed') for $te, $other;
done_testing();
