# The other formats of pg_dump, through pg_restore: custom, custom with --clean over
# an older copy, and a directory with two jobs on both sides; and a dump that was
# taken while messages were being sent.
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

sub restore
{
	my ($target, $file, @options) = @_;
	$target->node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $target->node->connstr($target->database), @options, $file ],
		"pg_restore @options");
	return;
}

dump_to("$directory/custom", '-Fc');
dump_to("$directory/parallel", '-Fd', '-j2');

my $other = TriggerEngine->new(name => 'other', virtual_clock => 1, extension => 0, conf => \%conf);
$case->prepare($other);

restore($other, "$directory/parallel", '-j2');
$case->check($other, 'two jobs');

# over what was there a moment ago; all of it is older, and goes
$other->in('clock')->set_clock($case->{clock});
$other->sql('SELECT trigger_engine.start_workers()');
restore($other, "$directory/custom", '--clean', '--if-exists');
$case->check($other, 'custom, over an older copy', reason => qr/restored/);

$te->sql('CREATE DATABASE copy');
restore($te->in('copy'), "$directory/custom", '--no-owner', '--no-privileges', '--section=pre-data');
restore($te->in('copy'), "$directory/custom", '--no-owner', '--no-privileges', '--section=data', '--section=post-data');
is($case->contents($te->in('copy')), $case->{contents}, 'a restore by sections, without owners, brings everything as well');
is($te->in('copy')->sql('SELECT count(*) FROM trigger_engine.sends'), $te->sql('SELECT count(*) FROM trigger_engine.sends'), 'and fires nothing');

# ---- dumped in the midst of it ----

my $busy = TriggerEngine->new(name => 'busy');
my $receiver = $busy->receiver;
$busy->webhook('hook', $receiver->url('/busy'), max_in_flight => 20);
$busy->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$receiver->mode('/busy', 'slow', delay => 0.05);
$busy->events(2000, 'cart');
$receiver->wait_for(100, 30);
$busy->node->command_ok([ 'pg_dump', '-Fc', '-f', "$directory/busy", '-d', $busy->node->connstr('postgres') ], 'a dump while messages are sent');
cmp_ok($receiver->count, '<', 2000, 'which goes on');
$receiver->mode('/busy', 'ok');
ok($busy->idle(60), 'to the end');
is($receiver->count, 2000, 'every message is sent once by the original');
$busy->sql('CREATE DATABASE copy');
my $copy = $busy->in('copy');
restore($copy, "$directory/busy");
ok($copy->poll(q{SELECT state = 'idle' AND reason ~ 'restored' FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), 'the copy is fenced');
is($copy->sql('SELECT count(*), count(DISTINCT user_id) FROM trigger_engine.sends'), '2000|2000', 'it has every message, in one state');
is($receiver->count, 2000, 'and has sent none of them');

$_->node->stop for $te, $other, $busy;
unlike(PostgreSQL::Test::Utils::slurp_file($_->node->logfile), qr/TRAP|PANIC|terminated by signal/, 'nothing crashed') for $te, $other, $busy;
done_testing();
