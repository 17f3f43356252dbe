# Commands that need a database for themselves (DROP, RENAME, SET TABLESPACE, CREATE
# ... TEMPLATE) while messages are under way to a receiver that never answers: they
# neither fail because of the workers nor wait for the receiver, and whatever
# becomes of the command, workers run again where they should.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;

# A hung receiver holds a message for a minute; a command is prompt when it needs
# no more than the drain time and some for a busy machine.
use constant { HANG => '60 s', PROMPT => 15 };

my $te = TriggerEngine->new(
	extension => 0,
	conf => { 'trigger_engine.drain_timeout' => '500ms' });
my $receiver = $te->receiver;

# A database of its own with messages to /<name> on their way; its TriggerEngine.
sub busy_database
{
	my ($name) = @_;
	my $db = $te->in($name);

	$te->sql("CREATE DATABASE $name");
	$db->sql('CREATE EXTENSION trigger_engine');
	$db->webhook('hook', $receiver->url("/$name"), timeout => HANG);
	$db->journey('welcome');
	get_busy($db, $name);
	return $db;
}

# Five messages of this database at the receiver, which does not answer.
my $users = 0;
sub get_busy
{
	my ($db, $path) = @_;
	my $before = () = $receiver->received("/$path");

	$receiver->mode("/$path", 'hang');
	$db->events(5, 'cart', from => $users + 1);
	$users += 5;
	TriggerEngine::wait_until(sub { return $before + 5 <= (() = $receiver->received("/$path")) })
	  or die "no messages under way to /$path";
	return;
}

# Runs a command from another database; (succeeded, error text, seconds).
sub command
{
	my ($sql, %option) = @_;
	my $start = time;
	my ($status, undef, $error) = $te->try($sql, %option);

	return ($status == 0, $error, time - $start);
}

sub succeeds_promptly
{
	my ($sql, $what) = @_;
	my ($done, $error, $seconds) = command($sql);

	ok($done, "$what succeeds") or diag $error;
	cmp_ok($seconds, '<', PROMPT, "$what does not wait for the receiver");
	return;
}

# The receiver answers again, and everything of the database arrives under the
# identities it had.
sub all_arrives
{
	my ($db, $path, $what) = @_;

	$receiver->mode("/$path", 'ok');
	ok($db->poll(q{SELECT count(*) > 0 AND bool_and(state = 'accepted') FROM trigger_engine.sends}, 't', 60),
		"$what: every message is accepted");
	my %seen;
	$seen{ $_->{id} }++ for $receiver->received("/$path");
	is(scalar keys %seen, $db->sql('SELECT count(*) FROM trigger_engine.sends'), "$what: repeats keep the identity of their message");
	return;
}

# ---- CREATE DATABASE ... TEMPLATE ----

my $shop = busy_database('shop');
succeeds_promptly('CREATE DATABASE copy TEMPLATE shop', 'CREATE DATABASE ... TEMPLATE');
ok($shop->wait_for_worker, 'workers return to the source');
all_arrives($shop, 'shop', 'the source');

my $copy = $te->in('copy');
ok($copy->poll(q{SELECT state = 'idle' AND reason ~ 'restored or cloned' FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}),
	'the copy is fenced');
my $requests = $receiver->count;
$copy->sql(sprintf q{SELECT trigger_engine.alter_provider('hook', '{"url": "%s"}')}, $receiver->url('/copy'));
$copy->event('copied', 'cart');
is($copy->sql(q{SELECT count(*) FROM trigger_engine._due WHERE user_id = 'copied'}), 0, 'events of the copy start nothing');
$copy->sql('SELECT trigger_engine.resume()');
ok($copy->poll(q{SELECT state = 'running' FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}),
	'resume() lifts the fence');
ok($copy->idle, 'the copy comes to rest');
is($receiver->count, $requests, 'and has repeated nothing');
is($copy->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'unknown'}), 5,
	'what was under way when it was copied is unknown');
$copy->event('copied', 'cart');
ok($copy->idle, 'a new event of the copy');
is($receiver->count, $requests + 1, 'fires');

# ---- ALTER DATABASE ----

get_busy($shop, 'shop');
succeeds_promptly('ALTER DATABASE shop RENAME TO store', 'RENAME');
my $store = $te->in('store');
ok($store->wait_for_worker, 'workers return under the new name');
all_arrives($store, 'shop', 'after RENAME');
like($store->sql(q{SELECT string_agg(DISTINCT database, ',') FROM trigger_engine.worker_status WHERE database IS NOT NULL}),
	qr/^store$/, 'worker_status says the new name');

my $directory = PostgreSQL::Test::Utils::tempdir();
$te->sql("CREATE TABLESPACE elsewhere LOCATION '$directory'");
get_busy($store, 'shop');
succeeds_promptly('ALTER DATABASE store SET TABLESPACE elsewhere', 'SET TABLESPACE');
ok($store->wait_for_worker, 'workers return after the move');
all_arrives($store, 'shop', 'after SET TABLESPACE');

# ---- commands that fail ----

# Expects a failing command to leave the database with running workers.
sub fails_and_goes_on
{
	my ($sql, $expected, $what, %option) = @_;
	my ($done, $error) = command($sql, %option);

	ok(!$done, "$what fails");
	like($error, $expected, "$what says why");
	ok($store->wait_for_worker, "$what: workers run on");
	$store->event('after ' . ++$users, 'cart');
	ok($store->idle, "$what: and work");
	return;
}

$receiver->mode('/shop', 'ok');
fails_and_goes_on("BEGIN;\nDROP DATABASE store;", qr/cannot run inside a transaction block/, 'DROP DATABASE in a transaction block');
fails_and_goes_on('ALTER DATABASE store RENAME TO copy', qr/already exists/, 'RENAME to a name that is taken');
{
	my $session = $te->node->background_psql('store');

	fails_and_goes_on("SET statement_timeout = '700ms';\nDROP DATABASE store;", qr/canceling statement/, 'a cancelled DROP DATABASE');
	fails_and_goes_on('CREATE DATABASE another TEMPLATE store', qr/being accessed by other users/,
		'CREATE DATABASE ... TEMPLATE of a database in use');

	# a session that is ended while its DROP DATABASE waits for the other one
	my $dropper = $te->node->background_psql('postgres', on_error_stop => 0);
	$dropper->query_until(qr/^sent$/m, "\\echo sent\nDROP DATABASE store;\n");
	ok($te->poll(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^DROP DATABASE' AND state = 'active' AND pid <> pg_backend_pid()}),
		'a session that drops the database is ended');
	$dropper->{run}->finish;
	ok($store->wait_for_worker, 'workers run again');
	$session->quit;
}
$store->event('after all', 'cart');
ok($store->idle, 'and work');

# ---- those who may not ----

$te->sql('CREATE ROLE nobody LOGIN; CREATE ROLE maker LOGIN CREATEDB');
get_busy($store, 'shop');
my $pid = $store->worker_pid;
$te->sql('CREATE DATABASE trap');
for (
	[ 'nobody', 'DROP DATABASE store', qr/must be owner/ ],
	[ 'nobody', 'DROP DATABASE store WITH (FORCE)', qr/must be owner/ ],
	[ 'nobody', 'ALTER DATABASE store RENAME TO mine', qr/must be owner/ ],
	[ 'nobody', 'ALTER DATABASE store SET TABLESPACE pg_default', qr/must be owner/ ],
	[ 'nobody', 'CREATE DATABASE mine TEMPLATE store', qr/permission denied/ ],
	[ 'maker', 'CREATE DATABASE mine TEMPLATE store', qr/permission denied/ ],
	[ 'maker', 'DROP DATABASE store', qr/must be owner/ ])
{
	my ($role, $sql, $expected) = @$_;
	my ($done, $error) = command($sql, extra_params => [ '-U', $role ]);

	ok(!$done && $error =~ $expected, "$role may not: $sql") or diag $error;
}
is($store->worker_pid, $pid, 'the worker was not even disturbed');
is($store->sql(q{SELECT sum(in_flight) FROM trigger_engine.worker_status}), 5, 'nor what it has under way');

# ---- DROP DATABASE ----

my $position = $te->log_position;
succeeds_promptly('DROP DATABASE store', 'DROP DATABASE');
is($te->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%' AND datname = 'store'}), 0, 'no worker is left in it');
get_busy($copy, 'copy');
{
	my $session = $te->node->background_psql('copy', on_error_stop => 0);

	succeeds_promptly('DROP DATABASE copy WITH (FORCE)', 'DROP DATABASE ... WITH (FORCE)');
	eval { $session->quit };
}
$te->sql('CREATE DATABASE shop; CREATE DATABASE store; CREATE DATABASE copy');

# a new database under an old name is another one: the launcher goes on
my $last = busy_database('last');
$receiver->mode('/last', 'ok');
ok($last->wait_for_worker, 'the launcher serves new databases');
unlike($te->log_since($position), qr/PANIC|terminated by signal|TRAP:|FATAL:  database .* does not exist/,
	'nothing crashed, and no worker ran against a wall');

done_testing();
